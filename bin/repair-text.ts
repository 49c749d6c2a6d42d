import { escapeControls } from '../src/format/bytes.ts';
import { describeFinding } from '../src/format/rules.ts';
import { shellPath } from '../src/format/shell.ts';
import type { RepairResult } from '../src/ops/repair.ts';
import type { LossOption, RepairLoss } from '../src/ops/repair-context.ts';
import { formatBytes } from './sizes.ts';

/** The flags that permit a loss. */
const FLAGS: Readonly<Record<LossOption, string>> = {
  cut: '--cut',
  dropBlocks: '--drop-blocks',
  zeroFill: '--zero-fill',
};
/** Stretches of the disk that are told of one loss; JSON has all of them. */
const MAX_RANGES = 8;

/** What was repaired, for people. */
export function repairText(result: RepairResult, source: string, isDryRun: boolean): string {
  const { mended, needed, findings, canUndo } = result;
  const lines = [
    heading(result, isDryRun),
    ...mended.map(({ rule, what }) => `  ${isDryRun ? 'would mend' : 'mended'}  ${what} [${rule}]`),
    ...needed.flatMap((loss) => lossLines(loss, source)),
    ...findings.map((item) => `  left    ${describeFinding(item)} [${item.rule}]\n          ${item.remedy}`),
    ...(canUndo && !isDryRun ? [`  undo    vhd undo ${shellPath(source)}`] : []),
  ];
  return lines.map((line) => `${line.split('\n').map(escapeControls).join('\n')}\n`).join('');
}

function heading({ path, changed, mended, needed, ok, finishedJournal }: RepairResult, isDryRun: boolean): string {
  const begun = finishedJournal ? 'finished what was begun; ' : '';
  if (!changed && mended.length === 0) return `${begun}${path}: ${ok ? 'nothing to mend' : 'nothing was mended'}`;
  const rest = needed.length === 0 ? '' : ', not all of it: something is lost by the rest';
  return `${begun}${isDryRun ? 'would repair' : 'repaired'} ${path}${rest}`;
}

function lossLines({ option, message, ranges }: RepairLoss, source: string): string[] {
  const shown = ranges.slice(0, MAX_RANGES).map(({ start, length, fileOffset }) => {
    const where = fileOffset === null ? '' : `, in the file at ${fileOffset}`;
    return `          bytes ${start} to ${start + length} of the disk (${formatBytes(length)})${where}`;
  });
  const more = ranges.length > MAX_RANGES ? [`          and ${ranges.length - MAX_RANGES} more; --json tells all`] : [];
  const command = `vhd repair ${shellPath(source)} ${FLAGS[option]}`;
  return [`  loses   with ${FLAGS[option]}: ${message}`, ...shown, ...more, `          ${command}   (permits that)`];
}

import { escapeControls } from '../src/format/bytes.ts';
import { describeFinding } from '../src/format/rules.ts';
import { shellPath } from '../src/format/shell.ts';
import { PERMIT_FLAGS } from '../src/ops/check-remedies.ts';
import type { RepairOptions, RepairResult } from '../src/ops/repair.ts';
import type { LossOption, RepairLoss } from '../src/ops/repair-context.ts';
import { formatBytes } from './sizes.ts';

/** What of a call is given again. */
const FLAGS = {
  ...PERMIT_FLAGS,
  allowBreakingChildren: '--allow-breaking-children',
} as const satisfies Partial<Record<keyof RepairOptions, string>>;
/** Stretches of the disk that are told of one loss; JSON has all of them. */
const MAX_RANGES = 8;

/** How it was called. */
export interface RepairCall {
  /** The image as it was given. */
  readonly source: string;
  /** What was asked for. */
  readonly options: RepairOptions;
}

/** What was repaired, for people. */
export function repairText(result: RepairResult, call: RepairCall): string {
  const { mended, needed, findings, canUndo } = result;
  const isDryRun = call.options.dryRun === true;
  const lines = [
    heading(result, isDryRun),
    ...mended.map(({ rule, what }) => `  ${isDryRun ? 'would mend' : 'mended'}  ${what} [${rule}]`),
    ...needed.flatMap((loss) => lossLines(loss, result, call)),
    ...allLines(result, call),
    ...findings.flatMap((item) => [`  left    ${describeFinding(item)} [${item.rule}]`, `          ${item.remedy}`]),
    ...(canUndo && !isDryRun ? [`  undo    vhd undo ${shellPath(call.source)}`] : []),
  ];
  return lines.map((line) => `${escapeControls(line)}\n`).join('');
}

function heading({ path, changed, mended, needed, ok, finishedJournal }: RepairResult, isDryRun: boolean): string {
  const begun = finishedJournal ? 'finished what was begun; ' : '';
  if (!changed && mended.length === 0) return `${begun}${path}: ${ok ? 'nothing to mend' : 'nothing was mended'}`;
  const rest = needed.length === 0 ? '' : ', not all of it: something is lost by the rest';
  return `${begun}${isDryRun ? 'would repair' : 'repaired'} ${path}${rest}`;
}

function lossLines(loss: RepairLoss, result: RepairResult, call: RepairCall): string[] {
  const { message, ranges } = loss;
  const shown = ranges.slice(0, MAX_RANGES).map(({ start, length, fileOffset }) => {
    const where = fileOffset === null ? '' : `, in the file at ${fileOffset}`;
    return `          bytes ${start} to ${start + length} of the disk (${formatBytes(length)})${where}`;
  });
  const more = ranges.length > MAX_RANGES ? [`          and ${ranges.length - MAX_RANGES} more; --json tells all`] : [];
  const command = commandWith([loss], result, call);
  const flags = optionsOf(loss).map((option) => PERMIT_FLAGS[option]);
  return [`  loses   with ${flags.join(' ')}: ${message}`, ...shown, ...more, `          ${command}   (permits that)`];
}

function optionsOf({ option, also }: RepairLoss): LossOption[] {
  return also === undefined ? [option] : [option, also];
}

/** Where each loss wants another option, what permits all of them. */
function allLines(result: RepairResult, call: RepairCall): string[] {
  const { needed } = result;
  if (needed.length < 2 || new Set(needed.flatMap(optionsOf)).size < 2) return [];
  return [`  all     ${commandWith(needed, result, call)}   (permits all of that)`];
}

/** The same call with what losses take besides: without what it was told already it would ask for that again. */
function commandWith(losses: readonly RepairLoss[], { path }: RepairResult, { source, options }: RepairCall): string {
  const { footer, lock, output, force, dryRun } = options;
  const missing = losses.flatMap(optionsOf);
  const names = Object.keys(FLAGS) as (keyof typeof FLAGS)[];
  const flags = names.filter((name) => options[name] === true || missing.some((option) => option === name));
  const isThere = output !== undefined && path === output && dryRun !== true;
  return [
    `vhd repair ${shellPath(source)}`,
    ...(footer === undefined ? [] : [`--footer ${footer}`]),
    ...flags.map((name) => FLAGS[name]),
    ...(lock === false ? ['--no-lock'] : []),
    ...(output === undefined ? [] : [`-o ${shellPath(output)}`]),
    ...(force === true || isThere ? ['--force'] : []),
  ].join(' ');
}

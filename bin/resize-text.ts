import { shellPath } from '../src/format/shell.ts';
import type { ResizeResult } from '../src/ops/resize-options.ts';
import { type Row, summaryText } from './report.ts';
import { formatBytes, formatExactly } from './sizes.ts';

/** How a resize was asked for. */
export interface ResizeTold {
  /** The image as it was given. */
  readonly source: string;
  /** True if it is into a new image. */
  readonly isNew: boolean;
  /** True if nothing was to be written. */
  readonly isDryRun: boolean;
}

const GPT: Readonly<Record<ResizeResult['gpt'], string | undefined>> = {
  moved: 'the backup is at the new end, the main header names it',
  left: 'stays as it is',
  none: undefined,
};

/** What got another size, for people. */
export function resizeText(result: ResizeResult, told: ResizeTold): string {
  const { virtualSize, previousSize, fileSize, previousFileSize, changed, finishedJournal } = result;
  if (!changed) return sameText(result, told);
  const { isDryRun, isNew } = told;
  const rows: Row[] = [
    ['type', result.type],
    ['virtual size', `${formatExactly(virtualSize)}, before ${formatExactly(previousSize)}`],
    ['file size', `${formatExactly(fileSize)}${isNew ? '' : `, before ${formatExactly(previousFileSize)}`}`],
    ['original size', 'the same as the virtual size: libvhdi goes by it'],
    ['table', result.tableMoved ? 'behind the blocks now: the first of them was in its way' : undefined],
    ['creator', creatorText(result)],
    ['freed blocks', result.freedBlocks > 0 ? String(result.freedBlocks) : undefined],
    ['GPT', GPT[result.gpt]],
    [isDryRun ? 'would write' : 'written', formatBytes(result.copiedBytes)],
    ...result.guestSteps.map((step, index): Row => [index === 0 ? 'in the guest' : '', step]),
    ['undo', result.canUndo && !isDryRun ? `vhd undo ${shellPath(told.source)}` : undefined],
  ];
  const verb = isNew ? (isDryRun ? 'would write' : 'wrote') : isDryRun ? 'would resize' : 'resized';
  return summaryText(`${finishedJournal ? 'finished what was begun; ' : ''}${verb} ${result.path}`, rows);
}

function creatorText({ creatorBefore }: ResizeResult): string | undefined {
  if (creatorBefore === null) return undefined;
  return `'win ', before '${creatorBefore}': of that one qemu goes by the geometry, and misses the end of the disk`;
}

function sameText({ path, virtualSize, finishedJournal }: ResizeResult, { source }: ResizeTold): string {
  const size = formatExactly(virtualSize);
  if (!finishedJournal) return summaryText(`nothing to do: ${path} has ${size} already`, []);
  return summaryText(`finished what was begun: ${path} has ${size}`, [['undo', `vhd undo ${shellPath(source)}`]]);
}

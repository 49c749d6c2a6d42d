import type { MergePlan, MergeResult } from '../src/ops/merge-options.ts';
import { type Row, summaryText } from './report.ts';
import { formatBytes, formatExactly, formatRate } from './sizes.ts';

/** What is about to be done, in one line. */
export function planText(plan: MergePlan, isNew: boolean): string {
  const { child, path, mergedBytes, newBlocks, freeBytes, grownFrom, isResumed, outdated } = plan;
  if (isNew) return `writing ${formatBytes(mergedBytes)} of ${child} into ${path}, and changing nothing else\n`;
  const parts = [
    `${isResumed ? 'going on with merging' : 'merging'} ${formatBytes(mergedBytes)} of ${child} into ${path}`,
    `${newBlocks} new ${newBlocks === 1 ? 'block' : 'blocks'}`,
    grownFrom === undefined ? undefined : `larger than its ${formatBytes(grownFrom)}`,
    freeBytes === undefined ? undefined : `free ${formatBytes(freeBytes)}`,
  ];
  const text = `${parts.filter((part) => part !== undefined).join(', ')}\n`;
  return outdated.length === 0 ? text : `${text}     ${outdatedText(outdated)} afterwards\n`;
}

function outdatedText(paths: readonly string[]): string {
  return `${paths.join(', ')} no longer ${paths.length === 1 ? 'reads what it' : 'read what they'} did`;
}

/** How a merge was asked for. */
export interface MergeTold {
  /** True if it is into a new image. */
  readonly isNew: boolean;
  /** True if nothing was to be written. */
  readonly isDryRun: boolean;
  /** True if what is merged is to be deleted. */
  readonly deletes: boolean;
}

/** What was merged, for people. */
export function mergeText(result: MergeResult, { isNew, isDryRun, deletes }: MergeTold): string {
  const { path, type, merged, virtualSize, fileSize, copiedBytes, skippedBytes, seconds, grown } = result;
  const [child = ''] = merged;
  const others = merged.length > 1 ? `, with ${merged.slice(1).join(', ')}` : '';
  const size = `${formatExactly(virtualSize)}${grown ? ', more than before' : ''}`;
  const rows: Row[] = [
    ['type', type],
    ['virtual size', size],
    ['file size', isDryRun ? undefined : formatExactly(fileSize)],
    ['merged', `${child}${others}`],
    [isDryRun ? 'at most' : 'copied', formatBytes(copiedBytes)],
    ['empty', isDryRun || skippedBytes === 0 ? undefined : `${formatBytes(skippedBytes)}, skipped`],
    ['time', isDryRun ? undefined : `${seconds.toFixed(2)} s${formatRate(copiedBytes, seconds)}`],
    ['would delete', isDryRun && deletes ? merged.join(', ') : undefined],
    ...rowsOfMerged(result, isDryRun),
  ];
  return summaryText(headingOf(child, path, { isNew, isDryRun }), rows);
}

function headingOf(child: string, path: string, { isNew, isDryRun }: Omit<MergeTold, 'deletes'>): string {
  if (isNew) return `${isDryRun ? 'would write' : 'wrote'} ${path}`;
  return `${isDryRun ? 'would merge' : 'merged'} ${child} into ${path}`;
}

function rowsOfMerged({ merged, deleted, safeToDelete, outdated, relinks }: MergeResult, isDryRun: boolean): Row[] {
  return [
    ['deleted', deleted ? merged.join(', ') : undefined],
    ['safe to delete', safeToDelete.length > 0 ? safeToDelete.join(', ') : undefined],
    [
      'outdated',
      outdated.length > 0 && !isDryRun ? `${outdatedText(outdated)}; merging it would undo this` : undefined,
    ],
    ...relinks.map((command): Row => ['still a child', command]),
  ];
}

import { checkBooleans, checkOptionNames } from '../errors.ts';
import { SECTOR_BYTES } from '../format/spec.ts';
import type { ReadRange } from '../stream/read-ahead.ts';
import { DifferenceList } from './compare-list.ts';
import { firstData, joinedRanges, RangeFinder, type WalkOptions } from './compare-ranges.ts';
import type { CompareDisksOptions, ComparedTail, DiskComparison } from './compare-report.ts';
import type { ComparedDisk, ComparedSide } from './compare-stretches.ts';
import { ProgressMeter } from './progress.ts';

/** The option names of {@link CompareDisksOptions}. */
export const COMPARE_DISKS_OPTIONS: readonly string[] = [
  ...['ignoreTail', 'first', 'maxRanges', 'onRange', 'onProgress', 'signal'],
];

/**
 * Compares two disks. What both know to be zero is not read.
 * @throws RangeError if `maxRanges` is no number of ranges
 */
export async function compareDisks(
  a: ComparedDisk,
  b: ComparedDisk,
  options: CompareDisksOptions = {},
): Promise<DiskComparison> {
  checkOptionNames('compareDisks', options, COMPARE_DISKS_OPTIONS);
  checkCompareOptions(options);
  return compareSides({ disk: a, files: [] }, { disk: b, files: [] }, options);
}

/**
 * Checks the values of options.
 * @throws TypeError on what is not true or false
 * @throws RangeError if `maxRanges` is no number of ranges
 */
export function checkCompareOptions({ maxRanges, ...options }: CompareDisksOptions): void {
  checkBooleans(options, ['ignoreTail', 'first']);
  if (maxRanges === undefined || (Number.isSafeInteger(maxRanges) && maxRanges >= 0)) return;
  throw new RangeError(`maxRanges: expected a whole number of at least 0, found ${maxRanges}`);
}

/** Compares two disks of which it may be known what files their bytes lie in. */
export async function compareSides(
  a: ComparedSide,
  b: ComparedSide,
  options: CompareDisksOptions,
): Promise<DiskComparison> {
  const { signal, onProgress, first = false, ignoreTail = false } = options;
  signal?.throwIfAborted();
  const meter = new ProgressMeter('compare', Math.max(a.disk.size, b.disk.size), onProgress);
  const finder = new RangeFinder(a, b);
  const list = new DifferenceList([a.disk, b.disk], options);
  const pieces = finder.pieces({ meter, signal });
  for await (const range of first ? firstSector(pieces) : joinedRanges(pieces)) await list.add(range);
  const tail = await tailOf(a, b, { meter, signal, isKnown: first && list.rangeCount > 0 });
  signal?.throwIfAborted();
  meter.finish();
  const isSameSize = tail === null || (ignoreTail && tail.allZero === true);
  return {
    equal: list.rangeCount === 0 && isSameSize,
    firstDifference: finder.firstDifference ?? null,
    ...list.found,
    tail,
    comparedBytes: meter.copiedBytes,
    skippedBytes: meter.skippedBytes,
  };
}

async function* firstSector(pieces: AsyncIterable<ReadRange>): AsyncGenerator<ReadRange> {
  for await (const { start, length } of pieces) {
    yield { start, length: Math.min(length, SECTOR_BYTES) };
    return;
  }
}

/** What the longer one has more; not looked at where the answer is known. */
async function tailOf(
  a: ComparedSide,
  b: ComparedSide,
  { isKnown, ...options }: WalkOptions & { readonly isKnown: boolean },
): Promise<ComparedTail | null> {
  const [sizeA, sizeB] = [a.disk.size, b.disk.size];
  if (sizeA === sizeB) return null;
  const start = Math.min(sizeA, sizeB);
  const tail = { of: sizeA > sizeB ? 'a' : 'b', start, length: Math.max(sizeA, sizeB) - start } as const;
  if (isKnown) return { ...tail, allZero: null, firstData: null };
  const position = await firstData(tail.of === 'a' ? a.disk : b.disk, start, options);
  return { ...tail, allZero: position === undefined, firstData: position ?? null };
}

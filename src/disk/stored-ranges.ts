import { alignUp } from '../format/spec.ts';
import type { StoredRange } from '../storage/storage.ts';

/** Grain of coarse ranges: what is copied leaves holes in such grains, and fewer of them are found in vain. */
const COARSE_GRAIN_BYTES = 64 * 1024;
/** Reading over a hole below this costs less than a call of its own for what lies behind it. */
const COARSE_HOLE_BYTES = 256 * 1024;

/** Finds the first data of a range, as `Storage.findData` does. */
export type FindData = (position: number, length: number) => Promise<StoredRange | undefined>;

/**
 * What is stored between `start` and `end` (exclusive), in order, each range as long as possible; all between them reads
 * as zeros. Coarse: in whole grains of 64 KiB, and with the holes that are too small to be worth a call.
 * @throws RangeError if `find` answers with what does not lie in the range it was asked about
 */
export async function* storedRanges(
  find: FindData,
  start: number,
  end: number,
  coarse: boolean,
): AsyncGenerator<StoredRange> {
  const grainBytes = coarse ? COARSE_GRAIN_BYTES : 1;
  const leastHoleBytes = coarse ? COARSE_HOLE_BYTES : 1;
  let [from, to] = [start, start];
  let position = start;
  while (position < end) {
    const found = await find(position, end - position);
    if (found === undefined) break;
    checkFound(found, position, end);
    const first = Math.max(start, found.start - (found.start % grainBytes));
    position = Math.min(end, alignUp(found.start + found.length, grainBytes));
    if (first - to >= leastHoleBytes) {
      if (to > from) yield { start: from, length: to - from };
      from = first;
    }
    to = position;
  }
  if (to > from) yield { start: from, length: to - from };
}

/** A storage may be anybody's: what does not lie in the range could make the loop endless, or its result wrong. */
function checkFound({ start, length }: StoredRange, position: number, end: number): void {
  const isWhole = Number.isSafeInteger(start) && Number.isSafeInteger(length) && length > 0;
  if (isWhole && start >= position && start + length <= end) return;
  throw new RangeError(
    `findData: expected a range between ${position} and ${end}, found start ${start}, length ${length}`,
  );
}

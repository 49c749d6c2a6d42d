import type { Disk } from './disk.ts';

/** A stretch of a disk that holds nothing of use. */
export interface UnusedRange {
  /** First byte. */
  readonly start: number;
  /** Bytes. */
  readonly length: number;
}

/**
 * Tells which ranges of a disk hold no data, such as the free space of a file system: whatever bytes stand there, nobody
 * needs them. In the order of the disk; the disk may be read meanwhile, and is closed afterwards.
 */
export type UnusedRanges = (disk: Disk) => AsyncIterable<UnusedRange> | Iterable<UnusedRange>;

/** Joins ranges that touch; those that are out of order stay by themselves. */
export async function* joinedRanges(disk: Disk, tell: UnusedRanges): AsyncGenerator<UnusedRange> {
  let [start, end] = [0, 0];
  for await (const range of tell(disk)) {
    checkOnDisk(range, disk.size);
    if (range.start >= start && range.start <= end) end = Math.max(end, range.start + range.length);
    else {
      if (end > start) yield { start, length: end - start };
      [start, end] = [range.start, range.start + range.length];
    }
  }
  if (end > start) yield { start, length: end - start };
}

/** Flags, by block index, of the blocks that lie in the ranges as a whole; the last block ends with the disk. */
export async function unusedBlocks(disk: Disk, blockSize: number, tell: UnusedRanges): Promise<Uint8Array> {
  const flags = new Uint8Array(Math.ceil(disk.size / blockSize));
  for await (const { start, length } of joinedRanges(disk, tell)) {
    const end = start + length;
    const endBlock = end === disk.size ? flags.length : Math.floor(end / blockSize);
    const firstBlock = Math.ceil(start / blockSize);
    if (endBlock > firstBlock) flags.fill(1, firstBlock, endBlock);
  }
  return flags;
}

function checkOnDisk({ start, length }: UnusedRange, size: number): void {
  const isWhole = Number.isSafeInteger(start) && Number.isSafeInteger(length) && start >= 0 && length >= 0;
  if (isWhole && start + length <= size) return;
  throw new RangeError(`unusedRanges: expected a range on the disk of ${size} bytes, found ${start}, ${length} long`);
}

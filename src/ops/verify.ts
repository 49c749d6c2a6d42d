import type { ByteRange } from '../disk/disk.ts';
import { checkOptionNames } from '../errors.ts';
import type { Partition } from '../inspect/partition-table.ts';
import { HASH_BLOCK_BYTES, type HashedDisk, type HashOptions, hashBlocksAs } from './hash.ts';
import { sha256OfDisk } from './hash-plain.ts';
import { hasBlocks, type ListedHash, type PlainManifest } from './manifest.ts';

/** Blocks that changed, next to each other. */
export interface ChangedRange extends Required<ByteRange> {
  /** First byte on the virtual disk. */
  readonly start: number;
  /** Bytes. */
  readonly length: number;
}

/** A partition with blocks that changed in it. */
export interface ChangedPartition extends Partition {
  /** Bytes of the partition that lie in blocks that changed; blocks at its ends may have changed outside of it. */
  readonly changedBytes: number;
}

/** What a disk is, held against a manifest. */
export interface Verification {
  /** True if size and every byte are those of the manifest. */
  readonly ok: boolean;
  /** Virtual size in bytes. */
  readonly virtualSize: number;
  /** Virtual size that the manifest tells; null if it tells none. */
  readonly expectedSize: number | null;
  /** Bytes of a block; null if the manifest does not tell blocks. */
  readonly blockSize: number | null;
  /** Sum of `ranges`; null if the manifest does not tell blocks. */
  readonly changedBytes: number | null;
  /**
   * The blocks that changed, neighbours joined, up to the size in the manifest; where the disk is shorter, as if zeros
   * followed. Null if the manifest does not tell blocks.
   */
  readonly ranges: readonly ChangedRange[] | null;
  /** The partitions that are now on the disk with such blocks in them; null if the manifest does not tell blocks. */
  readonly partitions: readonly ChangedPartition[] | null;
}

/**
 * Holds a disk against a manifest, as `hashDisk`, `decodeManifests` or `readManifestFor` gives it, and names what changed.
 * Another size is an answer too. The SHA-256 of all bytes alone tells only whether something changed.
 */
export async function verifyDisk(
  disk: HashedDisk,
  manifest: ListedHash | Pick<PlainManifest, 'sha256'>,
  options: HashOptions = {},
): Promise<Verification> {
  checkOptionNames('verifyDisk', options, ['signal', 'onProgress']);
  const { size: virtualSize } = disk;
  if (!hasBlocks(manifest)) {
    const ok = (await sha256OfDisk(disk, options)) === manifest.sha256;
    const nothing = { expectedSize: null, blockSize: null, changedBytes: null, ranges: null, partitions: null };
    return { ok, virtualSize, ...nothing };
  }
  const expectedSize = manifest.virtualSize;
  const ranges = await changedRanges(disk, manifest, options);
  return {
    ok: ranges.length === 0 && virtualSize === expectedSize,
    ...{ virtualSize, expectedSize, blockSize: HASH_BLOCK_BYTES },
    changedBytes: ranges.reduce((sum, { length }) => sum + length, 0),
    ranges,
    partitions: ranges.length === 0 ? [] : await changedPartitions(disk, ranges),
  };
}

/** Goes through both lists of blocks at once; what one of them does not have is zero there. */
async function changedRanges(disk: HashedDisk, manifest: ListedHash, options: HashOptions): Promise<ChangedRange[]> {
  const { virtualSize, blocks } = manifest;
  const changed: { start: number; length: number }[] = [];
  const add = (start: number): void => {
    const length = Math.min(HASH_BLOCK_BYTES, virtualSize - start);
    const last = changed.at(-1);
    if (last !== undefined && last.start + last.length === start) last.length += length;
    else changed.push({ start, length });
  };
  const listed = blocks[Symbol.iterator]();
  let next = listed.next();
  /** What the manifest has before a block and the disk has not. */
  const addMissing = (end: number): void => {
    for (; next.done !== true && next.value.start < end; next = listed.next()) add(next.value.start);
  };
  for await (const { start, sha256 } of hashBlocksAs(disk, virtualSize, options)) {
    addMissing(start);
    const expected = next.done !== true && next.value.start === start ? next.value : undefined;
    if (expected !== undefined) next = listed.next();
    if (expected?.sha256 !== sha256) add(start);
  }
  addMissing(virtualSize);
  return changed;
}

async function changedPartitions(disk: HashedDisk, ranges: readonly ChangedRange[]): Promise<ChangedPartition[]> {
  // Loaded when it is needed: most disks are as they should be.
  const { listPartitions } = await import('../inspect/partitions.ts');
  const { partitions } = await listPartitions(disk);
  return partitions
    .map((partition) => ({ ...partition, changedBytes: overlapWith(partition, ranges) }))
    .filter(({ changedBytes }) => changedBytes > 0);
}

function overlapWith({ start, length }: Partition, ranges: readonly ChangedRange[]): number {
  const end = start + length;
  return ranges.reduce((sum, range) => {
    return sum + Math.max(0, Math.min(end, range.start + range.length) - Math.max(start, range.start));
  }, 0);
}

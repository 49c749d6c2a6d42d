import { createHash, type Hash } from 'node:crypto';
import type { Disk } from '../disk/disk.ts';
import { checkOptionNames } from '../errors.ts';
import { isAllZeros } from '../format/zeros.ts';
import { type ReadRange, readAhead } from '../stream/read-ahead.ts';
import { type ProgressListener, ProgressMeter } from './progress.ts';

/** Bytes of a block of a content hash, whatever the blocks of the image are. */
export const HASH_BLOCK_BYTES: number = 2 * 1024 * 1024;
/** What the text behind a root begins with, and the `schema` of a manifest. */
export const HASH_SCHEMA = 'vhdkit/hash/1';

/** The part of a {@link Disk} that is needed to hash it. */
export type HashedDisk = Pick<Disk, 'size' | 'read' | 'extents'>;

/** How a disk is hashed. */
export interface HashOptions {
  /** Stops it; it then rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
  /** Hears how far it is. */
  readonly onProgress?: ProgressListener | undefined;
}

/** The hash of a block that is not all zeros. */
export interface BlockHash {
  /** First byte on the virtual disk, a multiple of the block size. */
  readonly start: number;
  /** SHA-256 of its bytes, 64 lower-case hex digits. The last block of a disk is as short as it is. */
  readonly sha256: string;
}

/** The content hash of a virtual disk: the same for the same bytes, whatever the container. */
export interface DiskHash {
  /** Virtual size in bytes. */
  readonly virtualSize: number;
  /** Bytes of a block: 2097152. */
  readonly blockSize: number;
  /**
   * SHA-256, in hex, over lines of ASCII that each end with a line feed: `vhdkit/hash/1 VIRTUALSIZE BLOCKSIZE`, then
   * `START SHA256` for every one of the `blocks`.
   */
  readonly root: string;
  /** The blocks that are not all zeros, in ascending order. */
  readonly blocks: readonly BlockHash[];
}

const HASH_OPTIONS: readonly string[] = ['signal', 'onProgress'];

/**
 * Hashes what is on a disk, in blocks of 2 MiB. Blocks of zeros are left out, whether they are stored or not, and what the
 * disk knows to be zero is not read. Holds some 200 bytes for each block with data: `hashBlocks` holds nothing.
 */
export async function hashDisk(disk: HashedDisk, options: HashOptions = {}): Promise<DiskHash> {
  checkOptionNames('hashDisk', options, HASH_OPTIONS);
  const root = new RootDigest(disk.size);
  const blocks: BlockHash[] = [];
  for await (const block of hashBlocks(disk, options)) {
    root.add(block);
    blocks.push(block);
  }
  return { virtualSize: disk.size, blockSize: HASH_BLOCK_BYTES, root: root.hex(), blocks };
}

/** The hashes of the blocks of a disk that are not all zeros, in ascending order, one at a time. */
export async function* hashBlocks(disk: HashedDisk, options: HashOptions = {}): AsyncGenerator<BlockHash> {
  checkOptionNames('hashBlocks', options, HASH_OPTIONS);
  yield* hashBlocksAs(disk, disk.size, options);
}

/** The same for a disk as if it had `size` bytes: it is cut there, or zeros follow it. */
export async function* hashBlocksAs(
  disk: HashedDisk,
  size: number,
  { signal, onProgress }: HashOptions,
): AsyncGenerator<BlockHash> {
  signal?.throwIfAborted();
  const meter = new ProgressMeter('hash', size, onProgress);
  let position = 0;
  for await (const { start, length, bytes, release } of readAhead(zerosBehind(disk), blocksWithData(disk, size), {
    signal,
  })) {
    meter.skipped(start - position);
    position = start + length;
    const sha256 = isAllZeros(bytes) ? undefined : createHash('sha256').update(bytes).digest('hex');
    release();
    if (sha256 === undefined) meter.skipped(length);
    else {
      meter.copied(length);
      yield { start, sha256 };
    }
  }
  meter.skipped(size - position);
  meter.finish();
}

/** The blocks in which anything is stored, whole, each once. */
async function* blocksWithData(disk: HashedDisk, size: number): AsyncGenerator<ReadRange> {
  let next = 0;
  for await (const { kind, start, length } of disk.extents({ length: Math.min(size, disk.size), coarse: true })) {
    if (kind === 'zero') continue;
    next = Math.max(next, start - (start % HASH_BLOCK_BYTES));
    for (; next < start + length; next += HASH_BLOCK_BYTES) {
      yield { start: next, length: Math.min(HASH_BLOCK_BYTES, size - next) };
    }
  }
}

/** What is behind the end of a disk reads as zeros. */
function zerosBehind(disk: HashedDisk): Pick<Disk, 'read'> {
  return {
    read: (target, position) => {
      if (position + target.length <= disk.size) return disk.read(target, position);
      const byteLength = disk.size - position;
      target.fill(0, byteLength);
      return disk.read(target.subarray(0, byteLength), position);
    },
  };
}

/** Makes the root of a {@link DiskHash} out of its blocks. */
export class RootDigest {
  readonly #hash: Hash = createHash('sha256');

  /** For a disk of `virtualSize` bytes. */
  constructor(virtualSize: number) {
    this.#hash.update(`${HASH_SCHEMA} ${virtualSize} ${HASH_BLOCK_BYTES}\n`);
  }

  /** Takes the next block that is not all zeros. */
  add({ start, sha256 }: BlockHash): void {
    this.#hash.update(`${start} ${sha256}\n`);
  }

  /** The root, 64 lower-case hex digits. To be called once. */
  hex(): string {
    return this.#hash.digest('hex');
  }
}

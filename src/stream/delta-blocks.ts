import type { Disk } from '../disk/disk.ts';
import { VhdDisk } from '../disk/vhd-disk.ts';
import { bitmapByteLength, decodeBitmap } from '../format/bitmap.ts';
import { alignUp, SECTOR_BYTES } from '../format/spec.ts';
import { markDifferingSectors } from './differing-sectors.ts';
import { piecesOf, type ReadPiece, type ReadRange, readAhead, storedPieces } from './read-ahead.ts';

/** Two disks to be held against each other. */
export interface DiskPair {
  /** The disk whose bytes count; a whole number of sectors. */
  readonly disk: Disk;
  /** What it is held against; zeros beyond its end. */
  readonly against: Disk;
}

/** Counts the bytes of the disk that were dealt with. */
export interface DeltaMeter {
  /** Takes bytes that differ. */
  copied(byteLength: number): void;
  /** Takes bytes that are the same. */
  skipped(byteLength: number): void;
}

/** How two disks are held against each other. */
export interface DeltaOptions {
  /** Bytes of a block of the image to be made. */
  readonly blockSize: number;
  /** Stops it. */
  readonly signal?: AbortSignal | undefined;
  /** Told of every byte. */
  readonly meter?: DeltaMeter | undefined;
}

/** A block in which two disks differ. */
export interface DeltaBlock {
  /** The block. */
  readonly blockIndex: number;
  /** Its bitmap as it stands in the file: a set bit for every sector that differs. */
  readonly bitmap: Uint8Array;
  /** Its data, a whole block: the sectors that differ, zeros in place of the others. */
  readonly data: Uint8Array;
  /** Hands the memory back for another block; not calling it only costs memory. */
  readonly release: () => void;
}

/** The blocks in which two disks differ, in order. What both are known to hold nothing of is not read. */
export async function* deltaBlocks(pair: DiskPair, options: DeltaOptions): AsyncGenerator<DeltaBlock> {
  const { blockSize, signal, meter } = options;
  let done = 0;
  for await (const piece of readAhead(pairReader(pair), doubled(candidates(pair, blockSize)), { signal })) {
    const end = piece.start + piece.length / 2;
    const { block, sectorCount } = heldAgainst(piece, blockSize);
    meter?.copied(sectorCount * SECTOR_BYTES);
    meter?.skipped(end - done - sectorCount * SECTOR_BYTES);
    done = end;
    if (block === undefined) piece.release();
    else yield block;
  }
  meter?.skipped(pair.disk.size - done);
}

/** Every read gets both: the bytes of the disk in the first half, what they are held against in the second. */
function pairReader({ disk, against }: DiskPair): Pick<Disk, 'read'> {
  const readAgainst = async (target: Uint8Array, position: number): Promise<void> => {
    const there = Math.min(Math.max(against.size - position, 0), target.length);
    target.fill(0, there);
    if (there > 0) await against.read(target.subarray(0, there), position);
  };
  return {
    read: async (target, position) => {
      const half = target.length / 2;
      const reads = [disk.read(target.subarray(0, half), position), readAgainst(target.subarray(half), position)];
      const failed = (await Promise.allSettled(reads)).find((result) => result.status === 'rejected');
      if (failed !== undefined) throw failed.reason;
    },
  };
}

async function* doubled(ranges: AsyncIterable<ReadRange>): AsyncGenerator<ReadRange> {
  for await (const { start, length } of ranges) yield { start, length: 2 * length };
}

/** What of each block has to be looked at: one range a block, of whole sectors, in order. */
async function* candidates(pair: DiskPair, blockSize: number): AsyncGenerator<ReadRange> {
  const { disk } = pair;
  let start = 0;
  let end = 0;
  for await (const piece of piecesToRead(pair, blockSize)) {
    const from = piece.start - (piece.start % SECTOR_BYTES);
    const to = Math.min(alignUp(piece.start + piece.length, SECTOR_BYTES), disk.size);
    const isSameBlock = end > start && Math.floor(from / blockSize) === Math.floor(start / blockSize);
    if (isSameBlock) {
      end = Math.max(end, to);
      continue;
    }
    if (end > start) yield { start, length: end - start };
    [start, end] = [from, to];
  }
  if (end > start) yield { start, length: end - start };
}

/** What may differ: what one of the two stores, or what the links of a chain above one of them decide. */
function piecesToRead({ disk, against }: DiskPair, blockSize: number): AsyncIterable<ReadRange> {
  const depth = depthInChain(disk, against);
  if (depth !== undefined) return piecesAbove(disk, depth, blockSize);
  const common = Math.min(disk.size, against.size);
  return inOrder(storedPieces(disk, {}, blockSize), storedPieces(against, { length: common }, blockSize));
}

/** How many links up the chain of `disk` the very disk `against` is that is open there; undefined if it is none of them. */
function depthInChain(disk: Disk, against: Disk): number | undefined {
  let link: Disk | undefined = disk;
  for (let depth = 0; link !== undefined; depth++) {
    if (link === against) return depth;
    link = link instanceof VhdDisk ? link.parent : undefined;
  }
  return undefined;
}

/** What is decided by fewer than `depth` links: everything else is read from the link at `depth`, by either of the two. */
async function* piecesAbove(disk: Disk, depth: number, blockSize: number): AsyncGenerator<ReadRange> {
  for await (const extent of disk.extents({ coarse: true })) {
    if (extent.depth < depth) yield* piecesOf(extent.start, extent.start + extent.length, blockSize);
  }
}

/** Two ascending sequences as one. */
async function* inOrder(first: AsyncIterable<ReadRange>, second: AsyncIterable<ReadRange>): AsyncGenerator<ReadRange> {
  const iterators = [first[Symbol.asyncIterator](), second[Symbol.asyncIterator]()] as const;
  try {
    let [left, right] = await Promise.all([iterators[0].next(), iterators[1].next()]);
    while (left.done !== true || right.done !== true) {
      if (right.done === true || (left.done !== true && left.value.start <= right.value.start)) {
        if (left.done !== true) yield left.value;
        left = await iterators[0].next();
      } else {
        yield right.value;
        right = await iterators[1].next();
      }
    }
  } finally {
    await Promise.all(iterators.map((iterator) => iterator.return?.()));
  }
}

function heldAgainst(piece: ReadPiece, blockSize: number): { block?: DeltaBlock; sectorCount: number } {
  const length = piece.length / 2;
  const offsetInBlock = piece.start % blockSize;
  const bitmap = new Uint8Array(bitmapByteLength(blockSize));
  const bytes = piece.bytes.subarray(0, length);
  const sectorCount = markDifferingSectors(bitmap, offsetInBlock / SECTOR_BYTES, bytes, piece.bytes.subarray(length));
  if (sectorCount === 0) return { sectorCount };
  for (const run of decodeBitmap(bitmap, length / SECTOR_BYTES, offsetInBlock / SECTOR_BYTES)) {
    if (run.isSet) continue;
    const from = run.sector * SECTOR_BYTES - offsetInBlock;
    bytes.fill(0, from, from + run.sectorCount * SECTOR_BYTES);
  }
  const data = length === blockSize ? bytes : new Uint8Array(blockSize);
  if (data !== bytes) data.set(bytes, offsetInBlock);
  return {
    block: {
      blockIndex: Math.floor(piece.start / blockSize),
      bitmap,
      data,
      release: piece.release,
    },
    sectorCount,
  };
}

import { setImmediate } from 'node:timers/promises';
import type { Disk, Extent } from '../disk/disk.ts';
import { alignUp, SECTOR_BYTES } from '../format/spec.ts';
import { PIECE_BYTES, piecesOf, type ReadRange } from '../stream/read-ahead.ts';

/** Stretches that nobody has to read are read with what is around them up to this length: a call costs more than they do. */
const MAX_GAP_BYTES = 64 * 1024;
/** Disks are asked for their extents in windows of this length: one that is empty has a single extent, however long that takes. */
const WINDOW_BYTES = 1024 * PIECE_BYTES;

/** The part of a {@link Disk} that is needed to compare it. */
export type ComparedDisk = Pick<Disk, 'size' | 'read' | 'extents'>;

/** A disk to be compared. */
export interface ComparedSide {
  /** The disk. */
  readonly disk: ComparedDisk;
  /**
   * What tells the file at each depth of its chain from every other file, the same for the same file on the other side.
   * Undefined where nothing does; an empty list if nothing is known of any.
   */
  readonly files: readonly (string | undefined)[];
  /** True for a disk whose bytes lie one to one in one file: then there are no bitmaps to be exact about. Default false. */
  readonly isFlat?: boolean | undefined;
}

/** Which disk has to be read: `both`, or one where the other is known to hold nothing but zeros. */
export type ReadSides = 'both' | 'a' | 'b';

/** A stretch in which two disks may differ. */
export interface ComparedStretch extends ReadRange {
  /** Which of them has to be read to know. */
  readonly sides: ReadSides;
}

/** Cuts a range, `end` exclusive, into the windows in which disks are asked for their extents. */
export async function* windowsOf(start: number, end: number): AsyncGenerator<ReadRange> {
  for (const window of piecesOf(start, end, WINDOW_BYTES)) {
    // What follows may not wait for the system at all: without a turn nobody could stop it.
    await setImmediate();
    yield window;
  }
}

/**
 * The stretches, in order, that have to be read to know whether two disks differ before `end`; none reaches over a multiple
 * of {@link PIECE_BYTES}. Left out is what both are known to have no data in, and what both read from the same place of
 * the same file; where that is a lot, empty stretches tell how far it is. Rejects with the reason of `signal`.
 */
export async function* stretchesToRead(
  a: ComparedSide,
  b: ComparedSide,
  { end, signal }: { readonly end: number; readonly signal?: AbortSignal | undefined },
): AsyncGenerator<ComparedStretch> {
  for await (const window of windowsOf(0, end)) {
    yield* stretchesOf(alignedExtents(a, b, window), end, signal);
    yield { start: endOf(window), length: 0, sides: 'both' };
  }
}

async function* stretchesOf(
  extents: AsyncIterable<AlignedExtent>,
  end: number,
  signal: AbortSignal | undefined,
): AsyncGenerator<ComparedStretch> {
  let last: ComparedStretch | undefined;
  for await (const { start, length, sides } of extents) {
    signal?.throwIfAborted();
    if (sides === undefined) continue;
    for (const piece of piecesOf(start, start + length)) {
      const stretch = inWholeSectors({ ...piece, sides }, end);
      const joined = last === undefined ? undefined : joinedWith(last, stretch);
      if (last !== undefined && joined === undefined) yield last;
      last = joined ?? stretch;
    }
  }
  if (last !== undefined) yield last;
}

/** A raw file may end, and a hole begin, within a sector. */
function inWholeSectors(stretch: ComparedStretch, end: number): ComparedStretch {
  const start = stretch.start - (stretch.start % SECTOR_BYTES);
  const length = Math.min(alignUp(stretch.start + stretch.length, SECTOR_BYTES), end) - start;
  return length === stretch.length ? stretch : { start, length, sides: 'both' };
}

function joinedWith(last: ComparedStretch, next: ComparedStretch): ComparedStretch | undefined {
  const gap = next.start - endOf(last);
  const isOnePiece = Math.floor(last.start / PIECE_BYTES) === Math.floor(next.start / PIECE_BYTES);
  if (gap > MAX_GAP_BYTES || !isOnePiece) return undefined;
  // In the gap neither has anything that the other has not, so reading only one of them would find a difference.
  const sides = gap === 0 && last.sides === next.sides ? last.sides : 'both';
  return { start: last.start, length: Math.max(endOf(last), endOf(next)) - last.start, sides };
}

interface AlignedExtent extends ReadRange {
  /** Undefined: neither, the bytes are the same. */
  readonly sides: ReadSides | undefined;
}

/** The extents of two disks within a window that is not empty, cut so that each stretch is one extent of both. */
async function* alignedExtents(a: ComparedSide, b: ComparedSide, window: ReadRange): AsyncGenerator<AlignedExtent> {
  const isShared = a.files.some((file) => file !== undefined && b.files.includes(file));
  const { start: first, length } = window;
  // Whole blocks do where all data is read; that two disks read the same bytes is certain only of sectors.
  const iterators = [a, b].map(({ disk, isFlat = false }) => {
    const how = { start: first, length, located: isShared, coarse: !isShared || isFlat };
    return disk.extents(how)[Symbol.asyncIterator]();
  });
  const end = first + length;
  const next = async (index: number): Promise<Extent> => {
    const step = await iterators[index]?.next();
    if (step === undefined || step.done === true) throw new Error('the extents end before the disk does');
    return step.value;
  };
  try {
    let [ofA, ofB] = await Promise.all([next(0), next(1)]);
    for (let start = first; ; ) {
      const to = Math.min(endOf(ofA), endOf(ofB));
      const sides = isSameBytes({ extent: ofA, side: a }, { extent: ofB, side: b }) ? undefined : sidesOf(ofA, ofB);
      yield { start, length: to - start, sides };
      if (to >= end) return;
      if (endOf(ofA) === to) ofA = await next(0);
      if (endOf(ofB) === to) ofB = await next(1);
      start = to;
    }
  } finally {
    await Promise.all(iterators.map(async (iterator) => iterator.return?.()));
  }
}

function endOf({ start, length }: ReadRange): number {
  return start + length;
}

function sidesOf(a: Extent, b: Extent): ReadSides | undefined {
  if (a.kind === 'zero') return b.kind === 'zero' ? undefined : 'b';
  return b.kind === 'zero' ? 'a' : 'both';
}

interface PlacedExtent {
  readonly extent: Extent;
  readonly side: ComparedSide;
}

/** True if where the two overlap their bytes lie in the same place of the same file. */
function isSameBytes(a: PlacedExtent, b: PlacedExtent): boolean {
  const [placeA, placeB] = [a.extent.fileOffset, b.extent.fileOffset];
  if (placeA === undefined || placeB === undefined) return false;
  const file = a.side.files[a.extent.depth];
  const isSameFile = file !== undefined && file === b.side.files[b.extent.depth];
  return isSameFile && placeA - a.extent.start === placeB - b.extent.start;
}

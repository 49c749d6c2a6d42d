import type { Disk, Extent } from '../disk/disk.ts';
import { alignUp, SECTOR_BYTES } from '../format/spec.ts';
import { PIECE_BYTES, piecesOf, type ReadRange } from '../stream/read-ahead.ts';

/** Stretches that nobody has to read are read with what is around them up to this length: a call costs more than they do. */
const MAX_GAP_BYTES = 64 * 1024;

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
}

/** Which disk has to be read: `both`, or one where the other is known to hold nothing but zeros. */
export type ReadSides = 'both' | 'a' | 'b';

/** A stretch in which two disks may differ. */
export interface ComparedStretch extends ReadRange {
  /** Which of them has to be read to know. */
  readonly sides: ReadSides;
}

/**
 * The stretches, in order, that have to be read to know whether two disks differ before `end`; none reaches over a multiple
 * of {@link PIECE_BYTES}. Left out is what both are known to have no data in, and what both read from the same place of
 * the same file.
 */
export async function* stretchesToRead(a: ComparedSide, b: ComparedSide, end: number): AsyncGenerator<ComparedStretch> {
  let last: ComparedStretch | undefined;
  for await (const { start, length, sides } of alignedExtents(a, b, end)) {
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

/** The extents of two disks, cut so that each stretch is one extent of both. */
async function* alignedExtents(a: ComparedSide, b: ComparedSide, end: number): AsyncGenerator<AlignedExtent> {
  const isShared = a.files.some((file) => file !== undefined && b.files.includes(file));
  // Whole blocks do where all data is read; that two disks read the same bytes is certain only of sectors.
  const how = { length: end, located: isShared, coarse: !isShared };
  const iterators = [a, b].map(({ disk }) => disk.extents(how)[Symbol.asyncIterator]());
  const next = async (index: number): Promise<Extent> => {
    const step = await iterators[index]?.next();
    if (step === undefined || step.done === true) throw new Error('the extents end before the disk does');
    return step.value;
  };
  try {
    if (end === 0) return;
    let [ofA, ofB] = await Promise.all([next(0), next(1)]);
    for (let start = 0; ; ) {
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

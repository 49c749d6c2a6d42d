import { decodeBitmap } from '../format/bitmap.ts';
import { SECTOR_BYTES } from '../format/spec.ts';
import { isAllZeros } from '../format/zeros.ts';
import { settleAll } from '../storage/settle.ts';
import { markDifferingSectors } from '../stream/differing-sectors.ts';
import { PIECE_BYTES, type ReadPiece, type ReadRange, readAhead, storedPieces } from '../stream/read-ahead.ts';
import {
  type ComparedDisk,
  type ComparedSide,
  type ComparedStretch,
  type ReadSides,
  stretchesToRead,
  windowsOf,
} from './compare-stretches.ts';
import type { ProgressMeter } from './progress.ts';

/** How two disks are gone through. */
export interface WalkOptions {
  /** Told of every byte: `copied` is what was read, `skipped` what did not have to be. */
  readonly meter: ProgressMeter;
  /** Stops it. */
  readonly signal?: AbortSignal | undefined;
}

/** A stretch to be read, of one disk or of both, then one behind the other. */
interface PairRange extends ReadRange {
  readonly sides: ReadSides;
  /** Bytes of the disk that it covers. */
  readonly byteLength: number;
}

/** Finds where two disks differ, as far as both go, in whole sectors. To be gone through once. */
export class RangeFinder {
  /** Position of the first byte that differs, as far as it was looked for. */
  firstDifference: number | undefined;
  readonly #a: ComparedSide;
  readonly #b: ComparedSide;
  readonly #bitmap = new Uint8Array(PIECE_BYTES / SECTOR_BYTES / 8);
  readonly #zeros = new Uint8Array(PIECE_BYTES);

  /** For two disks. */
  constructor(a: ComparedSide, b: ComparedSide) {
    this.#a = a;
    this.#b = b;
  }

  /**
   * The ranges in which they differ, in order: from the first byte of a sector to the end of one or of the shorter disk. Those that
   * touch are joined within 2 MiB, at multiples of that they may be cut.
   */
  async *pieces({ meter, signal }: WalkOptions): AsyncGenerator<ReadRange> {
    const end = Math.min(this.#a.disk.size, this.#b.disk.size);
    const stretches = pairRanges(stretchesToRead(this.#a, this.#b, { end, signal }));
    let position = 0;
    for await (const piece of readAhead({ read: (...call) => this.#read(...call) }, stretches, { signal })) {
      meter.skipped(piece.start - position);
      position = piece.start + piece.byteLength;
      const ranges = this.#differences(piece);
      piece.release();
      meter.copied(piece.byteLength);
      yield* ranges;
    }
  }

  async #read(target: Uint8Array, position: number, { sides, byteLength }: PairRange): Promise<void> {
    if (byteLength === 0) return;
    const [a, b] = [this.#a.disk, this.#b.disk];
    if (sides === 'a') return a.read(target, position);
    if (sides === 'b') return b.read(target, position);
    const [first, second] = [target.subarray(0, byteLength), target.subarray(byteLength)];
    await settleAll([a.read(first, position), b.read(second, position)]);
  }

  #differences({ start, byteLength, bytes, sides }: ReadPiece<PairRange>): ReadRange[] {
    if (byteLength === 0 || (sides !== 'both' && isAllZeros(bytes))) return [];
    const first = bytes.subarray(0, byteLength);
    const second = sides === 'both' ? bytes.subarray(byteLength) : this.#zeros.subarray(0, byteLength);
    this.#bitmap.fill(0);
    if (markDifferingSectors(this.#bitmap, 0, first, second) === 0) return [];
    const ranges: ReadRange[] = [];
    for (const { sector, sectorCount, isSet } of decodeBitmap(this.#bitmap, Math.ceil(byteLength / SECTOR_BYTES))) {
      if (!isSet) continue;
      const offset = sector * SECTOR_BYTES;
      ranges.push({ start: start + offset, length: Math.min(sectorCount * SECTOR_BYTES, byteLength - offset) });
    }
    this.firstDifference ??= firstDifferingByte(first, second, (ranges[0]?.start ?? start) - start) + start;
    return ranges;
  }
}

async function* pairRanges(stretches: AsyncIterable<ComparedStretch>): AsyncGenerator<PairRange> {
  for await (const { start, length, sides } of stretches) {
    yield { start, length: sides === 'both' ? 2 * length : length, byteLength: length, sides };
  }
}

function firstDifferingByte(first: Uint8Array, second: Uint8Array, from: number): number {
  let index = from;
  while (first[index] === second[index]) index++;
  return index;
}

/** Joins ranges that touch. */
export async function* joinedRanges(ranges: AsyncIterable<ReadRange>): AsyncGenerator<ReadRange> {
  let last: ReadRange | undefined;
  for await (const range of ranges) {
    if (last !== undefined && last.start + last.length === range.start) {
      last = { start: last.start, length: last.length + range.length };
      continue;
    }
    if (last !== undefined) yield last;
    last = range;
  }
  if (last !== undefined) yield last;
}

/** Position of the first byte of a disk from `start` on that is not zero; undefined if all of them are. */
export async function firstData(
  disk: ComparedDisk,
  start: number,
  { meter, signal }: WalkOptions,
): Promise<number | undefined> {
  let position = start;
  const read = async (...[target, from]: Parameters<ComparedDisk['read']>): Promise<void> =>
    target.length === 0 ? undefined : disk.read(target, from);
  for await (const piece of readAhead({ read }, storedAfter(disk, start), { signal })) {
    meter.skipped(piece.start - position);
    position = piece.start + piece.length;
    const index = isAllZeros(piece.bytes) ? -1 : piece.bytes.findIndex((byte) => byte !== 0);
    piece.release();
    meter.copied(piece.length);
    if (index >= 0) return piece.start + index;
  }
  return undefined;
}

/** The stored pieces from `start` on; an empty one at the end of each window tells how far it is. */
async function* storedAfter(disk: ComparedDisk, start: number): AsyncGenerator<ReadRange> {
  for await (const window of windowsOf(start, disk.size)) {
    yield* storedPieces(disk, window);
    yield { start: window.start + window.length, length: 0 };
  }
}

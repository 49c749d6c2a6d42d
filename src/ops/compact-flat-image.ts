import { FlatDisk } from '../disk/flat.ts';
import { joinedRanges, type UnusedRange } from '../disk/unused-blocks.ts';
import { shellPath } from '../format/shell.ts';
import { isAllZeros } from '../format/zeros.ts';
import { freeSpaceOn } from '../inspect/free-space.ts';
import { borrowed } from '../storage/borrowed.ts';
import type { Storage } from '../storage/storage.ts';
import { piecesOf } from '../stream/read-ahead.ts';
import type { CompactOptions } from './compact-options.ts';
import { beginChange, type CompactOutcome, type CompactSubject, storedBytesOf } from './compact-subject.ts';
import { HOLE_GRAIN_BYTES } from './copy.ts';
import { ProgressMeter } from './progress.ts';
import { copyDraft } from './repair-copy.ts';

const PIECE_BYTES = 1024 * 1024;

/** A fixed or raw image. */
export interface FlatImage {
  /** Which. */
  readonly type: 'fixed' | 'raw';
  /** Bytes of the disk, which the file begins with. */
  readonly size: number;
}

/** Makes holes of what is zero in a fixed or raw image; or a copy with holes. */
export async function compactFlatImage(
  subject: CompactSubject,
  { type, size }: FlatImage,
  options: CompactOptions,
): Promise<CompactOutcome> {
  const { storage, shown } = subject;
  const { output, dryRun, unusedRanges } = options;
  const fileSize = await storage.size();
  const disk = new FlatDisk(borrowed(storage), size, true);
  const unused: UnusedRange[] = [];
  if (unusedRanges !== undefined) for await (const range of joinedRanges(disk, unusedRanges)) unused.push(range);
  const freeSpace = await freeSpaceOn(disk);
  const told = {
    ...{ path: output ?? shown, type, virtualSize: size, fileSizeBefore: fileSize, fileSize },
    ...{ droppedBlocks: 0, movedBlocks: 0, freeSpace },
  };
  if (output !== undefined && dryRun !== true) {
    const copied = await copyDraft(masked(storage, unused), shown, output, options);
    return { ...told, ...copied, droppedBytes: copied.skippedBytes, changed: copied.skippedBytes > 0, warnings: [] };
  }
  const holes = new Holes(subject, disk, options);
  const warning = await holes.make(unused);
  // Holes that nobody could tell from zeros are among them: the file system knows how much it really gave up.
  const storedBytes = dryRun === true ? 0 : await storedBytesOf(storage);
  const givenBack = storedBytes === null ? holes.byteLength : Math.max(0, (subject.storedBytes ?? 0) - storedBytes);
  const droppedBytes = Math.min(holes.byteLength, givenBack);
  const changed = droppedBytes > 0;
  const warnings = warning === undefined ? [] : [warning];
  return { ...told, copiedBytes: 0, skippedBytes: 0, droppedBytes, changed, warnings };
}

/** Gives room back, stretch by stretch. */
class Holes {
  /** Bytes that need no room. */
  byteLength = 0;
  readonly #subject: CompactSubject;
  readonly #disk: FlatDisk;
  readonly #options: CompactOptions;
  #isBegun = false;

  constructor(subject: CompactSubject, disk: FlatDisk, options: CompactOptions) {
    this.#subject = subject;
    this.#disk = disk;
    this.#options = options;
  }

  /** Makes holes of what is unused and of what is zero; why it cannot, if so. */
  async make(unused: readonly UnusedRange[]): Promise<string | undefined> {
    const { signal, onProgress } = this.#options;
    const meter = new ProgressMeter('punch', this.#disk.size, onProgress);
    for (const { start, length } of unused) {
      signal?.throwIfAborted();
      if (!(await this.#punch(start, length))) return this.#cannot();
    }
    let position = 0;
    const buffer = new Uint8Array(PIECE_BYTES);
    for await (const extent of this.#disk.extents()) {
      if (extent.kind === 'zero') continue;
      meter.skipped(extent.start - position);
      for (const { start, length } of piecesOf(extent.start, extent.start + extent.length, PIECE_BYTES)) {
        signal?.throwIfAborted();
        const piece = buffer.subarray(0, length);
        await this.#disk.read(piece, start);
        for (const run of zeroRuns(piece, start)) {
          if (!(await this.#punch(run.start, run.length))) return this.#cannot();
        }
        meter.skipped(length);
      }
      position = extent.start + extent.length;
    }
    if (this.#isBegun) await this.#subject.storage.flush();
    meter.finish();
    return undefined;
  }

  async #punch(start: number, length: number): Promise<boolean> {
    if (this.#options.dryRun !== true) {
      if (!this.#isBegun) await beginChange(this.#subject);
      this.#isBegun = true;
      if (!(await this.#subject.storage.punchHole(start, length))) return false;
    }
    this.byteLength += length;
    return true;
  }

  #cannot(): string {
    const { shown } = this.#subject;
    return `there are zeros in it whose room cannot be given back here: that takes Linux, the optional package koffi and a file system with holes; vhd compact ${shellPath(shown)} -o NEW writes a copy with holes`;
  }
}

/** The zeros of a piece that begins at `position`, in grains that are worth a hole. */
function zeroRuns(piece: Uint8Array, position: number): UnusedRange[] {
  const runs: { start: number; length: number }[] = [];
  for (const { start, length } of piecesOf(position, position + piece.length, HOLE_GRAIN_BYTES)) {
    if (!isAllZeros(piece.subarray(start - position, start - position + length))) continue;
    const last = runs.at(-1);
    if (last !== undefined && last.start + last.length === start) last.length += length;
    else runs.push({ start, length });
  }
  return runs;
}

/** A storage that has zeros in some ranges. */
function masked(storage: Storage, ranges: readonly UnusedRange[]): Storage {
  if (ranges.length === 0) return storage;
  return {
    ...borrowed(storage),
    async read(target, position) {
      await storage.read(target, position);
      for (const { start, length } of ranges) {
        const from = Math.max(start - position, 0);
        const to = Math.min(start + length - position, target.length);
        if (to > from) target.fill(0, from, to);
      }
    },
  };
}

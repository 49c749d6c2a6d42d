import { FlatDisk } from '../disk/flat.ts';
import type { UnusedRange } from '../disk/unused-blocks.ts';
import { shellPath } from '../format/shell.ts';
import { alignUp } from '../format/spec.ts';
import { isAllZeros } from '../format/zeros.ts';
import { freeSpaceOn } from '../inspect/free-space.ts';
import { borrowed } from '../storage/borrowed.ts';
import type { FileStorage } from '../storage/file.ts';
import type { Storage } from '../storage/storage.ts';
import { piecesOf, type ReadRange } from '../stream/read-ahead.ts';
import type { CompactOptions } from './compact-options.ts';
import {
  beginChange,
  type CompactOutcome,
  type CompactSubject,
  storedBytesAt,
  storedBytesOf,
} from './compact-subject.ts';
import { masked, UnusedList } from './compact-unused.ts';
import { HOLE_GRAIN_BYTES } from './copy.ts';
import { ProgressMeter } from './progress.ts';
import { copyDraft, copyStored } from './repair-copy.ts';

const PIECE_BYTES = 1024 * 1024;

/** A fixed or raw image. */
export interface FlatImage {
  /** Which. */
  readonly type: 'fixed' | 'raw';
  /** Bytes of the disk, which the file begins with. */
  readonly size: number;
}

/** What was done to it. */
type Done = Pick<CompactOutcome, 'copiedBytes' | 'skippedBytes' | 'droppedBytes' | 'changed' | 'warnings'>;

/** Makes holes of what is zero in a fixed or raw image; or a copy with holes. */
export async function compactFlatImage(
  subject: CompactSubject,
  { type, size }: FlatImage,
  options: CompactOptions,
): Promise<CompactOutcome> {
  const { storage, shown } = subject;
  const { output, unusedRanges } = options;
  const fileSize = await storage.size();
  const disk = new FlatDisk(borrowed(storage), size, true);
  const unused = await UnusedList.of(disk, unusedRanges);
  const freeSpace = await freeSpaceOn(disk);
  const done =
    output === undefined
      ? await punchFlat(subject, { size, unused }, options)
      : await copyFlat(subject, unused, { ...options, output });
  return {
    ...{ path: output ?? shown, type, virtualSize: size, fileSizeBefore: fileSize, fileSize },
    ...{ droppedBlocks: 0, movedBlocks: 0, freeSpace, ...done },
  };
}

/** Given back is what the file system stores of the image and does not store of the copy. */
async function copyFlat(
  { storage, shown, storedBytes, watch }: CompactSubject,
  unused: UnusedList,
  options: CompactOptions & { readonly output: string },
): Promise<Done> {
  const { output, dryRun } = options;
  const source = masked(storage, unused);
  const beforeCommit = (): Promise<void> => watch.check();
  const { storedAfter, ...copied } =
    dryRun === true
      ? await measureCopy(source, await pageBytesOf(storage), options)
      : {
          ...(await copyDraft(source, shown, output, { ...options, beforeCommit })),
          storedAfter: await storedBytesAt(output),
        };
  const isKnown = storedBytes !== null && storedAfter !== null;
  const droppedBytes = isKnown ? Math.max(0, storedBytes - storedAfter) : copied.skippedBytes;
  return { ...copied, droppedBytes, changed: true, warnings: [] };
}

/** What a copy would be, which stores whole pages. */
async function measureCopy(
  source: Storage,
  pageBytes: number,
  { onProgress, signal }: CompactOptions,
): Promise<{ readonly copiedBytes: number; readonly skippedBytes: number; readonly storedAfter: number }> {
  const meter = new ProgressMeter('plan', await source.size(), onProgress);
  let storedAfter = 0;
  const count = (bytes: Uint8Array): Promise<void> => {
    storedAfter += alignUp(bytes.length, pageBytes);
    return Promise.resolve();
  };
  await copyStored(source, count, { meter, signal });
  meter.finish();
  return { copiedBytes: meter.copiedBytes, skippedBytes: meter.skippedBytes, storedAfter };
}

/** What is to be punched. */
interface Punching {
  /** Bytes of the disk. */
  readonly size: number;
  readonly unused: UnusedList;
}

async function punchFlat(subject: CompactSubject, punching: Punching, options: CompactOptions): Promise<Done> {
  const { storage, storedBytes, shown } = subject;
  const canPunch = await storage.canPunchHoles();
  let droppedBytes: number;
  let isRefused = false;
  if (options.dryRun === true || !canPunch) {
    const byteLength = Math.min(await giveable(storage, punching, options), storedBytes ?? Number.POSITIVE_INFINITY);
    isRefused = !canPunch && byteLength > 0;
    droppedBytes = canPunch ? byteLength : 0;
  } else {
    const holes = new Holes(subject, options);
    isRefused = !(await holes.make(punching));
    // Holes that nobody could tell from zeros are among them: the file system knows how much it really gave up.
    const storedAfter = await storedBytesOf(storage);
    droppedBytes = Math.min(holes.byteLength, Math.max(0, (storedBytes ?? 0) - (storedAfter ?? 0)));
  }
  const warnings = isRefused ? [refusal(shown)] : [];
  return { copiedBytes: 0, skippedBytes: 0, droppedBytes, changed: droppedBytes > 0, warnings };
}

function refusal(shown: string): string {
  return `there are zeros in it whose room cannot be given back here: that takes Linux, the optional package koffi and a file system with holes; vhd compact ${shellPath(shown)} -o NEW writes a copy with holes`;
}

/** Bytes whose room punching would give back: the pages that are stored, and are zero or not needed as a whole. */
async function giveable(
  storage: FileStorage,
  { size, unused }: Punching,
  { signal, onProgress }: CompactOptions,
): Promise<number> {
  const pageBytes = await pageBytesOf(storage);
  const disk = storedDisk(storage, size, unused);
  const meter = new ProgressMeter('plan', size, onProgress);
  const buffer = new Uint8Array(PIECE_BYTES);
  let pages = 0;
  for await (const { start, length } of exactPieces(disk)) {
    signal?.throwIfAborted();
    const piece = buffer.subarray(0, length);
    await disk.read(piece, start);
    const isGiven = new Uint8Array(Math.ceil(length / pageBytes));
    for (const range of [...zeroRuns(piece, start), ...unused.within(start, length)]) {
      const from = Math.ceil((range.start - start) / pageBytes);
      const to = Math.floor((range.start + range.length - start) / pageBytes);
      if (to > from) isGiven.fill(1, from, to);
    }
    for (const isPage of isGiven) pages += isPage;
    meter.skipped(length);
  }
  meter.finish();
  return pages * pageBytes;
}

/** The disk with zeros where nothing is needed, whose extents are what the file system stores. */
function storedDisk(storage: FileStorage, size: number, unused: UnusedList): FlatDisk {
  const findData = (position: number, length: number): ReturnType<FileStorage['findStored']> =>
    storage.findStored(position, length);
  return new FlatDisk({ ...masked(storage, unused), findData }, size, true);
}

/** What is stored, to the page: a hole that is read over is none to be made. */
async function* exactPieces(disk: FlatDisk): AsyncGenerator<ReadRange> {
  for await (const { start, length, kind } of disk.extents()) {
    if (kind === 'data') yield* piecesOf(start, start + length, PIECE_BYTES);
  }
}

/** What the file system gives back as a whole or not at all. */
async function pageBytesOf(storage: FileStorage): Promise<number> {
  const { blksize } = await storage.stat();
  return Math.max(512, Math.min(blksize, HOLE_GRAIN_BYTES));
}

/** Gives room back, stretch by stretch. */
class Holes {
  /** Bytes that need no room. */
  byteLength = 0;
  readonly #subject: CompactSubject;
  readonly #options: CompactOptions;
  #isBegun = false;

  constructor(subject: CompactSubject, options: CompactOptions) {
    this.#subject = subject;
    this.#options = options;
  }

  /** Makes holes of what is unused and of what is zero, durably as far as it comes; false if it cannot. */
  async make(punching: Punching): Promise<boolean> {
    const { storage } = this.#subject;
    let isMade: boolean;
    try {
      isMade = (await this.#punchEach(punching.unused)) && (await this.#punchZeros(punching));
    } catch (error) {
      if (this.#isBegun) await storage.flush().catch(() => undefined);
      throw error;
    }
    if (this.#isBegun) await storage.flush();
    return isMade;
  }

  async #punchZeros({ size, unused }: Punching): Promise<boolean> {
    const { signal, onProgress } = this.#options;
    const disk = storedDisk(this.#subject.storage, size, unused);
    const meter = new ProgressMeter('punch', size, onProgress);
    const buffer = new Uint8Array(PIECE_BYTES);
    for await (const { start, length } of exactPieces(disk)) {
      signal?.throwIfAborted();
      const piece = buffer.subarray(0, length);
      await disk.read(piece, start);
      if (!(await this.#punchEach(zeroRuns(piece, start)))) return false;
      meter.skipped(length);
    }
    meter.finish();
    return true;
  }

  async #punchEach(ranges: Iterable<ReadRange>): Promise<boolean> {
    for (const { start, length } of ranges) {
      this.#options.signal?.throwIfAborted();
      if (!this.#isBegun) await beginChange(this.#subject);
      this.#isBegun = true;
      if (!(await this.#subject.storage.punchHole(start, length))) return false;
      this.byteLength += length;
    }
    return true;
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

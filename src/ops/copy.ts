import type { Disk, Extent } from '../disk/disk.ts';
import { type DataRun, dataRuns } from '../format/zeros.ts';
import { settleAll } from '../storage/settle.ts';
import type { Storage } from '../storage/storage.ts';
import { PIECE_BYTES, type ReadRange } from '../stream/read-ahead.ts';
import type { ProgressMeter } from './progress.ts';

/** Pieces on their way at a time, being read or written. Three of 2 MiB keep two processors busy; five cost a tenth more of their time. */
const WORKERS = 3;

/** Grain in which zeros are left out where they leave a hole: below it, holes cost more calls than they save room. */
export const HOLE_GRAIN_BYTES: number = 64 * 1024;

/** Stretches with so little between them are read by one call, with what is between: a call costs more than the bytes. */
const JOINED_GAP_BYTES = 64 * 1024;

/** How a disk is copied. */
export interface CopyOptions {
  /** Told of every byte. */
  readonly meter: ProgressMeter;
  /** Grain in which zeros are left out: {@link HOLE_GRAIN_BYTES} for flat targets, a block for dynamic ones. */
  readonly grainBytes: number;
  /**
   * Copy only what links above this one in the chain decide, to the sector: 1 is what the image itself owns. What is left
   * out is not counted. Default: all of the disk.
   */
  readonly belowDepth?: number | undefined;
  /** Stops it. */
  readonly signal?: AbortSignal | undefined;
}

/** What is copied to. */
export interface CopyTarget extends Pick<Disk, 'write'> {
  /** Makes zeros of a range. Without, the target has zeros there already. */
  readonly discard?: Disk['discard'] | undefined;
}

/**
 * Copies what a disk stores to the same places of a target, and hands what is zero to its `discard`, if it has one.
 * Several pieces are on their way, each read and then written; writes are issued in the order of the disk, so that equal
 * disks make equal images. When it rejects, nothing is on its way any more.
 */
export async function copyDisk(source: Disk, target: CopyTarget, options: CopyOptions): Promise<void> {
  const { meter, signal, grainBytes, belowDepth } = options;
  // Whole blocks would have sectors in them that other links decide.
  const extents = source.extents({ coarse: belowDepth === undefined });
  const feed = new PieceFeed(extents[Symbol.asyncIterator](), {
    meter,
    belowDepth,
    wantsZeros: target.discard !== undefined,
  });
  const copy: Copy = { source, target, meter, grainBytes, signal, feed, turn: Promise.resolve(), failure: undefined };
  await Promise.all(Array.from({ length: WORKERS }, () => work(copy)));
  await feed.close();
  if (copy.failure !== undefined) throw copy.failure.error;
  meter.finish();
}

/**
 * Makes an empty storage hold the bytes of a disk by sharing the room they take in the disk's file, where the file
 * system can. Takes no time and no room; what is zero without being a hole stays stored, shared like the rest. False if
 * that cannot be: then copy.
 */
export async function cloneDisk(source: Disk, target: Storage, meter: ProgressMeter): Promise<boolean> {
  if ((await source.cloneTo?.(target)) !== true) return false;
  for await (const { kind, length } of source.extents({ coarse: true })) {
    if (kind === 'data') meter.cloned(length);
    else meter.skipped(length);
  }
  meter.finish();
  return true;
}

interface Copy {
  readonly source: Disk;
  readonly target: CopyTarget;
  readonly meter: ProgressMeter;
  readonly grainBytes: number;
  readonly signal: AbortSignal | undefined;
  readonly feed: PieceFeed;
  /** Resolves when the write of the piece last taken has been issued. */
  turn: Promise<void>;
  failure: { readonly error: unknown } | undefined;
}

async function work(copy: Copy): Promise<void> {
  const buffer = new Uint8Array(PIECE_BYTES);
  try {
    while (copy.failure === undefined) {
      copy.signal?.throwIfAborted();
      if (!(await copy.feed.ready())) return;
      const piece = copy.feed.take();
      if (piece !== undefined) await copyPiece(copy, piece, buffer);
    }
  } catch (error) {
    copy.failure ??= { error };
  }
}

async function copyPiece(copy: Copy, parts: Piece, buffer: Uint8Array): Promise<void> {
  const previous = copy.turn;
  let pass = (): void => undefined;
  copy.turn = new Promise((resolve) => (pass = resolve));
  const writes: Promise<void>[] = [];
  let copiedBytes = 0;
  try {
    const bytesOf = await readPiece(copy.source, parts, buffer);
    await previous;
    if (copy.failure !== undefined) return;
    for (const part of parts) {
      const bytes = bytesOf(part);
      const runs = part.isZero ? [] : dataRuns(bytes, copy.grainBytes, part.start);
      writes.push(...writeRuns(copy, part, bytes, runs), ...discardRest(copy, part, runs));
      copiedBytes += runs.reduce((sum, run) => sum + run.length, 0);
    }
  } finally {
    pass();
  }
  // All of them, also when one fails: the buffer is needed again.
  await settleAll(writes);
  copy.meter.copied(copiedBytes);
  copy.meter.skipped(parts.reduce((sum, { length }) => sum + length, -copiedBytes));
}

/** Reads from the first part that is not known to be zero to the last, by one call; where the bytes of a part are then. */
async function readPiece(source: Disk, parts: Piece, buffer: Uint8Array): Promise<(part: Part) => Uint8Array> {
  const data = parts.filter(({ isZero }) => !isZero);
  const [first, last] = [data[0], data.at(-1)];
  if (first === undefined || last === undefined) return () => buffer.subarray(0, 0);
  const length = last.start + last.length - first.start;
  // A buffer that is filled whole is not looked at through a view: that would be one to collect for every piece.
  const bytes = buffer.length === length ? buffer : buffer.subarray(0, length);
  await source.read(bytes, first.start);
  if (parts.length === 1) return () => bytes;
  return (part) => bytes.subarray(part.start - first.start, part.start - first.start + part.length);
}

function writeRuns({ target }: Copy, part: Part, bytes: Uint8Array, runs: readonly DataRun[]): Promise<void>[] {
  return runs.map((run) => target.write(bytes.subarray(run.start, run.start + run.length), part.start + run.start));
}

/** What lies between the runs of a part is zero. */
function discardRest({ target }: Copy, part: Part, runs: readonly DataRun[]): Promise<void>[] {
  if (target.discard === undefined) return [];
  const calls: Promise<void>[] = [];
  let position = 0;
  for (const { start, length } of [...runs, { start: part.length, length: 0 }]) {
    if (start > position) calls.push(target.discard(part.start + position, start - position));
    position = start + length;
  }
  return calls;
}

/** A stretch of the disk that is copied as one. */
interface Part extends ReadRange {
  /** True if it is known to be zero without being read. */
  readonly isZero: boolean;
}

/** Parts in the order of the disk, near enough to be read by one call. */
type Piece = readonly Part[];

/** How extents become pieces. */
interface FeedOptions extends Pick<CopyOptions, 'meter' | 'belowDepth'> {
  /** True if stretches that are known to be zero are pieces too. */
  readonly wantsZeros: boolean;
}

/** The pieces of a disk one by one; zeros that nobody wants are counted as skipped on the way. */
class PieceFeed {
  readonly #extents: AsyncIterator<Extent>;
  readonly #options: FeedOptions;
  /** What is left of the extent that came last. */
  #rest: Part | undefined;
  #piece: Part[] = [];
  #isDone = false;
  #filling: Promise<void> | undefined;

  constructor(extents: AsyncIterator<Extent>, options: FeedOptions) {
    this.#extents = extents;
    this.#options = options;
  }

  /** True if `take` has a piece, unless another caller is faster; what it waits for, all callers wait for together. */
  async ready(): Promise<boolean> {
    for (;;) {
      // A piece that parts are still being added to is not one yet.
      if (this.#filling !== undefined) await this.#filling;
      else if (this.#piece.length > 0) return true;
      else if (this.#isDone && this.#rest === undefined) return false;
      else this.#filling = this.#collect().finally(() => (this.#filling = undefined));
    }
  }

  /** The next piece, undefined if another caller was faster. Does not go over a multiple of the piece size. */
  take(): Piece | undefined {
    // Not while parts are still being added to it.
    if (this.#piece.length === 0 || this.#filling !== undefined) return undefined;
    const piece = this.#piece;
    this.#piece = [];
    return piece;
  }

  async close(): Promise<void> {
    await this.#filling?.catch(() => undefined);
    await this.#extents.return?.();
  }

  async #collect(): Promise<void> {
    for (;;) {
      const next = this.#rest ?? (await this.#nextPart());
      const last = this.#piece.at(-1);
      this.#rest = next;
      if (next === undefined || (last !== undefined && !isNear(last, next))) return;
      const end = Math.min(next.start + next.length, windowOf(next.start) + PIECE_BYTES);
      const length = end - next.start;
      this.#piece.push({ ...next, length });
      this.#rest = length < next.length ? { ...next, start: end, length: next.length - length } : undefined;
    }
  }

  /** The next extent that is to be copied. */
  async #nextPart(): Promise<Part | undefined> {
    const { meter, belowDepth = Number.POSITIVE_INFINITY, wantsZeros } = this.#options;
    while (!this.#isDone) {
      const next = await this.#extents.next();
      if (next.done === true) break;
      const { start, length, kind, depth } = next.value;
      const isZero = kind === 'zero';
      if (depth >= belowDepth) continue;
      if (!isZero || wantsZeros) return { start, length, isZero };
      meter.skipped(length);
    }
    this.#isDone = true;
    return undefined;
  }
}

/** The first byte of the stretch of whole pieces that a position is in. */
function windowOf(position: number): number {
  return position - (position % PIECE_BYTES);
}

function isNear(last: Part, next: Part): boolean {
  return windowOf(last.start) === windowOf(next.start) && next.start - last.start - last.length <= JOINED_GAP_BYTES;
}

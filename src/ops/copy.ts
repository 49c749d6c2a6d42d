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

async function copyPiece(copy: Copy, piece: Piece, buffer: Uint8Array): Promise<void> {
  const previous = copy.turn;
  let pass = (): void => undefined;
  copy.turn = new Promise((resolve) => (pass = resolve));
  const bytes = buffer.length === piece.length ? buffer : buffer.subarray(0, piece.length);
  let writes: Promise<void>[] = [];
  let runs: readonly DataRun[] = [];
  try {
    if (!piece.isZero) {
      await copy.source.read(bytes, piece.start);
      runs = dataRuns(bytes, copy.grainBytes, piece.start);
    }
    await previous;
    if (copy.failure !== undefined) return;
    writes = [...writeRuns(copy, piece, bytes, runs), ...discardRest(copy, piece, runs)];
  } finally {
    pass();
  }
  // All of them, also when one fails: the buffer is needed again.
  await settleAll(writes);
  const copiedBytes = runs.reduce((sum, run) => sum + run.length, 0);
  copy.meter.copied(copiedBytes);
  copy.meter.skipped(piece.length - copiedBytes);
}

function writeRuns({ target }: Copy, piece: Piece, bytes: Uint8Array, runs: readonly DataRun[]): Promise<void>[] {
  return runs.map((run) => target.write(bytes.subarray(run.start, run.start + run.length), piece.start + run.start));
}

/** What lies between the runs of a piece is zero. */
function discardRest({ target }: Copy, piece: Piece, runs: readonly DataRun[]): Promise<void>[] {
  if (target.discard === undefined) return [];
  const calls: Promise<void>[] = [];
  let position = 0;
  for (const { start, length } of [...runs, { start: piece.length, length: 0 }]) {
    if (start > position) calls.push(target.discard(piece.start + position, start - position));
    position = start + length;
  }
  return calls;
}

/** A stretch of the disk that is copied at once. */
interface Piece extends ReadRange {
  /** True if it is known to be zero without being read. */
  readonly isZero: boolean;
}

/** How extents become pieces. */
interface FeedOptions extends Pick<CopyOptions, 'meter' | 'belowDepth'> {
  /** True if stretches that are known to be zero are pieces too. */
  readonly wantsZeros: boolean;
}

/** The pieces of a disk one by one; zeros that nobody wants are counted as skipped on the way. */
class PieceFeed {
  readonly #extents: AsyncIterator<Extent>;
  readonly #options: FeedOptions;
  #start = 0;
  #end = 0;
  #isZero = false;
  #isDone = false;
  #filling: Promise<void> | undefined;

  constructor(extents: AsyncIterator<Extent>, options: FeedOptions) {
    this.#extents = extents;
    this.#options = options;
  }

  /** True if `take` has a piece; what it waits for, all callers wait for together. */
  async ready(): Promise<boolean> {
    while (this.#start >= this.#end && !this.#isDone) {
      this.#filling ??= this.#fill().finally(() => (this.#filling = undefined));
      await this.#filling;
    }
    return this.#start < this.#end;
  }

  /** The next piece, undefined if another caller was faster. Ends at a multiple of the piece size, or with its extent. */
  take(): Piece | undefined {
    if (this.#start >= this.#end) return undefined;
    const start = this.#start;
    this.#start = Math.min(this.#end, start - (start % PIECE_BYTES) + PIECE_BYTES);
    return { start, length: this.#start - start, isZero: this.#isZero };
  }

  async close(): Promise<void> {
    await this.#filling?.catch(() => undefined);
    await this.#extents.return?.();
  }

  async #fill(): Promise<void> {
    const { meter, belowDepth, wantsZeros } = this.#options;
    const next = await this.#extents.next();
    if (next.done === true) {
      this.#isDone = true;
      return;
    }
    const { start, length, kind, depth } = next.value;
    if (belowDepth !== undefined && depth >= belowDepth) return;
    this.#isZero = kind === 'zero';
    if (this.#isZero && !wantsZeros) {
      meter.skipped(length);
      return;
    }
    this.#start = start;
    this.#end = start + length;
  }
}

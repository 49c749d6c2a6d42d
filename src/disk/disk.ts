import { VhdError, type VhdErrorCode } from '../errors.ts';
import type { Storage } from '../storage/storage.ts';

/** A stretch of a virtual disk that is of one kind. */
export interface Extent {
  /** First byte on the virtual disk. */
  readonly start: number;
  /** Bytes. */
  readonly length: number;
  /** `zero`: reads as zeros without being stored. `data`: stored, which does not say that it is not zero. */
  readonly kind: 'data' | 'zero';
  /** How many links up the chain of parents the bytes are decided; 0 is the image itself. */
  readonly depth: number;
  /**
   * Byte offset, in the file of the image at `depth`, of what the run holds: it lies there in one piece. Only in runs of
   * kind `data`, and only where {@link ExtentOptions.located} asks for it.
   */
  readonly fileOffset?: number | undefined;
}

/** A range of bytes: from `start` (default 0), `length` long (default: to the end). */
export interface ByteRange {
  /** First byte. */
  readonly start?: number | undefined;
  /** Bytes. */
  readonly length?: number | undefined;
}

/** Which extents are asked for. */
export interface ExtentOptions extends ByteRange {
  /**
   * Count everything that has a place in the file as data, without reading sector bitmaps to see which parts of it were
   * never written, and small holes of the file with what is around them. For who is going to read the data anyway.
   * Default false.
   */
  readonly coarse?: boolean | undefined;
  /** Tell where in the file data lies; runs then end where the next bytes lie elsewhere in the file. Default false. */
  readonly located?: boolean | undefined;
  /**
   * Called, in order, for every stretch about which the image says nothing that can be believed; the runs leave it out.
   * Without it the iteration rejects with the error instead.
   */
  readonly onUnknown?: ((stretch: UnknownStretch) => void) | undefined;
}

/** A stretch of a virtual disk whose bytes nobody can tell, because the image is damaged there. */
export interface UnknownStretch {
  /** First byte on the virtual disk. */
  readonly start: number;
  /** Bytes. */
  readonly length: number;
  /** What reading it would reject with. */
  readonly error: VhdError;
}

/**
 * A disk: bytes of a fixed size, at random access. Raw files, every type of VHD and objects of your own look alike.
 *
 * Positions and lengths are bytes; any range inside the disk is legal, whole sectors of 512 are fastest. Calls may
 * overlap in time: where their ranges overlap too they take effect in the order of the calls. A range that reaches
 * past the end is a `RangeError`.
 */
export interface Disk {
  /** Virtual size in bytes. */
  readonly size: number;
  /** True: `write` and `discard` reject with `ERR_VHD_READ_ONLY`. */
  readonly readOnly: boolean;
  /** Fills `target` with the bytes from `position` on. Sees everything written before, flushed or not. */
  read(target: Uint8Array, position: number): Promise<void>;
  /** Writes all of `source` at `position`. Durable after the next `flush`; `source` must not change until it resolves. */
  write(source: Uint8Array, position: number): Promise<void>;
  /** Makes a range read as zeros and gives its room back where that is possible. */
  discard(position: number, length: number): Promise<void>;
  /** Yields adjacent runs, each as long as possible, that together cover the range. */
  extents(options?: ExtentOptions): AsyncIterable<Extent>;
  /**
   * Makes `target`, which is empty, hold the bytes of this disk and nothing else, by sharing room with the file they lie
   * in: at once, whatever the size. False: that cannot be, and `target` is empty still. Optional.
   */
  cloneTo?(target: Storage): Promise<boolean>;
  /** Resolves when everything that had resolved before the call is durable. */
  flush(): Promise<void>;
  /** Flushes, releases; idempotent. Rejects if the flush fails. */
  close(): Promise<void>;
  /** Closes it, for `await using`. */
  [Symbol.asyncDispose](): Promise<void>;
}

/** The start and the end (exclusive) of a range on something of `size` bytes, checked. */
export function resolveRange(where: string, range: ByteRange, size: number): { start: number; end: number } {
  const start = range.start ?? 0;
  const end = range.length === undefined ? size : start + range.length;
  if (!Number.isSafeInteger(start) || !Number.isSafeInteger(end) || start < 0 || end < start || end > size) {
    throw new RangeError(
      `${where}: start ${start}, length ${range.length ?? 'to the end'} do not lie on ${size} bytes`,
    );
  }
  return { start, end };
}

/** What is joined: an {@link Extent}, or something like it. */
interface Joinable extends Pick<Extent, 'start' | 'length' | 'depth'> {
  readonly kind: string;
  readonly fileOffset?: number | null | undefined;
}

/** Joins neighbours of the same kind and depth, so that every run is as long as possible; in the file too where it is told. */
export async function* mergeExtents<E extends Joinable>(extents: AsyncIterable<E>): AsyncGenerator<E> {
  let last: E | undefined;
  for await (const extent of extents) {
    if (extent.length === 0) continue;
    if (last !== undefined && isContinuedBy(last, extent)) {
      last = { ...last, length: last.length + extent.length };
      continue;
    }
    if (last !== undefined) yield last;
    last = extent;
  }
  if (last !== undefined) yield last;
}

function isContinuedBy(run: Joinable, next: Joinable): boolean {
  if (run.kind !== next.kind || run.depth !== next.depth || run.start + run.length !== next.start) return false;
  const place = run.fileOffset ?? undefined;
  return (place === undefined ? undefined : place + run.length) === (next.fileOffset ?? undefined);
}

/** The errors that say of a stretch that its bytes cannot be told. */
const UNKNOWN_CODES: readonly VhdErrorCode[] = ['ERR_VHD_CORRUPT', 'ERR_VHD_TRUNCATED', 'ERR_VHD_BITMAP'];

/** True for an error that says of a stretch that its bytes cannot be told, because the image is damaged there. */
export function isUnknown(error: unknown): error is VhdError {
  return error instanceof VhdError && UNKNOWN_CODES.includes(error.code);
}

/** The error of a write to a disk that was opened for reading. */
export function readOnlyDiskError(name: string): VhdError {
  return new VhdError('ERR_VHD_READ_ONLY', 'the disk is open for reading only', {
    storage: name,
    remedy: 'open it with {writable: true}',
  });
}

import type { Disk } from '../disk/disk.ts';

/** A stretch of a disk to be read. */
export interface ReadRange {
  /** First byte. */
  readonly start: number;
  /** Bytes. */
  readonly length: number;
}

/** What comes with a stretch that was read. */
export interface ReadBytes {
  /** Its bytes. From a pool: they are the caller's until it calls `release`. */
  readonly bytes: Uint8Array;
  /** Hands the buffer back for another read. Not calling it only costs memory. */
  readonly release: () => void;
}

/** Bytes of a piece by default: one block of nearly every image. */
export const PIECE_BYTES = 2 * 1024 * 1024;
/** Pieces read ahead by default. */
export const READ_AHEAD_PIECES = 4;

/** A stretch that was read, as it was asked for, and its bytes. */
export type ReadPiece<R extends ReadRange = ReadRange> = R & ReadBytes;

/** What is read: a {@link Disk}, or something that looks at more of the range than where it begins. */
export interface ReadAheadSource<R extends ReadRange = ReadRange> {
  /** Fills `target`, as long as the range, with what is at `position`, its start. */
  read(target: Uint8Array, position: number, range: R): Promise<void>;
}

interface PendingRead<R> {
  readonly range: R;
  readonly bytes: Uint8Array;
  readonly done: Promise<Error | undefined>;
}

/**
 * Reads ranges of a disk in the order given, several at a time, so that reading and what the caller does with the bytes
 * overlap. When the caller stops early no read is left on its way.
 */
export async function* readAhead<R extends ReadRange>(
  disk: ReadAheadSource<R>,
  ranges: Iterable<R> | AsyncIterable<R>,
  options: { signal?: AbortSignal | undefined; depth?: number } = {},
): AsyncGenerator<ReadPiece<R>> {
  const { signal, depth = READ_AHEAD_PIECES } = options;
  const pool: Uint8Array[] = [];
  const pending: PendingRead<R>[] = [];
  const take = async (): Promise<ReadPiece<R>> => {
    const read = pending.shift();
    if (read === undefined) throw new Error('nothing is being read');
    const failure = await read.done;
    if (failure !== undefined) throw failure;
    return { ...read.range, bytes: read.bytes, release: () => pool.push(wholeBuffer(read.bytes)) };
  };
  try {
    for await (const range of ranges) {
      signal?.throwIfAborted();
      if (pending.length >= depth) yield await take();
      pending.push(startRead(disk, range, pool.pop()));
    }
    while (pending.length > 0) {
      signal?.throwIfAborted();
      yield await take();
    }
  } finally {
    await Promise.all(pending.map((read) => read.done));
  }
}

function startRead<R extends ReadRange>(
  disk: ReadAheadSource<R>,
  range: R,
  pooled: Uint8Array | undefined,
): PendingRead<R> {
  const isRoomy = pooled !== undefined && pooled.length >= range.length;
  const buffer = isRoomy ? pooled : new Uint8Array(Math.max(range.length, 4096));
  const bytes = buffer.subarray(0, range.length);
  const done = disk.read(bytes, range.start, range).then(
    () => undefined,
    (error: unknown) => (error instanceof Error ? error : new Error(String(error))),
  );
  return { range, bytes, done };
}

function wholeBuffer(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(bytes.buffer);
}

/** Cuts a range at multiples of `pieceBytes`, counted from the start of the disk. */
export function* piecesOf(start: number, end: number, pieceBytes: number = PIECE_BYTES): Generator<ReadRange> {
  let position = start;
  while (position < end) {
    const pieceEnd = Math.min(end, position - (position % pieceBytes) + pieceBytes);
    yield { start: position, length: pieceEnd - position };
    position = pieceEnd;
  }
}

/** The pieces of a disk that have a place in its file, in order. */
export async function* storedPieces(
  disk: Pick<Disk, 'extents'>,
  range: { start?: number | undefined; length?: number | undefined } = {},
  pieceBytes: number = PIECE_BYTES,
): AsyncGenerator<ReadRange> {
  for await (const extent of disk.extents({ ...range, coarse: true })) {
    if (extent.kind === 'data') yield* piecesOf(extent.start, extent.start + extent.length, pieceBytes);
  }
}

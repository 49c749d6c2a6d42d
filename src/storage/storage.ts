import { VhdError } from '../errors.ts';
import { settleAll } from './settle.ts';

/** What a storage can do; fixed from its opening to its end. */
export interface StorageCapabilities {
  /** False: `write`, `truncate` and `discard` reject. */
  readonly writable: boolean;
  /** False: it keeps its length, as a block device does; `truncate`, and writing past the end, reject. Default true. */
  readonly growable?: boolean | undefined;
  /** What `discard` does to the bytes: reads give zeros afterwards, or nothing happens. */
  readonly discard: 'zeroes' | 'ignored';
  /** True if what was written before a resolved `flush` survives a loss of power. */
  readonly durableFlush: boolean;
  /** Bytes per call at which the storage works well. */
  readonly preferredIoSize: number;
}

/** A stretch of a storage. */
export interface StoredRange {
  /** First byte. */
  readonly start: number;
  /** Bytes; more than 0. */
  readonly length: number;
}

/** Bytes, and where they go. */
export interface PlacedBytes {
  /** Of the first byte. */
  readonly position: number;
  /** The bytes. */
  readonly bytes: Uint8Array;
}

/** Targets, and where in a storage their bytes are. */
export interface StorageReads {
  /** The storage. */
  readonly storage: Storage;
  /** The targets; they do not overlap. */
  readonly reads: readonly PlacedBytes[];
}

/**
 * Bytes at offsets, with no notion of VHD: a file, memory, a blob, or an object of your own.
 *
 * Positions and lengths are bytes. Calls may overlap in time; a read sees every write that resolved before it began.
 * Only `flush` orders writes on the way to the medium. There is no cursor.
 */
export interface Storage {
  /** What to call it in messages; a path for files. */
  readonly name: string;
  /** What it can do. */
  readonly capabilities: StorageCapabilities;
  /** Its length in bytes now. */
  size(): Promise<number>;
  /** Fills `target` with the bytes from `position` on, or rejects: with `ERR_VHD_TRUNCATED` where the storage ends before. */
  read(target: Uint8Array, position: number): Promise<void>;
  /** Fills adjacent targets in one go. Optional: without it, each is filled by a `read` of its own. */
  readv?(targets: readonly Uint8Array[], position: number): Promise<void>;
  /** Writes all of `source` at `position`; past the end the storage grows, and a gap reads as zeros. */
  write(source: Uint8Array, position: number): Promise<void>;
  /** Writes adjacent sources in one go. Optional: without it, each goes by a `write` of its own. */
  writev?(sources: readonly Uint8Array[], position: number): Promise<void>;
  /** Fills targets from places that lie apart, in one go. Optional: without it, each is filled by a `read` of its own. */
  readEach?(reads: readonly PlacedBytes[]): Promise<void>;
  /** The same for this storage and others. Optional: without it, each storage is read by itself. */
  readAcross?(parts: readonly StorageReads[]): Promise<void>;
  /**
   * Writes pieces that do not overlap, in whatever order suits, in one go. Rejects, when all have ended, if any of them failed.
   * Optional: without it, each goes by a `write` of its own.
   */
  writeEach?(writes: readonly PlacedBytes[]): Promise<void>;
  /**
   * The first part of a range that may hold other bytes than zeros: it lies in the range, and everything before it reads
   * as zeros. Undefined: all of the range does. Sees every write that resolved before the call. Optional: without it,
   * all of a storage counts as stored.
   */
  findData?(position: number, length: number): Promise<StoredRange | undefined>;
  /**
   * Makes `target`, which is empty, hold the same bytes as this storage by sharing their room. False: that cannot be, and
   * `target` is empty still. Optional.
   */
  cloneTo?(target: Storage): Promise<boolean>;
  /** Cuts or extends the storage to `byteLength`; what it gains reads as zeros. */
  truncate(byteLength: number): Promise<void>;
  /** A barrier: resolves when every write that resolved before the call is durable. */
  flush(): Promise<void>;
  /** Gives the room of a range back, as `capabilities.discard` says; never changes the length. */
  discard(position: number, length: number): Promise<void>;
  /** Releases it; idempotent. What was not flushed may be lost. */
  close(): Promise<void>;
  /** Closes it, for `await using`. Optional. */
  [Symbol.asyncDispose]?(): Promise<void>;
}

/** Fills adjacent targets, in one call where the storage can. */
export async function readAdjacent(storage: Storage, targets: readonly Uint8Array[], position: number): Promise<void> {
  if (storage.readv !== undefined) return storage.readv(targets, position);
  let offset = position;
  for (const target of targets) {
    await storage.read(target, offset);
    offset += target.length;
  }
}

/** Writes adjacent sources, in one call where the storage can. */
export async function writeAdjacent(storage: Storage, sources: readonly Uint8Array[], position: number): Promise<void> {
  if (storage.writev !== undefined) return storage.writev(sources, position);
  let offset = position;
  for (const source of sources) {
    await storage.write(source, offset);
    offset += source.length;
  }
}

/** Fills targets from places that lie apart, in one call where the storage can; waits for all of them also when one fails. */
export async function readEach(storage: Storage, reads: readonly PlacedBytes[]): Promise<void> {
  if (storage.readEach !== undefined && reads.length > 1) return storage.readEach(reads);
  await settleAll(reads.map(({ position, bytes }) => storage.read(bytes, position)));
}

/** Fills targets from several storages, in one call where they can; waits for all of them also when one fails. */
export async function readAcross(parts: readonly StorageReads[]): Promise<void> {
  const able = parts.find(({ storage }) => storage.readAcross !== undefined);
  if (able?.storage.readAcross !== undefined && parts.length > 1) return able.storage.readAcross(parts);
  await settleAll(parts.map(({ storage, reads }) => readEach(storage, reads)));
}

/** Writes pieces that do not overlap, in one call where the storage can; waits for all of them also when one fails. */
export async function writeEach(storage: Storage, writes: readonly PlacedBytes[]): Promise<void> {
  if (storage.writeEach !== undefined && writes.length > 1) return storage.writeEach(writes);
  await settleAll(writes.map(({ position, bytes }) => storage.write(bytes, position)));
}

/** The error of a read that reaches past the end of its storage. */
export function truncatedError(storage: string, position: number, length: number, found: number): VhdError {
  return new VhdError(
    'ERR_VHD_TRUNCATED',
    `the file ends too early: expected ${length} bytes at offset ${position}, found ${Math.max(found, 0)}`,
    { storage, offset: position, expected: `${length} bytes`, found: `${Math.max(found, 0)} bytes` },
  );
}

/** The error of a write to a storage that was opened for reading. */
export function readOnlyError(storage: string): VhdError {
  return new VhdError('ERR_VHD_READ_ONLY', 'it is open for reading only', {
    storage,
    remedy: 'open it with {writable: true}',
  });
}

/** The error of a call on a storage or disk that was closed. */
export function closedError(storage: string): VhdError {
  return new VhdError('ERR_VHD_CLOSED', 'it is closed', { storage });
}

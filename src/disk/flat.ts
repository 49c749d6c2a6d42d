import { checkBytes, checkRange } from '../errors.ts';
import { ZERO_PIECE } from '../format/zeros.ts';
import {
  closedError,
  type PlacedBytes,
  type Storage,
  type StoredRange,
  truncatedError,
  writeAdjacent,
  writeEach,
} from '../storage/storage.ts';
import type { SpanPlace } from './chain-reader.ts';
import { type Extent, type ExtentOptions, readOnlyDiskError, resolveRange } from './disk.ts';
import { FlushQueue } from './flush-queue.ts';
import { RangeLock } from './range-lock.ts';
import type { Span } from './span-list.ts';
import { storedRanges } from './stored-ranges.ts';
import type { BackingDisk } from './write-back.ts';

/** A disk whose bytes lie one to one in a storage: a raw image, or the data of a fixed VHD. */
export class FlatDisk implements BackingDisk {
  readonly size: number;
  readonly readOnly: boolean;
  readonly #storage: Storage;
  readonly #locks = new RangeLock();
  readonly #flushes: FlushQueue;
  #isDirty = false;
  #closing: Promise<void> | undefined;

  /** Wraps the first `size` bytes of `storage`, which the disk closes with itself. */
  constructor(storage: Storage, size: number, readOnly: boolean) {
    this.#storage = storage;
    this.size = size;
    this.readOnly = readOnly;
    this.#flushes = new FlushQueue(storage.name, () => this.#makeDurable());
  }

  /** Name of the storage, for messages. */
  get name(): string {
    return this.#storage.name;
  }

  async read(target: Uint8Array, position: number): Promise<void> {
    this.checkUsable();
    checkBytes('read', target);
    checkRange('read', position, target.length, this.size);
    await this.#locks.run(position, target.length, false, () => this.#storage.read(target, position));
  }

  /** Where spans lie; nothing is told of a disk that is written to. */
  placesOf(spans: readonly Span[]): Promise<readonly (SpanPlace | undefined)[]> {
    const storage = this.#storage;
    return Promise.resolve(spans.map(({ start }) => (this.readOnly ? { storage, position: start } : undefined)));
  }

  async write(source: Uint8Array, position: number): Promise<void> {
    this.#checkWritable();
    checkBytes('write', source);
    checkRange('write', position, source.length, this.size);
    await this.#locks.run(position, source.length, true, async () => {
      // Marked on both sides of the write: a flush may start in between and must not clear the mark for good.
      this.#isDirty = true;
      await this.#storage.write(source, position);
      this.#isDirty = true;
    });
  }

  async writeEach(writes: readonly PlacedBytes[]): Promise<void> {
    this.#checkWritable();
    const ranges = writes.map(({ position, bytes }) => ({ start: position, end: position + bytes.length }));
    await this.#locks.runEach(ranges, true, async () => {
      this.#isDirty = true;
      await writeEach(this.#storage, writes);
      this.#isDirty = true;
    });
  }

  async discard(position: number, length: number): Promise<void> {
    this.#checkWritable();
    checkRange('discard', position, length, this.size);
    await this.#locks.run(position, length, true, async () => {
      this.#isDirty = true;
      if (this.#storage.capabilities.discard === 'zeroes') await this.#storage.discard(position, length);
      else await writeZeros(this.#storage, position, length);
      this.#isDirty = true;
    });
  }

  async *extents(options: ExtentOptions = {}): AsyncGenerator<Extent> {
    this.checkUsable();
    const { start, end } = resolveRange('extents', options, this.size);
    let position = start;
    for await (const range of storedRanges(this.#findData, start, end, options.coarse === true)) {
      if (range.start > position) yield { start: position, length: range.start - position, kind: 'zero', depth: 0 };
      yield { ...range, kind: 'data', depth: 0, ...(options.located === true ? { fileOffset: range.start } : {}) };
      position = range.start + range.length;
    }
    if (position < end) yield { start: position, length: end - position, kind: 'zero', depth: 0 };
  }

  async cloneTo(target: Storage): Promise<boolean> {
    this.checkUsable();
    return this.#locks.run(0, this.size, false, async () => {
      if ((await this.#storage.cloneTo?.(target)) !== true) return false;
      const byteLength = await target.size();
      if (byteLength < this.size) throw truncatedError(this.#storage.name, 0, this.size, byteLength);
      if (byteLength > this.size) await target.truncate(this.size);
      return true;
    });
  }

  async flush(): Promise<void> {
    this.checkUsable();
    await this.#flushes.flush();
  }

  async close(): Promise<void> {
    this.#closing ??= this.#close();
    await this.#closing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #makeDurable(): Promise<void> {
    if (!this.#isDirty) return;
    this.#isDirty = false;
    await this.#storage.flush();
  }

  async #close(): Promise<void> {
    await this.#locks.idle();
    try {
      await this.#flushes.flush();
    } finally {
      await this.#storage.close();
    }
  }

  /** Locked as a reading call: it sees the writes that were called before it. */
  readonly #findData = (position: number, length: number): Promise<StoredRange | undefined> =>
    this.#locks.run(position, length, false, async () =>
      this.#storage.findData === undefined ? { start: position, length } : this.#storage.findData(position, length),
    );

  /**
   * Checks that it takes calls.
   * @throws VhdError `ERR_VHD_POISONED` after a failed flush, `ERR_VHD_CLOSED`
   */
  checkUsable(): void {
    if (this.#closing !== undefined) throw closedError(this.#storage.name);
    this.#flushes.checkUsable();
  }

  #checkWritable(): void {
    this.checkUsable();
    if (this.readOnly) throw readOnlyDiskError(this.#storage.name);
  }
}

/** Writes zeros over a range of a storage, a megabyte a call, until `signal` is aborted. */
export async function writeZeros(
  storage: Storage,
  position: number,
  length: number,
  signal?: AbortSignal,
): Promise<void> {
  const end = position + length;
  let offset = position;
  while (offset < end) {
    signal?.throwIfAborted();
    const pieces = zeroPieces(Math.min(end - offset, 1024 * 1024));
    await writeAdjacent(storage, pieces, offset);
    offset += Math.min(end - offset, 1024 * 1024);
  }
}

/** `byteLength` zeros as pieces of one shared array, for a vectored write. */
export function zeroPieces(byteLength: number): Uint8Array[] {
  const pieces: Uint8Array[] = [];
  for (let left = byteLength; left > 0; left -= ZERO_PIECE.length) {
    pieces.push(ZERO_PIECE.subarray(0, Math.min(left, ZERO_PIECE.length)));
  }
  return pieces;
}

import { checkRange } from '../errors.ts';
import { closedError, readOnlyError, type Storage, type StorageCapabilities, truncatedError } from './storage.ts';

const PAGE_BYTES = 64 * 1024;

/** A storage in memory. Holes cost nothing: it is kept in pages of 64 KiB, those never written are not there. */
export class MemoryStorage implements Storage {
  readonly name: string;
  readonly capabilities: StorageCapabilities;
  readonly #pages = new Map<number, Uint8Array>();
  #byteLength = 0;
  #isClosed = false;

  /**
   * Makes a storage that may hold something already.
   * @param content bytes to begin with; copied
   * @param options `name` for messages (default `memory`), `writable` (default true)
   */
  constructor(content: Uint8Array = new Uint8Array(0), options: { name?: string; writable?: boolean } = {}) {
    this.name = options.name ?? 'memory';
    this.#put(content, 0);
    const writable = options.writable ?? true;
    this.capabilities = { writable, discard: 'zeroes', durableFlush: false, preferredIoSize: PAGE_BYTES };
  }

  async size(): Promise<number> {
    this.#checkOpen();
    return this.#byteLength;
  }

  async read(target: Uint8Array, position: number): Promise<void> {
    this.#checkOpen();
    checkRange('read', position, target.length, Number.MAX_SAFE_INTEGER);
    if (position + target.length > this.#byteLength) {
      throw truncatedError(this.name, position, target.length, this.#byteLength - position);
    }
    this.#forEachPiece(position, target.length, (page, inPage, done, length) => {
      const bytes = this.#pages.get(page);
      if (bytes === undefined) target.fill(0, done, done + length);
      else target.set(bytes.subarray(inPage, inPage + length), done);
    });
  }

  async write(source: Uint8Array, position: number): Promise<void> {
    this.#checkWritable();
    checkRange('write', position, source.length, Number.MAX_SAFE_INTEGER);
    this.#put(source, position);
  }

  async truncate(byteLength: number): Promise<void> {
    this.#checkWritable();
    checkRange('truncate', byteLength, 0, Number.MAX_SAFE_INTEGER);
    if (byteLength < this.#byteLength) this.#zero(byteLength, Number.MAX_SAFE_INTEGER - byteLength);
    this.#byteLength = byteLength;
  }

  async flush(): Promise<void> {
    this.#checkOpen();
  }

  async discard(position: number, length: number): Promise<void> {
    this.#checkWritable();
    checkRange('discard', position, length, this.#byteLength);
    this.#zero(position, length);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** A copy of all its bytes; also after `close`. */
  toBytes(): Uint8Array {
    const bytes = new Uint8Array(this.#byteLength);
    for (const [page, content] of this.#pages) {
      const offset = page * PAGE_BYTES;
      bytes.set(content.subarray(0, Math.min(PAGE_BYTES, this.#byteLength - offset)), offset);
    }
    return bytes;
  }

  #put(source: Uint8Array, position: number): void {
    this.#forEachPiece(position, source.length, (page, inPage, done, length) => {
      let bytes = this.#pages.get(page);
      if (bytes === undefined) this.#pages.set(page, (bytes = new Uint8Array(PAGE_BYTES)));
      bytes.set(source.subarray(done, done + length), inPage);
    });
    if (source.length > 0) this.#byteLength = Math.max(this.#byteLength, position + source.length);
  }

  #zero(position: number, length: number): void {
    const end = position + length;
    for (const [page, content] of this.#pages) {
      const start = page * PAGE_BYTES;
      if (start + PAGE_BYTES <= position || start >= end) continue;
      if (start >= position && start + PAGE_BYTES <= end) this.#pages.delete(page);
      else content.fill(0, Math.max(position - start, 0), Math.min(end - start, PAGE_BYTES));
    }
  }

  #forEachPiece(
    position: number,
    length: number,
    visit: (page: number, inPage: number, done: number, length: number) => void,
  ): void {
    let done = 0;
    while (done < length) {
      const inPage = (position + done) % PAGE_BYTES;
      const piece = Math.min(PAGE_BYTES - inPage, length - done);
      visit(Math.floor((position + done) / PAGE_BYTES), inPage, done, piece);
      done += piece;
    }
  }

  #checkOpen(): void {
    if (this.#isClosed) throw closedError(this.name);
  }

  #checkWritable(): void {
    this.#checkOpen();
    if (!this.capabilities.writable) throw readOnlyError(this.name);
  }
}

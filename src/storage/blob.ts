import { checkRange } from '../errors.ts';
import { closedError, readOnlyError, type Storage, type StorageCapabilities, truncatedError } from './storage.ts';

/** A `Blob` or `File` of the web as a storage, for reading. */
export class BlobStorage implements Storage {
  readonly name: string;
  readonly capabilities: StorageCapabilities = {
    writable: false,
    discard: 'ignored',
    durableFlush: false,
    preferredIoSize: 1024 * 1024,
  };
  readonly #blob: Blob;
  #isClosed = false;

  /** Wraps `blob`; `name` is for messages and defaults to the file's own name, or `blob`. */
  constructor(blob: Blob, name?: string) {
    this.#blob = blob;
    this.name = name ?? ('name' in blob && typeof blob.name === 'string' ? blob.name : 'blob');
  }

  async size(): Promise<number> {
    this.#checkOpen();
    return this.#blob.size;
  }

  async read(target: Uint8Array, position: number): Promise<void> {
    this.#checkOpen();
    checkRange('read', position, target.length, Number.MAX_SAFE_INTEGER);
    if (position + target.length > this.#blob.size) {
      throw truncatedError(this.name, position, target.length, this.#blob.size - position);
    }
    target.set(new Uint8Array(await this.#blob.slice(position, position + target.length).arrayBuffer()));
  }

  async write(): Promise<void> {
    throw readOnlyError(this.name);
  }

  async truncate(): Promise<void> {
    throw readOnlyError(this.name);
  }

  async discard(): Promise<void> {
    throw readOnlyError(this.name);
  }

  async flush(): Promise<void> {
    this.#checkOpen();
  }

  async close(): Promise<void> {
    this.#isClosed = true;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #checkOpen(): void {
    if (this.#isClosed) throw closedError(this.name);
  }
}

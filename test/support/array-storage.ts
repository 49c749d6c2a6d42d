import { readOnlyError, type Storage, truncatedError } from '../../src/storage/storage.ts';

/** A storage over bytes that it does not copy; it replaces them when it grows. */
export class ArrayStorage implements Storage {
  readonly name = 'array';
  readonly capabilities: Storage['capabilities'];
  /** What it holds. */
  bytes: Uint8Array;

  constructor(bytes: Uint8Array, writable = true) {
    this.bytes = bytes;
    this.capabilities = { writable, discard: 'ignored', durableFlush: false, preferredIoSize: 4096 };
  }

  async size(): Promise<number> {
    return this.bytes.length;
  }

  async read(target: Uint8Array, position: number): Promise<void> {
    const found = this.bytes.subarray(position, position + target.length);
    if (found.length < target.length) throw truncatedError(this.name, position, target.length, found.length);
    target.set(found);
  }

  async write(source: Uint8Array, position: number): Promise<void> {
    this.#checkWritable();
    if (position + source.length > this.bytes.length) await this.truncate(position + source.length);
    this.bytes.set(source, position);
  }

  async truncate(byteLength: number): Promise<void> {
    this.#checkWritable();
    const bytes = new Uint8Array(byteLength);
    bytes.set(this.bytes.subarray(0, byteLength));
    this.bytes = bytes;
  }

  async flush(): Promise<void> {
    return undefined;
  }

  async discard(): Promise<void> {
    return undefined;
  }

  async close(): Promise<void> {
    return undefined;
  }

  #checkWritable(): void {
    if (!this.capabilities.writable) throw readOnlyError(this.name);
  }
}

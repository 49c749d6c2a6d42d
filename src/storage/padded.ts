import { readOnlyError, type Storage, type StorageCapabilities, type StoredRange, truncatedError } from './storage.ts';

/** A storage read as if zeros followed its end, up to a length; for reading only. */
export class PaddedStorage implements Storage {
  readonly name: string;
  readonly capabilities: StorageCapabilities;
  readonly #inner: Storage;
  readonly #innerBytes: number;
  readonly #byteLength: number;

  /** Shows `inner`, which holds `innerBytes`, as `byteLength` bytes; closes it with itself. */
  constructor(inner: Storage, innerBytes: number, byteLength: number) {
    this.name = inner.name;
    this.capabilities = { ...inner.capabilities, writable: false };
    this.#inner = inner;
    this.#innerBytes = innerBytes;
    this.#byteLength = byteLength;
  }

  async size(): Promise<number> {
    return this.#byteLength;
  }

  async read(target: Uint8Array, position: number): Promise<void> {
    if (position + target.length > this.#byteLength) {
      throw truncatedError(this.name, position, target.length, this.#byteLength - position);
    }
    const stored = Math.min(Math.max(this.#innerBytes - position, 0), target.length);
    if (stored > 0) await this.#inner.read(target.subarray(0, stored), position);
    target.fill(0, stored);
  }

  async findData(position: number, length: number): Promise<StoredRange | undefined> {
    const stored = Math.min(Math.max(this.#innerBytes - position, 0), length);
    if (stored === 0) return undefined;
    return this.#inner.findData === undefined
      ? { start: position, length: stored }
      : this.#inner.findData(position, stored);
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
    await this.#inner.flush();
  }

  async close(): Promise<void> {
    await this.#inner.close();
  }
}

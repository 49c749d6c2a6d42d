import type { PlacedBytes, Storage, StorageCapabilities } from '../../src/storage/storage.ts';
import type { CrashStorage } from '../support/crash-storage.ts';

/** What arrives of a call that fails: of a write nothing, its first half or all; of another call nothing or all. */
export type Arrival = 'nothing' | 'part' | 'all';

/** Which call fails, and how. */
export interface Fault {
  /** The number of the call, from 1. */
  readonly at: number;
  readonly arrival: Arrival;
  /** True: from that call on whatever would make the file longer fails, as on a full file system. */
  readonly isFull: boolean;
}

/** A storage whose n-th call fails, of whatever kind it is; vectored calls count as one. */
export class FaultStorage implements Storage {
  readonly name = 'faulty';
  readonly capabilities: StorageCapabilities;
  /** What the failing calls rejected with. */
  readonly injected: Error[] = [];
  readonly #inner: CrashStorage;
  readonly #fault: Fault;
  #count = 0;

  constructor(inner: CrashStorage, fault: Fault) {
    this.#inner = inner;
    this.#fault = fault;
    this.capabilities = inner.capabilities;
  }

  /** True if that many calls were made that one of them was to fail. */
  get isReached(): boolean {
    return this.#count >= this.#fault.at;
  }

  size(): Promise<number> {
    return this.#call('size', () => this.#inner.size());
  }

  read(target: Uint8Array, position: number): Promise<void> {
    return this.#call('read', () => this.#inner.read(target, position));
  }

  async readv(targets: readonly Uint8Array[], position: number): Promise<void> {
    await this.#call('readv', async () => {
      let offset = position;
      for (const target of targets) {
        await this.#inner.read(target, offset);
        offset += target.length;
      }
    });
  }

  write(source: Uint8Array, position: number): Promise<void> {
    return this.#write('write', source, position);
  }

  writev(sources: readonly Uint8Array[], position: number): Promise<void> {
    return this.#write('writev', Buffer.concat(sources), position);
  }

  async writeEach(writes: readonly PlacedBytes[]): Promise<void> {
    const size = await this.#inner.size();
    const isGrowing = this.#fault.isFull && writes.some(({ position, bytes }) => position + bytes.length > size);
    const writeAll = async (some: readonly PlacedBytes[]): Promise<void> => {
      await Promise.all(some.map(({ position, bytes }) => this.#inner.write(bytes, position)));
    };
    const half = (): Promise<void> => writeAll(writes.slice(0, writes.length >>> 1));
    await this.#call('writeEach', () => writeAll(writes), { isGrowing, half });
  }

  truncate(byteLength: number): Promise<void> {
    return this.#call('truncate', () => this.#inner.truncate(byteLength));
  }

  flush(): Promise<void> {
    return this.#call('flush', () => this.#inner.flush());
  }

  discard(position: number, length: number): Promise<void> {
    return this.#call('discard', () => this.#inner.discard(position, length));
  }

  close(): Promise<void> {
    return this.#call('close', () => this.#inner.close());
  }

  async #write(name: string, source: Uint8Array, position: number): Promise<void> {
    const end = position + source.length;
    const isGrowing = this.#fault.isFull && end > (await this.#inner.size());
    const half = (): Promise<void> => this.#inner.write(source.subarray(0, source.length >>> 1), position);
    await this.#call(name, () => this.#inner.write(source, position), { isGrowing, half });
  }

  async #call<T>(
    name: string,
    perform: () => Promise<T>,
    write?: { readonly isGrowing: boolean; readonly half: () => Promise<void> },
  ): Promise<T> {
    const { at, arrival, isFull } = this.#fault;
    const number = ++this.#count;
    const isFailing = isFull ? number >= at && write?.isGrowing === true : number === at;
    if (!isFailing) return perform();
    if (arrival === 'all') await perform();
    if (arrival === 'part') await write?.half();
    if (name === 'flush') this.#inner.dropUnflushed();
    const error = Object.assign(new Error(`injected into call ${number}, ${name}`), {
      code: isFull ? 'ENOSPC' : 'EIO',
    });
    this.injected.push(error);
    throw error;
  }
}

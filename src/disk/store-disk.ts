import { closedError } from '../storage/storage.ts';
import type { BlockStore } from './block-store.ts';
import { readOnlyDiskError } from './disk.ts';
import { RangeLock } from './range-lock.ts';

/** What dynamic and differencing disks have in common: blocks in a file, and that they can be closed. */
export abstract class StoreDisk {
  /** Virtual size in bytes. */
  readonly size: number;
  /** True: `write` and `discard` reject. */
  readonly readOnly: boolean;
  protected readonly store: BlockStore;
  protected readonly locks: RangeLock = new RangeLock();
  #closing: Promise<void> | undefined;

  /** A disk of `size` bytes over a block store, which it closes with itself. */
  constructor(store: BlockStore, size: number, readOnly: boolean) {
    this.store = store;
    this.size = size;
    this.readOnly = readOnly;
  }

  /** Name of the file, for messages. */
  get name(): string {
    return this.store.name;
  }

  /** Blocks that have a place in the file. */
  get allocatedBlockCount(): number {
    return this.store.allocatedCount;
  }

  /** Largest power of two, up to 1 MiB, that the data of every block lies on; undefined without blocks. */
  get dataAlignment(): number | undefined {
    return this.store.dataAlignment;
  }

  /** Resolves when everything that had resolved before the call is durable. */
  async flush(): Promise<void> {
    this.checkUsable();
    await this.store.flush();
  }

  /** Flushes, releases; idempotent. Rejects if the flush fails. */
  async close(): Promise<void> {
    this.#closing ??= this.locks.idle().then(() => this.release());
    await this.#closing;
  }

  /** Closes it, for `await using`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  /** Closes what the disk has open, once. */
  protected async release(): Promise<void> {
    await this.store.close();
  }

  /** @throws VhdError `ERR_VHD_POISONED` after a failed barrier or table write, `ERR_VHD_CLOSED` */
  checkUsable(): void {
    if (this.#closing !== undefined) throw closedError(this.store.name);
    this.store.checkUsable();
  }

  /** @throws VhdError as `checkUsable`, and `ERR_VHD_READ_ONLY` */
  protected checkWritable(): void {
    this.checkUsable();
    if (this.readOnly) throw readOnlyDiskError(this.store.name);
  }
}

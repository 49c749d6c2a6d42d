import { checkBytes, checkRange } from '../errors.ts';
import { settleAll } from '../storage/settle.ts';
import { type Disk, type Extent, type ExtentOptions, mergeExtents, readOnlyDiskError, resolveRange } from './disk.ts';

const NAME = 'a disk with the end of another';

/** A disk, and behind its end what a larger one has there; for reading only. Closes neither. */
export class TailDisk implements Disk {
  readonly size: number;
  readonly readOnly = true;
  readonly #head: Disk;
  readonly #tail: Disk;

  /** `tail` is the larger one. */
  constructor(head: Disk, tail: Disk) {
    this.#head = head;
    this.#tail = tail;
    this.size = tail.size;
  }

  async read(target: Uint8Array, position: number): Promise<void> {
    checkBytes('read', target);
    checkRange('read', position, target.length, this.size);
    const ofHead = Math.min(Math.max(this.#head.size - position, 0), target.length);
    const calls: Promise<void>[] = [];
    if (ofHead > 0) calls.push(this.#head.read(target.subarray(0, ofHead), position));
    if (ofHead < target.length) calls.push(this.#tail.read(target.subarray(ofHead), position + ofHead));
    await settleAll(calls);
  }

  async write(): Promise<void> {
    throw readOnlyDiskError(NAME);
  }

  async discard(): Promise<void> {
    throw readOnlyDiskError(NAME);
  }

  async *extents(options: ExtentOptions = {}): AsyncGenerator<Extent> {
    const { start, end } = resolveRange('extents', options, this.size);
    yield* mergeExtents(this.#extents(start, end, options));
  }

  async *#extents(start: number, end: number, options: ExtentOptions): AsyncGenerator<Extent> {
    const middle = Math.min(Math.max(this.#head.size, start), end);
    if (middle > start) yield* this.#head.extents({ ...options, start, length: middle - start });
    if (end > middle) yield* this.#tail.extents({ ...options, start: middle, length: end - middle });
  }

  async flush(): Promise<void> {
    return undefined;
  }

  async close(): Promise<void> {
    return undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    return undefined;
  }
}

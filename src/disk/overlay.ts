import { checkBytes, checkRange } from '../errors.ts';
import { closedError } from '../storage/storage.ts';
import { type Disk, type Extent, type ExtentOptions, mergeExtents, readOnlyDiskError, resolveRange } from './disk.ts';

/** Bytes that stand in place of those of a disk. */
export interface Patch {
  /** First byte on the disk. */
  readonly position: number;
  /** The bytes. */
  readonly bytes: Uint8Array;
}

const NAME = 'a changed view of a disk';

/** A disk as it would be if it were larger and some of its bytes others; for reading only. What it gains is zero. */
export class OverlayDisk implements Disk {
  readonly size: number;
  readonly readOnly = true;
  readonly #base: Disk;
  readonly #patches: readonly Patch[];
  #closing: Promise<void> | undefined;

  /**
   * Shows `base` with `size` bytes, at least as many as it has, and `patches` over them; closes it with itself.
   * @param patches in ascending order, none over another, all inside `size`
   */
  constructor(base: Disk, size: number, patches: readonly Patch[]) {
    this.#base = base;
    this.size = size;
    this.#patches = patches;
  }

  async read(target: Uint8Array, position: number): Promise<void> {
    this.#checkOpen();
    checkBytes('read', target);
    checkRange('read', position, target.length, this.size);
    const stored = Math.min(Math.max(this.#base.size - position, 0), target.length);
    if (stored > 0) await this.#base.read(target.subarray(0, stored), position);
    target.fill(0, stored);
    applyPatches(target, position, this.#patches);
  }

  async write(): Promise<void> {
    this.#checkOpen();
    throw readOnlyDiskError(NAME);
  }

  async discard(): Promise<void> {
    this.#checkOpen();
    throw readOnlyDiskError(NAME);
  }

  async *extents(options: ExtentOptions = {}): AsyncGenerator<Extent> {
    this.#checkOpen();
    const { start, end } = resolveRange('extents', options, this.size);
    yield* mergeExtents(this.#patchedExtents(start, end, options.coarse));
  }

  async flush(): Promise<void> {
    this.#checkOpen();
    await this.#base.flush();
  }

  async close(): Promise<void> {
    this.#closing ??= this.#base.close();
    await this.#closing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #checkOpen(): void {
    if (this.#closing !== undefined) throw closedError(NAME);
  }

  async *#patchedExtents(start: number, end: number, coarse: boolean | undefined): AsyncGenerator<Extent> {
    for await (const extent of this.#baseExtents(start, end, coarse)) yield* withPatches(extent, this.#patches);
  }

  async *#baseExtents(start: number, end: number, coarse: boolean | undefined): AsyncGenerator<Extent> {
    const baseEnd = Math.min(end, this.#base.size);
    if (start < baseEnd) yield* this.#base.extents({ start, length: baseEnd - start, coarse });
    const tail = Math.max(start, baseEnd);
    if (tail < end) yield { start: tail, length: end - tail, kind: 'zero', depth: 0 };
  }
}

/** Puts what of `patches` lies there over bytes of a disk that begin at `position`. */
export function applyPatches(target: Uint8Array, position: number, patches: readonly Patch[]): void {
  for (const patch of patches) {
    const from = Math.max(patch.position, position);
    const to = Math.min(patch.position + patch.bytes.length, position + target.length);
    if (from < to) target.set(patch.bytes.subarray(from - patch.position, to - patch.position), from - position);
  }
}

/** An extent cut where patches begin and end; what is patched is data. Where it lies in a file is not told. */
function* withPatches({ start, length, kind, depth }: Extent, patches: readonly Patch[]): Generator<Extent> {
  const end = start + length;
  let position = start;
  for (const patch of patches) {
    const from = Math.max(patch.position, position);
    const to = Math.min(patch.position + patch.bytes.length, end);
    if (from >= to) continue;
    yield { start: position, length: from - position, kind, depth };
    yield { start: from, length: to - from, kind: 'data', depth };
    position = to;
  }
  yield { start: position, length: end - position, kind, depth };
}

import { checkRange } from '../errors.ts';
import { type Disk, type Extent, type ExtentOptions, mergeExtents, readOnlyDiskError, resolveRange } from './disk.ts';

/** Bytes that stand in place of those of a disk. */
export interface Patch {
  /** First byte on the disk. */
  readonly position: number;
  /** The bytes. */
  readonly bytes: Uint8Array;
}

/** A disk as it would be if it were larger and some of its bytes others; for reading only. What it gains is zero. */
export class OverlayDisk implements Disk {
  readonly size: number;
  readonly readOnly = true;
  readonly #base: Disk;
  readonly #patches: readonly Patch[];

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
    checkRange('read', position, target.length, this.size);
    const stored = Math.min(Math.max(this.#base.size - position, 0), target.length);
    if (stored > 0) await this.#base.read(target.subarray(0, stored), position);
    target.fill(0, stored);
    applyPatches(target, position, this.#patches);
  }

  async write(): Promise<void> {
    throw readOnlyDiskError('a changed view of a disk');
  }

  async discard(): Promise<void> {
    throw readOnlyDiskError('a changed view of a disk');
  }

  async *extents(options: ExtentOptions = {}): AsyncGenerator<Extent> {
    const { start, end } = resolveRange('extents', options, this.size);
    yield* mergeExtents(this.#patchedExtents(start, end, options.coarse));
  }

  async flush(): Promise<void> {
    await this.#base.flush();
  }

  async close(): Promise<void> {
    await this.#base.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
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

/** An extent cut where patches begin and end; what is patched is data. */
function* withPatches(extent: Extent, patches: readonly Patch[]): Generator<Extent> {
  const end = extent.start + extent.length;
  let position = extent.start;
  for (const patch of patches) {
    const from = Math.max(patch.position, position);
    const to = Math.min(patch.position + patch.bytes.length, end);
    if (from >= to) continue;
    yield { ...extent, start: position, length: from - position };
    yield { ...extent, start: from, length: to - from, kind: 'data' };
    position = to;
  }
  yield { ...extent, start: position, length: end - position };
}

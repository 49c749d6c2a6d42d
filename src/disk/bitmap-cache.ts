const MAX_CACHED_BYTES = 4 * 1024 * 1024;

/** The sector bitmaps that are not all ones, at most 4 MiB of them; the least recently used go first. */
export class BitmapCache {
  readonly #bitmaps = new Map<number, Uint8Array>();
  readonly #maxCount: number;

  /** For bitmaps of `bitmapBytes` each. */
  constructor(bitmapBytes: number) {
    this.#maxCount = Math.max(16, Math.floor(MAX_CACHED_BYTES / bitmapBytes));
  }

  /** The bitmap of a block, undefined if it is not held. */
  get(blockIndex: number): Uint8Array | undefined {
    const bitmap = this.#bitmaps.get(blockIndex);
    if (bitmap === undefined) return undefined;
    this.#bitmaps.delete(blockIndex);
    this.#bitmaps.set(blockIndex, bitmap);
    return bitmap;
  }

  /** Holds the bitmap of a block. */
  put(blockIndex: number, bitmap: Uint8Array): void {
    this.#bitmaps.set(blockIndex, bitmap);
    if (this.#bitmaps.size <= this.#maxCount) return;
    const [oldest] = this.#bitmaps.keys();
    if (oldest !== undefined) this.#bitmaps.delete(oldest);
  }

  /** Forgets the bitmap of a block. */
  drop(blockIndex: number): void {
    this.#bitmaps.delete(blockIndex);
  }
}

const MAX_CACHED_BYTES = 8 * 1024 * 1024;
/** More blocks than any table has. */
const KEYS_PER_IMAGE = 2 ** 32;

/**
 * The sector bitmaps that are not all ones, at most 8 MiB of them; the least recently used go first. The images of a chain
 * share one, each by its own number.
 */
export class BitmapCache {
  readonly #bitmaps = new Map<number, Uint8Array>();
  readonly #maxBytes: number;
  #byteLength = 0;
  #imageCount = 0;

  /** Holds at most `maxBytes`, but sixteen bitmaps in any case. */
  constructor(maxBytes = MAX_CACHED_BYTES) {
    this.#maxBytes = maxBytes;
  }

  /** Number of one more image that keeps its bitmaps here. */
  addImage(): number {
    return this.#imageCount++;
  }

  /**
   * How many bitmaps of `byteLength` bytes an image may have read before they are needed: were all images of a chain to take
   * more, they would drive out each other's before use.
   */
  roomAhead(byteLength: number): number {
    return Math.floor(this.#maxBytes / 2 / this.#imageCount / byteLength);
  }

  /** The bitmap of a block, undefined if it is not held. */
  get(image: number, blockIndex: number): Uint8Array | undefined {
    const key = image * KEYS_PER_IMAGE + blockIndex;
    const bitmap = this.#bitmaps.get(key);
    if (bitmap === undefined) return undefined;
    this.#bitmaps.delete(key);
    this.#bitmaps.set(key, bitmap);
    return bitmap;
  }

  /** Holds the bitmap of a block. */
  put(image: number, blockIndex: number, bitmap: Uint8Array): void {
    this.drop(image, blockIndex);
    this.#bitmaps.set(image * KEYS_PER_IMAGE + blockIndex, bitmap);
    this.#byteLength += bitmap.length;
    for (const [oldest, { length }] of this.#bitmaps) {
      if (this.#byteLength <= this.#maxBytes || this.#bitmaps.size <= 16) return;
      this.#bitmaps.delete(oldest);
      this.#byteLength -= length;
    }
  }

  /** Forgets the bitmap of a block. */
  drop(image: number, blockIndex: number): void {
    const key = image * KEYS_PER_IMAGE + blockIndex;
    this.#byteLength -= this.#bitmaps.get(key)?.length ?? 0;
    this.#bitmaps.delete(key);
  }
}

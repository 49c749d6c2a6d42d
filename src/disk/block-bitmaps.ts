import { areAllSet } from '../format/bitmap.ts';
import type { BlockLayout } from '../format/layout.ts';
import { SECTOR_BYTES } from '../format/spec.ts';
import { readEach, type Storage } from '../storage/storage.ts';
import { BitmapCache } from './bitmap-cache.ts';

/** A block that has a place. */
export interface BlockAt {
  /** The block. */
  readonly blockIndex: number;
  /** Byte offset of its bitmap in the file. */
  readonly blockOffset: number;
}

/** What is known of the sector bitmaps of a disk: a flag for every block whose bits are all set, a cache of the others. */
export class BlockBitmaps {
  readonly #storage: Storage;
  readonly #layout: BlockLayout;
  /** One byte a block, 1: it is known that every bit of its bitmap is set. */
  readonly #isFull: Uint8Array;
  readonly #others: BitmapCache;
  /** On their way from the file, so that nobody reads them twice. */
  readonly #reading = new Map<number, Promise<Uint8Array | 'full'>>();

  /** For `entryCount` blocks, of which nothing is known yet. */
  constructor(storage: Storage, layout: BlockLayout, entryCount: number) {
    this.#storage = storage;
    this.#layout = layout;
    this.#isFull = new Uint8Array(entryCount);
    this.#others = new BitmapCache(layout.bitmapBytes);
  }

  /** True if it is known that every bit is set. */
  isFull(blockIndex: number): boolean {
    return this.#isFull[blockIndex] === 1;
  }

  /** What is known of a block's bitmap; undefined if nothing is. */
  known(blockIndex: number): Uint8Array | 'full' | undefined {
    return this.isFull(blockIndex) ? 'full' : this.#others.get(blockIndex);
  }

  /** The bitmap of the block at an offset of the file, read from there where it is not known. */
  async of(blockIndex: number, blockOffset: number): Promise<Uint8Array | 'full'> {
    const known = this.known(blockIndex);
    if (known !== undefined) return known;
    // One that is read with others fails with them; that says nothing of this one.
    const reading = this.#reading.get(blockIndex)?.catch(() => undefined);
    return (await reading) ?? this.#read(blockIndex, blockOffset);
  }

  async #read(blockIndex: number, blockOffset: number): Promise<Uint8Array | 'full'> {
    const bitmap = new Uint8Array(this.#layout.bitmapBytes);
    await this.#storage.read(bitmap, blockOffset);
    return this.learn(blockIndex, bitmap);
  }

  /** Reads the bitmaps of blocks in one go, those that are neither known nor on their way; what cannot be read stays unknown. */
  async learnEach(blocks: Iterable<BlockAt>): Promise<void> {
    const unknown = [...blocks].filter(
      ({ blockIndex }) => this.known(blockIndex) === undefined && !this.#reading.has(blockIndex),
    );
    const bitmaps = unknown.map(() => new Uint8Array(this.#layout.bitmapBytes));
    const batch = readEach(
      this.#storage,
      unknown.map(({ blockOffset }, index) => ({ position: blockOffset, bytes: bitmaps[index] ?? new Uint8Array(0) })),
    );
    const learning = unknown.map(({ blockIndex }, index) =>
      batch
        .then(() => this.learn(blockIndex, bitmaps[index] ?? new Uint8Array(0)))
        .finally(() => this.#reading.delete(blockIndex)),
    );
    for (const [index, { blockIndex }] of unknown.entries()) {
      const reading = learning[index];
      if (reading !== undefined) this.#reading.set(blockIndex, reading);
    }
    await Promise.allSettled([batch, ...learning]);
  }

  /** Takes in a bitmap that was read. */
  learn(blockIndex: number, bitmap: Uint8Array): Uint8Array | 'full' {
    if (areAllSet(bitmap, this.#layout.blockSize / SECTOR_BYTES)) {
      this.#isFull[blockIndex] = 1;
      return 'full';
    }
    // Filled by a write while it was read: bitmap and bytes that came with it are both older, and fit each other.
    if (!this.isFull(blockIndex)) this.#others.put(blockIndex, bitmap);
    return bitmap;
  }

  /** Every bit of the block is set from now on. */
  setFull(blockIndex: number): void {
    this.#others.drop(blockIndex);
    this.#isFull[blockIndex] = 1;
  }

  /** The block has no place any more; what is read of it still says nothing of the next place it gets, where all bits are set. */
  forget(blockIndex: number): void {
    this.#others.drop(blockIndex);
    this.#isFull[blockIndex] = 0;
  }
}

import { areAllSet, setSectors } from '../format/bitmap.ts';
import type { BlockLayout } from '../format/layout.ts';
import { SECTOR_BYTES } from '../format/spec.ts';
import { readEach, type Storage } from '../storage/storage.ts';
import type { BitmapCache } from './bitmap-cache.ts';

/** A block that has a place. */
export interface BlockAt {
  /** The block. */
  readonly blockIndex: number;
  /** Byte offset of its bitmap in the file. */
  readonly blockOffset: number;
}

/** A bitmap that must not be forgotten: somebody is about to set bits, or the file does not have all of them. */
interface Held extends BlockAt {
  readonly bitmap: Uint8Array;
  userCount: number;
  /** It has bits that no copy holds. */
  isDirty: boolean;
  /** Copies of it on their way to the file. */
  leavingCount: number;
}

/** A copy of a bitmap, to be written to its place. */
export interface BitmapCopy extends BlockAt {
  /** The copy. */
  readonly bytes: Uint8Array;
  /** What it was taken of. */
  readonly bitmap: Uint8Array;
}

/**
 * What is known of the sector bitmaps of a disk: a flag for every block whose bits are all set, a cache of the others, and
 * those with bits that the file does not have yet.
 */
export class BlockBitmaps {
  readonly #storage: Storage;
  readonly #layout: BlockLayout;
  /** One bit a block: it is known that every bit of its bitmap is set. */
  readonly #isFull: Uint8Array;
  readonly #cache: BitmapCache;
  readonly #image: number;
  readonly #held = new Map<number, Held>();
  /**
   * On their way from the file. Nobody reads one twice at a time: the later reading could be of a time before bits were
   * set that are known by then.
   */
  readonly #reading = new Map<number, Promise<Uint8Array | 'full'>>();
  /** How often a block was freed. */
  #forgotten = 0;

  /** For `entryCount` blocks, of which nothing is known yet. */
  constructor(storage: Storage, layout: BlockLayout, entryCount: number, cache: BitmapCache) {
    this.#storage = storage;
    this.#layout = layout;
    this.#isFull = new Uint8Array(Math.ceil(entryCount / 8));
    this.#cache = cache;
    this.#image = cache.addImage();
  }

  /** True if it is known that every bit is set. */
  isFull(blockIndex: number): boolean {
    return ((this.#isFull[blockIndex >> 3] ?? 0) & (1 << (blockIndex & 7))) !== 0;
  }

  /** What is known of a block's bitmap; undefined if nothing is. */
  known(blockIndex: number): Uint8Array | 'full' | undefined {
    if (this.isFull(blockIndex)) return 'full';
    return this.#held.get(blockIndex)?.bitmap ?? this.#cache.get(this.#image, blockIndex);
  }

  /** The bitmap of the block at an offset of the file, read from there where it is not known. */
  async of(blockIndex: number, blockOffset: number): Promise<Uint8Array | 'full'> {
    const forgotten = this.#forgotten;
    for (;;) {
      const known = this.known(blockIndex);
      if (known !== undefined) return known;
      const reading = this.#reading.get(blockIndex);
      // Where a block was freed since, this may be the place it had then: nothing is to be learned from there.
      if (reading === undefined) return this.#read(blockIndex, blockOffset, forgotten === this.#forgotten);
      // One that is read with others fails with them; that says nothing of this one.
      const bitmap = await reading.catch(() => undefined);
      if (bitmap !== undefined) return bitmap;
    }
  }

  #read(blockIndex: number, blockOffset: number, isToLearn: boolean): Promise<Uint8Array | 'full'> {
    const bitmap = new Uint8Array(this.#layout.bitmapBytes);
    const arrival = this.#storage.read(bitmap, blockOffset);
    return isToLearn ? this.#whileReading(blockIndex, bitmap, arrival) : arrival.then(() => bitmap);
  }

  #whileReading(blockIndex: number, bitmap: Uint8Array, arrival: Promise<void>): Promise<Uint8Array | 'full'> {
    // Not any more once the block was freed: it may have got another place by the time this one answers.
    const isCurrent = (): boolean => this.#reading.get(blockIndex) === reading;
    const reading: Promise<Uint8Array | 'full'> = arrival
      .then(() => (isCurrent() ? this.learn(blockIndex, bitmap) : bitmap))
      .finally(() => {
        if (isCurrent()) this.#reading.delete(blockIndex);
      });
    this.#reading.set(blockIndex, reading);
    return reading;
  }

  /** Reads the bitmaps of blocks, each named once, in one go where they are neither known nor on their way; waits for the latter too. What cannot be read stays unknown. */
  async learnEach(blocks: Iterable<BlockAt>): Promise<void> {
    const reads = [];
    const underWay = [];
    for (const { blockIndex, blockOffset } of blocks) {
      const reading = this.#reading.get(blockIndex);
      if (reading !== undefined) underWay.push(reading);
      else if (this.known(blockIndex) === undefined) {
        reads.push({ blockIndex, position: blockOffset, bytes: new Uint8Array(this.#layout.bitmapBytes) });
      }
    }
    const batch = readEach(this.#storage, reads);
    const begun = reads.map(({ blockIndex, bytes }) => this.#whileReading(blockIndex, bytes, batch));
    await Promise.allSettled([...begun, ...underWay]);
  }

  /** Takes in a bitmap that was read. */
  learn(blockIndex: number, bitmap: Uint8Array): Uint8Array | 'full' {
    if (areAllSet(bitmap, this.#layout.blockSize / SECTOR_BYTES)) {
      this.#markFull(blockIndex);
      return 'full';
    }
    const held = this.#held.get(blockIndex);
    if (held !== undefined) return held.bitmap;
    // Filled by a write while it was read: bitmap and bytes that came with it are both older, and fit each other.
    if (!this.isFull(blockIndex)) this.#cache.put(this.#image, blockIndex, bitmap);
    return bitmap;
  }

  /** Every bit of the block is set from now on, in the file too. */
  setFull(blockIndex: number): void {
    this.#cache.drop(this.#image, blockIndex);
    this.#markFull(blockIndex);
  }

  #markFull(blockIndex: number): void {
    this.#isFull[blockIndex >> 3] = (this.#isFull[blockIndex >> 3] ?? 0) | (1 << (blockIndex & 7));
  }

  /** A new block has got this bitmap, which is in the file. */
  adopt(blockIndex: number, bitmap: Uint8Array): void {
    this.#cache.drop(this.#image, blockIndex);
    this.learn(blockIndex, bitmap);
  }

  /** The block has no place any more; what is read of it still says nothing of the next place it gets. */
  forget(blockIndex: number): void {
    this.#forgotten++;
    this.#cache.drop(this.#image, blockIndex);
    this.#reading.delete(blockIndex);
    this.#held.delete(blockIndex);
    this.#isFull[blockIndex >> 3] = (this.#isFull[blockIndex >> 3] ?? 0) & ~(1 << (blockIndex & 7));
  }

  /** Has the bitmap of a block at hand until `unpin`, so that bits can be set in it. */
  async pin(blockIndex: number, blockOffset: number): Promise<void> {
    const bitmap = await this.of(blockIndex, blockOffset);
    if (bitmap === 'full') return;
    this.#hold({ blockIndex, blockOffset }, bitmap).userCount++;
  }

  #hold(block: BlockAt, bitmap: Uint8Array): Held {
    const held = this.#held.get(block.blockIndex);
    if (held !== undefined) return held;
    const fresh = { ...block, bitmap, userCount: 0, isDirty: false, leavingCount: 0 };
    this.#held.set(block.blockIndex, fresh);
    return fresh;
  }

  /** Ends what `pin` began. */
  unpin(blockIndex: number): void {
    const held = this.#held.get(blockIndex);
    if (held === undefined) return;
    held.userCount = Math.max(0, held.userCount - 1);
    this.#release(held);
  }

  /** Sectors of a block, which is pinned, are in the file from now on; their bits leave with the next flush. */
  claim(blockIndex: number, sector: number, sectorCount: number): void {
    if (this.isFull(blockIndex)) return;
    const held = this.#held.get(blockIndex);
    if (held === undefined) throw new Error(`the bitmap of block ${blockIndex} is not pinned`);
    if (!setSectors(held.bitmap, sector, sectorCount)) return;
    held.isDirty = true;
    if (areAllSet(held.bitmap, this.#layout.blockSize / SECTOR_BYTES)) this.#markFull(blockIndex);
  }

  /** Bytes of bitmaps with bits that no flush has taken. */
  get dirtyBytes(): number {
    return this.#held.size * this.#layout.bitmapBytes;
  }

  /** Copies of the bitmaps that have new bits, in no order; call `settled` when they are in the file. */
  takeDirty(): BitmapCopy[] {
    const copies: BitmapCopy[] = [];
    for (const held of this.#held.values()) {
      if (!held.isDirty) continue;
      const { blockIndex, blockOffset, bitmap } = held;
      held.isDirty = false;
      held.leavingCount++;
      copies.push({ blockIndex, blockOffset, bitmap, bytes: bitmap.slice() });
    }
    return copies;
  }

  /** Copies are in the file: what has got no further bits can be read from there again. */
  settled(copies: readonly BitmapCopy[]): void {
    for (const { blockIndex, bitmap } of copies) {
      const held = this.#held.get(blockIndex);
      // The block may have been freed meanwhile, and have got another place.
      if (held?.bitmap !== bitmap) continue;
      held.leavingCount--;
      this.#release(held);
    }
  }

  #release(held: Held): void {
    if (held.userCount > 0 || held.isDirty || held.leavingCount > 0) return;
    this.#held.delete(held.blockIndex);
    if (!this.isFull(held.blockIndex)) this.#cache.put(this.#image, held.blockIndex, held.bitmap);
  }
}

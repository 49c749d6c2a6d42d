import type { BlockStore } from './block-store.ts';

/** Who goes from one block to the next has so many bitmaps read at a time. */
const LOOK_AHEAD_BLOCKS = 32;

/** Reads bitmaps, and those that come next where blocks are used one after the other. */
export class BitmapLookAhead {
  readonly #store: BlockStore;
  /** The first block that was looked ahead to, and the allocated one behind the last. */
  #first = -1;
  #next = -1;

  /** Reads those of a store. */
  constructor(store: BlockStore) {
    this.#store = store;
  }

  /** Reads the bitmaps of allocated blocks, in order, that are not known; what cannot be read is told when it is used. */
  async learn(unknown: readonly number[]): Promise<void> {
    const [first, last] = [unknown[0], unknown.at(-1)];
    if (first === undefined || last === undefined) return;
    // On their way already, for a call that began before this one.
    const isUnderWay = this.#first <= last && last < this.#next;
    const limit = Math.min(LOOK_AHEAD_BLOCKS, this.#store.bitmapRoomAhead);
    const ahead = first === this.#next ? this.#store.allocatedBlocks(last + 1, Infinity, limit) : [];
    if (!isUnderWay) {
      this.#first = last + 1;
      this.#next = this.#store.allocatedBlocks((ahead.at(-1) ?? last) + 1, Infinity, 1)[0] ?? -1;
    }
    await this.#store.learnBitmaps([...unknown, ...ahead]);
  }
}

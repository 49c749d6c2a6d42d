import { isAllZeros, ZERO_PIECE } from '../format/zeros.ts';
import { settleAll } from '../storage/settle.ts';
import { BitmapLookAhead } from './bitmap-look-ahead.ts';
import type { BitmapRule } from './bitmap-rule.ts';
import type { BlockPiece } from './block-pieces.ts';
import type { BlockStore } from './block-store.ts';
import type { BlockBytes } from './block-writes.ts';

/**
 * Changes blocks: gives those that have no place one, fills bitmaps that are not all ones before the first write.
 * Calls on separate bytes may overlap, also where they meet in a block; calls on the same bytes may not.
 */
export class BlockWriter {
  readonly #store: BlockStore;
  readonly #rule: BitmapRule | undefined;
  /** Blocks being given a place, or having their bitmap filled: other writes into them wait. */
  readonly #preparing = new Map<number, Promise<void>>();

  readonly #bitmaps: BitmapLookAhead;

  /** Writes to a store, which holds by the rule; without one bitmaps are exact, and pieces whole sectors. */
  constructor(store: BlockStore, rule?: BitmapRule) {
    this.#store = store;
    this.#rule = rule;
    this.#bitmaps = new BitmapLookAhead(store);
  }

  /** Writes a piece of a block. */
  async write(piece: BlockBytes): Promise<void> {
    for (;;) {
      const preparation = this.#preparing.get(piece.blockIndex);
      if (preparation !== undefined) {
        // Its own caller hears of a failure; this one finds the block as it then is and tries for itself.
        await preparation.catch(() => undefined);
        continue;
      }
      const blockOffset = this.#store.locate(piece.blockIndex);
      if (blockOffset === undefined) {
        if (this.#leavesOut(piece)) return;
        await this.#prepare([piece.blockIndex], this.#store.writeEach([piece]));
        return;
      }
      if (this.#store.isFull(piece.blockIndex)) return this.#store.write(blockOffset, piece.offsetInBlock, piece.bytes);
      if (this.#rule === undefined) return this.#store.writeEach([piece]);
      await this.#bitmaps.learn([piece.blockIndex]);
      if (this.#preparing.has(piece.blockIndex)) continue;
      await this.#prepare([piece.blockIndex], this.#fillBitmap(this.#rule, piece.blockIndex, blockOffset));
    }
  }

  /** Writes pieces of any blocks, in the order of the disk; all those that need no preparation in one go. */
  async writeEach(pieces: readonly BlockBytes[]): Promise<void> {
    if (pieces.length === 0) return;
    await this.#store.learnBitmaps(new Set(pieces.map((piece) => piece.blockIndex)));
    const ready: BlockBytes[] = [];
    const others: BlockBytes[] = [];
    const newBlocks = new Set<number>();
    for (const piece of pieces) {
      const { blockIndex } = piece;
      const isNew = this.#store.locate(blockIndex) === undefined;
      const isReady = isNew || this.#rule === undefined || this.#store.isFull(blockIndex);
      if (this.#preparing.has(blockIndex) || !isReady) others.push(piece);
      else if (!isNew) ready.push(piece);
      else if (!this.#leavesOut(piece)) {
        ready.push(piece);
        newBlocks.add(blockIndex);
      }
    }
    const batch = this.#prepare(newBlocks, this.#store.writeEach(ready));
    await settleAll([batch, ...others.map((piece) => this.write(piece))]);
  }

  async #prepare(blocks: Iterable<number>, preparation: Promise<void>): Promise<void> {
    for (const blockIndex of blocks) this.#preparing.set(blockIndex, preparation);
    try {
      await preparation;
    } finally {
      for (const blockIndex of blocks) this.#preparing.delete(blockIndex);
    }
  }

  /** Zeros need no new block where there is nothing but zeros without one. */
  #leavesOut({ bytes }: BlockBytes): boolean {
    return this.#rule !== undefined && isAllZeros(bytes);
  }

  async #fillBitmap(rule: BitmapRule, blockIndex: number, blockOffset: number): Promise<void> {
    const bitmap = await this.#store.bitmapOf(blockIndex, blockOffset);
    if (bitmap === 'full') return;
    await rule.check(blockIndex, blockOffset, bitmap);
    const clearBytes = rule.policy === 'honour' ? 'to-zero' : 'are-zero';
    await this.#store.fillBitmap(blockIndex, blockOffset, rule.dataBytes(blockIndex), clearBytes);
  }

  /** Frees a whole block, of which `dataBytes` are on the disk, and writes zeros into a part of one. */
  async discard(piece: BlockPiece, dataBytes: number): Promise<void> {
    const blockOffset = this.#store.locate(piece.blockIndex);
    if (blockOffset === undefined) return;
    if (piece.length === dataBytes) this.#store.free(piece.blockIndex, blockOffset);
    else await this.writeZeros(piece);
  }

  /** Writes zeros. */
  async writeZeros({ blockIndex, offsetInBlock, length }: BlockPiece): Promise<void> {
    for (let done = 0; done < length; done += ZERO_PIECE.length) {
      const bytes = ZERO_PIECE.subarray(0, Math.min(ZERO_PIECE.length, length - done));
      await this.write({ blockIndex, offsetInBlock: offsetInBlock + done, bytes });
    }
  }
}

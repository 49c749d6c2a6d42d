import { type BlockLayout, blockEnd, blockStride, footerOffsetFor } from '../format/layout.ts';
import { FOOTER_BYTES } from '../format/spec.ts';
import type { Storage } from '../storage/storage.ts';

/** How many blocks the file grows ahead: one footer written for sixteen blocks instead of one for each. */
const RESERVE_BLOCKS = 16;

/**
 * The end of a dynamic image. The file always ends with a valid footer: it grows by writing one at its new end, before
 * anything overwrites the old one, so that a process killed at any moment leaves an image every program opens.
 */
export class ImageEnd {
  readonly #storage: Storage;
  readonly #layout: BlockLayout;
  readonly #footer: Uint8Array;
  #footerOffset: number;
  #growing: Promise<void> | undefined;

  /** `footerOffset` is where the footer stands that ends the file now. */
  constructor(storage: Storage, layout: BlockLayout, footer: Uint8Array, footerOffset: number) {
    this.#storage = storage;
    this.#layout = layout;
    this.#footer = footer;
    this.#footerOffset = footerOffset;
  }

  /**
   * Makes sure that blocks at these offsets, one or more, lie before the footer; `blocksLeft` more may follow and bound
   * how far it reaches ahead. A footer replaced in a gap in front of the blocks, which nothing will ever cover, is zeroed.
   */
  async reserve(blockOffsets: readonly number[], blocksLeft: number): Promise<void> {
    const end = blockEnd(this.#layout, Math.max(...blockOffsets));
    while (end > this.#footerOffset) {
      const behind = blockOffsets.filter((offset) => blockEnd(this.#layout, offset) > this.#footerOffset);
      this.#growing ??= this.#grow(Math.min(...behind), end, blocksLeft).finally(() => (this.#growing = undefined));
      await this.#growing;
    }
  }

  async #grow(start: number, end: number, blocksLeft: number): Promise<void> {
    const ahead = Math.max(0, Math.min(RESERVE_BLOCKS - 1, blocksLeft));
    const footerOffset = footerOffsetFor(this.#layout, end + ahead * blockStride(this.#layout));
    try {
      await this.#storage.write(this.#footer, footerOffset);
    } catch (error) {
      // Nothing lies behind the old footer yet: cut off whatever part of the new one arrived. Best effort, the cause is told.
      await this.#storage.truncate(this.#footerOffset + FOOTER_BYTES).catch(() => undefined);
      throw error;
    }
    const replaced = this.#footerOffset;
    this.#footerOffset = footerOffset;
    if (replaced + FOOTER_BYTES <= start) await this.#storage.write(new Uint8Array(FOOTER_BYTES), replaced);
  }

  /** Gives back what was reserved behind `usedEnd`: footer there, barrier, cut, barrier. */
  async trim(usedEnd: number): Promise<void> {
    const footerOffset = footerOffsetFor(this.#layout, usedEnd);
    if (footerOffset >= this.#footerOffset) return;
    await this.#storage.write(this.#footer, footerOffset);
    await this.#storage.flush();
    await this.#storage.truncate(footerOffset + FOOTER_BYTES);
    await this.#storage.flush();
    this.#footerOffset = footerOffset;
  }
}

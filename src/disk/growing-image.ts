import { allOnesBitmap } from '../format/bitmap.ts';
import { encodeFooter } from '../format/footer.ts';
import { encodeFront, frontByteLength } from '../format/front.ts';
import { type BlockLayout, blockEnd, blockLayout, footerOffsetFor, nextBlockOffset } from '../format/layout.ts';
import { newFooter } from '../format/new-footer.ts';
import { MAX_DYNAMIC_SIZE, SECTOR_BYTES } from '../format/spec.ts';
import { isAllZeros } from '../format/zeros.ts';
import { settleAll } from '../storage/settle.ts';
import { type Storage, writeAdjacent } from '../storage/storage.ts';
import { checkImageSize, type ImageIdentity, identityFields } from './create-storage.ts';

/**
 * A dynamic image whose size is known only at its end, as when the disk comes down a pipe. Room for the largest table
 * is left as a hole in front; `finish` writes the table the size needs. Until then the file is no image: write it under
 * a temporary name.
 */
export class GrowingImage {
  readonly #storage: Storage;
  readonly #layout: BlockLayout;
  readonly #identity: ImageIdentity;
  readonly #sectors = new Map<number, number>();
  #usedEnd: number;

  /** Begins an image in an empty storage. */
  constructor(storage: Storage, blockSize: number, identity: ImageIdentity) {
    this.#storage = storage;
    this.#layout = blockLayout(blockSize, 'aligned');
    this.#identity = identity;
    this.#usedEnd = frontByteLength(MAX_DYNAMIC_SIZE, blockSize);
  }

  /**
   * Writes bytes of the disk; every block at most once, so `position` is a multiple of the block size, and so is the
   * length except at the end of the disk. Zeros take no room.
   */
  async write(source: Uint8Array, position: number): Promise<void> {
    const { blockSize } = this.#layout;
    const calls: Promise<void>[] = [];
    for (let done = 0; done < source.length; done += blockSize) {
      const bytes = source.subarray(done, done + blockSize);
      if (!isAllZeros(bytes)) calls.push(this.#writeBlock((position + done) / blockSize, bytes));
    }
    await settleAll(calls);
  }

  async #writeBlock(blockIndex: number, bytes: Uint8Array): Promise<void> {
    const offset = nextBlockOffset(this.#layout, this.#usedEnd);
    this.#usedEnd = blockEnd(this.#layout, offset);
    this.#sectors.set(blockIndex, offset / SECTOR_BYTES);
    await writeAdjacent(this.#storage, [allOnesBitmap(this.#layout.bitmapBytes), bytes], offset);
  }

  /**
   * Makes it an image of `size` bytes.
   * @throws VhdError `ERR_VHD_LIMIT` if a dynamic disk cannot be that large
   */
  async finish(size: number): Promise<void> {
    const { blockSize } = this.#layout;
    checkImageSize(size, 'dynamic', blockSize);
    const footer = encodeFooter(newFooter({ type: 'dynamic', size, ...identityFields(this.#identity) }));
    const front = encodeFront(footer, size, blockSize, this.#sectors);
    const footerOffset = footerOffsetFor(this.#layout, this.#sectors.size === 0 ? front.length : this.#usedEnd);
    await this.#storage.write(front, 0);
    await this.#storage.write(footer, footerOffset);
  }
}

import { VhdError } from '../errors.ts';
import { decodeBitmap } from '../format/bitmap.ts';
import { describeFinding, finding } from '../format/rules.ts';
import { SECTOR_BYTES } from '../format/spec.ts';
import { isAllZeros, ZERO_PIECE } from '../format/zeros.ts';
import type { BlockPiece } from './block-pieces.ts';
import type { BlockStore } from './block-store.ts';

/**
 * What a clear bit in the bitmap of a dynamic disk means where the bytes under it are not zero:
 * `strict` an error, `honour` zeros, `ignore` the bytes.
 */
export type BitmapPolicy = 'strict' | 'honour' | 'ignore';
/** The words of {@link BitmapPolicy}. */
export const BITMAP_POLICIES: readonly string[] = ['strict', 'honour', 'ignore'];

/** What becomes of bytes in sectors whose bit is clear, on a disk of a given size. */
export class BitmapRule {
  /** What such a bit means. */
  readonly policy: BitmapPolicy;
  readonly #store: BlockStore;
  readonly #size: number;

  /** For a disk of `size` bytes over a store. */
  constructor(store: BlockStore, size: number, policy: BitmapPolicy) {
    this.#store = store;
    this.#size = size;
    this.policy = policy;
  }

  /** Bytes of a block that lie on the disk; fewer than the block size in the last one. */
  dataBytes(blockIndex: number): number {
    const { blockSize } = this.#store.layout;
    return Math.min(blockSize, this.#size - blockIndex * blockSize);
  }

  /** Applies the bitmap to bytes that were read: what lies under clear bits must be zero, or is made so. */
  clear(piece: BlockPiece, bitmap: Uint8Array, blockOffset: number, target: Uint8Array): void {
    const firstSector = Math.floor(piece.offsetInBlock / SECTOR_BYTES);
    const endSector = Math.ceil((piece.offsetInBlock + piece.length) / SECTOR_BYTES);
    for (const run of decodeBitmap(bitmap, endSector - firstSector, firstSector)) {
      if (run.isSet) continue;
      const from = Math.max(run.sector * SECTOR_BYTES - piece.offsetInBlock, 0);
      const to = Math.min((run.sector + run.sectorCount) * SECTOR_BYTES - piece.offsetInBlock, piece.length);
      const bytes = target.subarray(from, to);
      if (isAllZeros(bytes)) continue;
      if (this.policy === 'strict') {
        const dirty = from + bytes.findIndex((byte) => byte !== 0);
        throw this.#bitmapError(piece, blockOffset, Math.floor((piece.offsetInBlock + dirty) / SECTOR_BYTES));
      }
      bytes.fill(0);
    }
  }

  #bitmapError(piece: BlockPiece, blockOffset: number, sector: number): VhdError {
    const offset = blockOffset + this.#store.layout.bitmapBytes + sector * SECTOR_BYTES;
    const item = finding('bitmap.data-under-clear-bit', {
      offset,
      expected: 'zeros, or the bit set',
      found: `other bytes in block ${piece.blockIndex}, sector ${sector} of the block`,
    });
    return new VhdError('ERR_VHD_BITMAP', describeFinding(item), {
      storage: this.#store.name,
      offset,
      rule: item.rule,
      expected: item.expected,
      found: item.found,
      remedy: 'say which is right: --bitmap honour reads zeros there, --bitmap ignore reads the bytes',
    });
  }

  /** Rejects, under `strict`, if a sector of a block whose bit is clear holds anything. */
  async check(blockIndex: number, blockOffset: number, bitmap: Uint8Array): Promise<void> {
    if (this.policy !== 'strict') return;
    const length = this.dataBytes(blockIndex);
    // One for all: zeroing a new one for each piece takes longer than what is done with it.
    const buffer = new Uint8Array(Math.min(ZERO_PIECE.length, length));
    for (let offsetInBlock = 0; offsetInBlock < length; offsetInBlock += buffer.length) {
      const target = buffer.subarray(0, Math.min(buffer.length, length - offsetInBlock));
      await this.#store.readData(blockOffset, offsetInBlock, target);
      const piece = { blockIndex, offsetInBlock, length: target.length, done: 0 };
      this.clear(piece, bitmap, blockOffset, target);
    }
  }
}

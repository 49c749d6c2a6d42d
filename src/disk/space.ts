import { VhdError } from '../errors.ts';
import { type BlockLayout, blockEnd, nextBlockOffset } from '../format/layout.ts';
import { SECTOR_BYTES, UNUSED_BAT_ENTRY } from '../format/spec.ts';

/** A place in the file for a block. */
export interface BlockPlace {
  /** Byte offset of the bitmap. */
  readonly offset: number;
  /** True if the file was made longer for it by this opening, so that it reads as zeros; else it may hold anything. */
  readonly isVirgin: boolean;
}

/**
 * Hands out the places of new blocks: freed ones first, then the end of the file.
 *
 * What is freed is quarantined: a place goes back into circulation only when a flush that began after the free is
 * durable. Otherwise a crash could leave a table that still points to a place another block's bytes have gone to.
 */
export class BlockSpace {
  readonly #layout: BlockLayout;
  readonly #virginFrom: number;
  readonly #storageName: string;
  /** Free places, the highest first, so that `pop` gives the lowest. */
  #free: number[] = [];
  #quarantined: number[] = [];
  #usedEnd: number;

  /** `usedEnd`: where metadata and blocks end now; `virginFrom`: where the file ended when it was opened. */
  constructor(layout: BlockLayout, usedEnd: number, virginFrom: number, storageName: string) {
    this.#layout = layout;
    this.#usedEnd = usedEnd;
    this.#virginFrom = virginFrom;
    this.#storageName = storageName;
  }

  /**
   * Takes a place.
   * @throws VhdError `ERR_VHD_LIMIT` if its sector number does not fit the 32 bits of a table entry
   */
  take(): BlockPlace {
    const reused = this.#free.pop();
    if (reused !== undefined) return { offset: reused, isVirgin: false };
    const offset = nextBlockOffset(this.#layout, this.#usedEnd);
    if (offset / SECTOR_BYTES >= UNUSED_BAT_ENTRY) {
      throw new VhdError(
        'ERR_VHD_LIMIT',
        `no block can begin at offset ${offset}: its sector number needs more than 32 bits`,
        {
          storage: this.#storageName,
          offset,
          expected: `a sector number below ${UNUSED_BAT_ENTRY}`,
          found: String(offset / SECTOR_BYTES),
        },
      );
    }
    this.#usedEnd = blockEnd(this.#layout, offset);
    return { offset, isVirgin: offset >= this.#virginFrom };
  }

  /** Takes a place back that no table on disk ever pointed to: it can be handed out at once, but is not virgin any more. */
  giveBack(offset: number): void {
    this.#free.push(offset);
    this.#free.sort((first, second) => second - first);
  }

  /** Frees a place that the table on disk may still point to. */
  quarantine(offset: number): void {
    this.#quarantined.push(offset);
  }

  /** The places freed so far; hand them to `release` when the flush that begins now is durable. */
  takeQuarantined(): number[] {
    const taken = this.#quarantined;
    this.#quarantined = [];
    return taken;
  }

  /** Puts places into circulation whose freeing is durable. */
  release(offsets: readonly number[]): void {
    if (offsets.length === 0) return;
    this.#free.push(...offsets);
    this.#free.sort((first, second) => second - first);
  }
}

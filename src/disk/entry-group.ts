import { viewOf } from '../format/bytes.ts';
import { BAT_ENTRY_BYTES, UNUSED_BAT_ENTRY } from '../format/spec.ts';
import { isAllOnes } from '../format/zeros.ts';

/** Entries of a group: a 2040 GiB disk that is nearly empty is looked through in no time, and takes no memory. */
export const GROUP_ENTRIES = 4096;
/** Bytes of a group in the file. */
export const GROUP_BYTES: number = GROUP_ENTRIES * BAT_ENTRY_BYTES;
/** Below this share of used entries they are listed: that takes less memory, and a little more time to find one. */
const LISTED_BELOW = GROUP_ENTRIES / 16;

/** A stretch of the block allocation table, of which some entries are used. Indexes count from its start. */
export interface EntryGroup {
  /** Entries in use. */
  readonly usedCount: number;
  /** The sector of an entry, {@link UNUSED_BAT_ENTRY} if it is not used. */
  get(index: number): number;
  /** Sets an entry; returns the group that has it. */
  set(index: number, sector: number): EntryGroup;
  /** The first entry in use from `index` on, undefined if there is none. */
  next(index: number): number | undefined;
}

/** Reads a group; undefined if nothing of it is in use. The last group of a table may be shorter. */
export function decodeGroup(bytes: Uint8Array): EntryGroup | undefined {
  if (isAllOnes(bytes)) return undefined;
  const view = viewOf(bytes);
  const entries = new Uint32Array(GROUP_ENTRIES).fill(UNUSED_BAT_ENTRY);
  let usedCount = 0;
  for (let index = 0; index < bytes.length / BAT_ENTRY_BYTES; index++) {
    const sector = view.getUint32(index * BAT_ENTRY_BYTES);
    entries[index] = sector;
    if (sector !== UNUSED_BAT_ENTRY) usedCount++;
  }
  return usedCount < LISTED_BELOW ? new ListedGroup(entries, usedCount) : new DenseGroup(entries);
}

/** All entries, used or not. */
export class DenseGroup implements EntryGroup {
  readonly #entries: Uint32Array;

  /** Takes over the entries. */
  constructor(entries: Uint32Array) {
    this.#entries = entries;
  }

  get usedCount(): number {
    let count = 0;
    for (const sector of this.#entries) if (sector !== UNUSED_BAT_ENTRY) count++;
    return count;
  }

  get(index: number): number {
    return this.#entries[index] ?? UNUSED_BAT_ENTRY;
  }

  set(index: number, sector: number): EntryGroup {
    this.#entries[index] = sector;
    return this;
  }

  next(index: number): number | undefined {
    for (let at = index; at < GROUP_ENTRIES; at++) if (this.#entries[at] !== UNUSED_BAT_ENTRY) return at;
    return undefined;
  }
}

/** The entries in use alone, in order. */
class ListedGroup implements EntryGroup {
  readonly #indexes: Uint16Array;
  readonly #sectors: Uint32Array;

  constructor(entries: Uint32Array, usedCount: number) {
    this.#indexes = new Uint16Array(usedCount);
    this.#sectors = new Uint32Array(usedCount);
    let count = 0;
    for (let index = 0; count < usedCount; index++) {
      const sector = entries[index] ?? UNUSED_BAT_ENTRY;
      if (sector === UNUSED_BAT_ENTRY) continue;
      this.#indexes[count] = index;
      this.#sectors[count++] = sector;
    }
  }

  get usedCount(): number {
    return this.#indexes.length;
  }

  get(index: number): number {
    const at = this.#firstFrom(index);
    return this.#indexes[at] === index ? (this.#sectors[at] ?? UNUSED_BAT_ENTRY) : UNUSED_BAT_ENTRY;
  }

  set(index: number, sector: number): EntryGroup {
    const entries = new Uint32Array(GROUP_ENTRIES).fill(UNUSED_BAT_ENTRY);
    for (const [at, used] of this.#indexes.entries()) entries[used] = this.#sectors[at] ?? UNUSED_BAT_ENTRY;
    return new DenseGroup(entries).set(index, sector);
  }

  next(index: number): number | undefined {
    return this.#indexes[this.#firstFrom(index)];
  }

  /** Where in the list the first entry from `index` on stands. */
  #firstFrom(index: number): number {
    let low = 0;
    let high = this.#indexes.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#indexes[middle] ?? 0) < index) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

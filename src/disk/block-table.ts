import { viewOf } from '../format/bytes.ts';
import { BAT_ENTRY_BYTES, SECTOR_BYTES, UNUSED_BAT_ENTRY } from '../format/spec.ts';
import { isAllOnes } from '../format/zeros.ts';
import type { PlacedBytes, Storage } from '../storage/storage.ts';

const ENTRIES_PER_SECTOR = SECTOR_BYTES / BAT_ENTRY_BYTES;
const PIECE_BYTES = 1024 * 1024;
/** Entries whose being unused is noted together: a 2040 GiB disk that is nearly empty is looked through in no time. */
const GROUP_ENTRIES = 4096;
const GROUP_BYTES = GROUP_ENTRIES * BAT_ENTRY_BYTES;

/**
 * The block allocation table in memory: the sector number of each block's bitmap, big-endian in the file, and which
 * of its sectors differ from the file. Holds the entries the virtual size needs, whatever the header claims.
 */
export class BlockTable {
  /** Sector numbers, {@link UNUSED_BAT_ENTRY} where a block is not allocated. Change them through `set`. */
  readonly entries: Uint32Array;
  readonly #tableOffset: number;
  readonly #dirtySectors = new Set<number>();
  /** One byte a group of entries, 0: all of them are unused. */
  readonly #isGroupUsed: Uint8Array;
  #allocatedCount = 0;

  private constructor(entryCount: number, tableOffset: number) {
    this.entries = new Uint32Array(entryCount).fill(UNUSED_BAT_ENTRY);
    this.#tableOffset = tableOffset;
    this.#isGroupUsed = new Uint8Array(Math.ceil(entryCount / GROUP_ENTRIES));
  }

  /** Reads `entryCount` entries at `tableOffset`; rejects with `ERR_VHD_TRUNCATED` if the file ends inside the table. */
  static async load(storage: Storage, tableOffset: number, entryCount: number): Promise<BlockTable> {
    const table = new BlockTable(entryCount, tableOffset);
    const byteLength = entryCount * BAT_ENTRY_BYTES;
    for (let done = 0; done < byteLength; done += PIECE_BYTES) {
      const piece = new Uint8Array(Math.min(PIECE_BYTES, byteLength - done));
      await storage.read(piece, tableOffset + done);
      table.#decode(piece, done / BAT_ENTRY_BYTES);
    }
    return table;
  }

  #decode(bytes: Uint8Array, firstEntry: number): void {
    for (let offset = 0; offset < bytes.length; offset += GROUP_BYTES) {
      const group = bytes.subarray(offset, offset + GROUP_BYTES);
      if (isAllOnes(group)) continue;
      const view = viewOf(group);
      const groupEntry = firstEntry + offset / BAT_ENTRY_BYTES;
      this.#isGroupUsed[groupEntry / GROUP_ENTRIES] = 1;
      for (let index = 0; index < group.length / BAT_ENTRY_BYTES; index++) {
        const sector = view.getUint32(index * BAT_ENTRY_BYTES);
        this.entries[groupEntry + index] = sector;
        if (sector !== UNUSED_BAT_ENTRY) this.#allocatedCount++;
      }
    }
  }

  /** Blocks that have a place in the file. */
  get allocatedCount(): number {
    return this.#allocatedCount;
  }

  /** The first allocated block from `blockIndex` on, undefined if there is none. */
  nextAllocated(blockIndex: number): number | undefined {
    let index = blockIndex;
    while (index < this.entries.length) {
      const group = Math.floor(index / GROUP_ENTRIES);
      if (this.#isGroupUsed[group] === 0) {
        index = (group + 1) * GROUP_ENTRIES;
        continue;
      }
      const groupEnd = Math.min((group + 1) * GROUP_ENTRIES, this.entries.length);
      for (; index < groupEnd; index++) if (this.entries[index] !== UNUSED_BAT_ENTRY) return index;
    }
    return undefined;
  }

  /** The allocated blocks in the order of the disk. */
  *allocated(): Generator<number> {
    for (let index = this.nextAllocated(0); index !== undefined; index = this.nextAllocated(index + 1)) yield index;
  }

  /** The next allocated blocks from `firstIndex` on, below `endIndex`, at most `limit` of them. */
  allocatedFrom(firstIndex: number, endIndex: number, limit: number): number[] {
    const found: number[] = [];
    let blockIndex = this.nextAllocated(firstIndex);
    while (blockIndex !== undefined && blockIndex < endIndex && found.length < limit) {
      found.push(blockIndex);
      blockIndex = this.nextAllocated(blockIndex + 1);
    }
    return found;
  }

  /** The last sector of the file in which a block begins; undefined without blocks. */
  get lastSector(): number | undefined {
    let last: number | undefined;
    for (const blockIndex of this.allocated()) last = Math.max(last ?? 0, this.entries[blockIndex] ?? 0);
    return last;
  }

  /** Largest power of two, up to 1 MiB, on which everything lies that is `byteLength` behind a block's start; undefined without blocks. */
  alignmentBehind(byteLength: number): number | undefined {
    let bits = 2048;
    for (const blockIndex of this.allocated()) bits |= (this.entries[blockIndex] ?? 0) + byteLength / SECTOR_BYTES;
    return this.#allocatedCount === 0 ? undefined : (bits & -bits) * SECTOR_BYTES;
  }

  /** Sets a block's entry; the file sees it when a copy taken by `takeDirty` is written. */
  set(blockIndex: number, sector: number): void {
    if (this.entries[blockIndex] !== UNUSED_BAT_ENTRY) this.#allocatedCount--;
    if (sector !== UNUSED_BAT_ENTRY) {
      this.#allocatedCount++;
      this.#isGroupUsed[Math.floor(blockIndex / GROUP_ENTRIES)] = 1;
    }
    this.entries[blockIndex] = sector;
    this.#dirtySectors.add(Math.floor(blockIndex / ENTRIES_PER_SECTOR));
  }

  /** Copies of the sectors that changed, adjacent ones joined, in file order; from now on they count as clean. */
  takeDirty(): PlacedBytes[] {
    const sectors = [...this.#dirtySectors].sort((first, second) => first - second);
    this.#dirtySectors.clear();
    const runs: PlacedBytes[] = [];
    let from = 0;
    while (from < sectors.length) {
      let to = from + 1;
      while (to < sectors.length && sectors[to] === (sectors[to - 1] ?? 0) + 1) to++;
      const first = sectors[from] ?? 0;
      runs.push({ position: this.#tableOffset + first * SECTOR_BYTES, bytes: this.#encode(first, to - from) });
      from = to;
    }
    return runs;
  }

  #encode(firstSector: number, sectorCount: number): Uint8Array {
    const firstEntry = firstSector * ENTRIES_PER_SECTOR;
    const entryCount = Math.min(sectorCount * ENTRIES_PER_SECTOR, this.entries.length - firstEntry);
    // Up to the last entry and no further: what follows in its sector may be anybody's.
    const bytes = new Uint8Array(entryCount * BAT_ENTRY_BYTES);
    const view = viewOf(bytes);
    for (let index = 0; index < entryCount; index++) {
      view.setUint32(index * BAT_ENTRY_BYTES, this.entries[firstEntry + index] ?? UNUSED_BAT_ENTRY);
    }
    return bytes;
  }
}

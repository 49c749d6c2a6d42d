import { viewOf } from '../format/bytes.ts';
import { BAT_ENTRY_BYTES, SECTOR_BYTES, UNUSED_BAT_ENTRY } from '../format/spec.ts';
import type { PlacedBytes, Storage } from '../storage/storage.ts';
import { DenseGroup, decodeGroup, type EntryGroup, GROUP_BYTES, GROUP_ENTRIES } from './entry-group.ts';

const ENTRIES_PER_SECTOR = SECTOR_BYTES / BAT_ENTRY_BYTES;
const PIECE_BYTES = 1024 * 1024;

/**
 * The block allocation table in memory: the sector number of each block's bitmap, big-endian in the file, and which
 * of its sectors differ from the file. Holds the entries the virtual size needs, whatever the header claims; of stretches
 * without blocks nothing, of those with few only these.
 */
export class BlockTable {
  /** Entries that the virtual size needs. */
  readonly entryCount: number;
  readonly #tableOffset: number;
  readonly #dirtySectors = new Set<number>();
  readonly #groups: (EntryGroup | undefined)[];
  #allocatedCount = 0;

  private constructor(entryCount: number, tableOffset: number) {
    this.entryCount = entryCount;
    this.#tableOffset = tableOffset;
    this.#groups = new Array<undefined>(Math.ceil(entryCount / GROUP_ENTRIES));
  }

  /** Reads `entryCount` entries at `tableOffset`; rejects with `ERR_VHD_TRUNCATED` if the file ends inside the table. */
  static async load(storage: Storage, tableOffset: number, entryCount: number): Promise<BlockTable> {
    const table = new BlockTable(entryCount, tableOffset);
    const byteLength = entryCount * BAT_ENTRY_BYTES;
    const buffer = new Uint8Array(Math.min(PIECE_BYTES, byteLength));
    for (let done = 0; done < byteLength; done += PIECE_BYTES) {
      const piece = buffer.subarray(0, Math.min(PIECE_BYTES, byteLength - done));
      await storage.read(piece, tableOffset + done);
      table.#decode(piece, done / BAT_ENTRY_BYTES);
    }
    return table;
  }

  #decode(bytes: Uint8Array, firstEntry: number): void {
    for (let offset = 0; offset < bytes.length; offset += GROUP_BYTES) {
      const group = decodeGroup(bytes.subarray(offset, offset + GROUP_BYTES));
      this.#groups[(firstEntry + offset / BAT_ENTRY_BYTES) / GROUP_ENTRIES] = group;
      this.#allocatedCount += group?.usedCount ?? 0;
    }
  }

  /** Blocks that have a place in the file. */
  get allocatedCount(): number {
    return this.#allocatedCount;
  }

  /** The sector of a block's bitmap; {@link UNUSED_BAT_ENTRY} if the block is not allocated, or if there is no such block. */
  sectorOf(blockIndex: number): number {
    const group = this.#groups[Math.floor(blockIndex / GROUP_ENTRIES)];
    return group?.get(blockIndex % GROUP_ENTRIES) ?? UNUSED_BAT_ENTRY;
  }

  /** The first allocated block from `blockIndex` on, undefined if there is none. */
  nextAllocated(blockIndex: number): number | undefined {
    let from = blockIndex % GROUP_ENTRIES;
    for (let index = Math.floor(blockIndex / GROUP_ENTRIES); index < this.#groups.length; index++) {
      const found = this.#groups[index]?.next(from);
      if (found !== undefined) return index * GROUP_ENTRIES + found;
      from = 0;
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
    for (const blockIndex of this.allocated()) last = Math.max(last ?? 0, this.sectorOf(blockIndex));
    return last;
  }

  /** Largest power of two, up to 1 MiB, on which everything lies that is `byteLength` behind a block's start; undefined without blocks. */
  alignmentBehind(byteLength: number): number | undefined {
    let bits = 2048;
    for (const blockIndex of this.allocated()) bits |= this.sectorOf(blockIndex) + byteLength / SECTOR_BYTES;
    return this.#allocatedCount === 0 ? undefined : (bits & -bits) * SECTOR_BYTES;
  }

  /** Sets a block's entry; the file sees it when a copy taken by `takeDirty` is written. */
  set(blockIndex: number, sector: number): void {
    if (this.sectorOf(blockIndex) !== UNUSED_BAT_ENTRY) this.#allocatedCount--;
    if (sector !== UNUSED_BAT_ENTRY) this.#allocatedCount++;
    const groupIndex = Math.floor(blockIndex / GROUP_ENTRIES);
    const group = this.#groups[groupIndex] ?? new DenseGroup(new Uint32Array(GROUP_ENTRIES).fill(UNUSED_BAT_ENTRY));
    this.#groups[groupIndex] = group.set(blockIndex % GROUP_ENTRIES, sector);
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
    const entryCount = Math.min(sectorCount * ENTRIES_PER_SECTOR, this.entryCount - firstEntry);
    // Up to the last entry and no further: what follows in its sector may be anybody's.
    const bytes = new Uint8Array(entryCount * BAT_ENTRY_BYTES);
    const view = viewOf(bytes);
    for (let index = 0; index < entryCount; index++) {
      view.setUint32(index * BAT_ENTRY_BYTES, this.sectorOf(firstEntry + index));
    }
    return bytes;
  }
}

import { viewOf } from '../format/bytes.ts';
import { batByteLength } from '../format/layout.ts';
import { BAT_ENTRY_BYTES, SECTOR_BYTES, UNUSED_BAT_ENTRY } from '../format/spec.ts';
import type { Storage } from '../storage/storage.ts';

const ENTRIES_PER_SECTOR = SECTOR_BYTES / BAT_ENTRY_BYTES;
const PIECE_BYTES = 1024 * 1024;

/** Bytes to be written at an offset of the file. */
export interface PlacedBytes {
  /** Byte offset in the file. */
  readonly offset: number;
  /** The bytes, a copy. */
  readonly bytes: Uint8Array;
}

/**
 * The block allocation table in memory: the sector number of each block's bitmap, big-endian in the file, and which
 * of its sectors differ from the file. Holds the entries the virtual size needs, whatever the header claims.
 */
export class BlockTable {
  /** Sector numbers, {@link UNUSED_BAT_ENTRY} where a block is not allocated. Change them through `set`. */
  readonly entries: Uint32Array;
  readonly #tableOffset: number;
  /** What follows the last entry in its sector; kept as it is. */
  readonly #tail: Uint8Array;
  readonly #dirtySectors = new Set<number>();

  /** Wraps entries that stand at `tableOffset`; `tail` is what follows them in their last sector. */
  constructor(entries: Uint32Array, tableOffset: number, tail: Uint8Array) {
    this.entries = entries;
    this.#tableOffset = tableOffset;
    this.#tail = tail;
  }

  /** Reads `entryCount` entries at `tableOffset`; rejects with `ERR_VHD_TRUNCATED` if the file ends inside the table. */
  static async load(storage: Storage, tableOffset: number, entryCount: number, fileSize: number): Promise<BlockTable> {
    const entries = new Uint32Array(entryCount);
    const byteLength = entryCount * BAT_ENTRY_BYTES;
    for (let done = 0; done < byteLength; done += PIECE_BYTES) {
      const piece = new Uint8Array(Math.min(PIECE_BYTES, byteLength - done));
      await storage.read(piece, tableOffset + done);
      decodeEntries(piece, entries, done / BAT_ENTRY_BYTES);
    }
    const tailBytes = batByteLength(entryCount) - byteLength;
    const tail = new Uint8Array(tailBytes).fill(0xff);
    if (tailBytes > 0 && tableOffset + byteLength + tailBytes <= fileSize) {
      await storage.read(tail, tableOffset + byteLength);
    }
    return new BlockTable(entries, tableOffset, tail);
  }

  /** True if something was set that no copy was taken of since. */
  get isDirty(): boolean {
    return this.#dirtySectors.size > 0;
  }

  /** Sets a block's entry; the file sees it when a copy taken by `takeDirty` is written. */
  set(blockIndex: number, sector: number): void {
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
      runs.push({ offset: this.#tableOffset + first * SECTOR_BYTES, bytes: this.#encode(first, to - from) });
      from = to;
    }
    return runs;
  }

  #encode(firstSector: number, sectorCount: number): Uint8Array {
    const bytes = new Uint8Array(sectorCount * SECTOR_BYTES);
    const view = viewOf(bytes);
    const firstEntry = firstSector * ENTRIES_PER_SECTOR;
    const entryCount = Math.min(sectorCount * ENTRIES_PER_SECTOR, this.entries.length - firstEntry);
    for (let index = 0; index < entryCount; index++) {
      view.setUint32(index * BAT_ENTRY_BYTES, this.entries[firstEntry + index] ?? UNUSED_BAT_ENTRY);
    }
    const tailOffset = entryCount * BAT_ENTRY_BYTES;
    if (tailOffset < bytes.length) bytes.set(this.#tail, tailOffset);
    return bytes;
  }
}

function decodeEntries(bytes: Uint8Array, entries: Uint32Array, firstEntry: number): void {
  const view = viewOf(bytes);
  const entryCount = bytes.length / BAT_ENTRY_BYTES;
  for (let index = 0; index < entryCount; index++) {
    entries[firstEntry + index] = view.getUint32(index * BAT_ENTRY_BYTES);
  }
}

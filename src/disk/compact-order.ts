import { SECTOR_BYTES } from '../format/spec.ts';
import type { BlockTable } from './block-table.ts';
import { firstIndexOf } from './placement.ts';

/** The blocks that have a place, as they lie in the file; 8 bytes a block. */
export interface BlockOrder {
  /** Index of each block. */
  readonly blocks: Uint32Array;
  /** Sector of its bitmap, ascending. */
  readonly sectors: Uint32Array;
}

/** Sorts the blocks of a table, of which no two begin at the same sector, by their places. */
export function blocksInFileOrder(table: BlockTable): BlockOrder {
  const sectors = new Uint32Array(table.allocatedCount);
  const blocks = new Uint32Array(table.allocatedCount);
  let count = 0;
  let isAscending = true;
  for (const blockIndex of table.allocated()) {
    blocks[count] = blockIndex;
    sectors[count] = table.sectorOf(blockIndex);
    if (count > 0 && (sectors[count - 1] ?? 0) > (sectors[count] ?? 0)) isAscending = false;
    count++;
  }
  if (isAscending) return { blocks, sectors };
  const sorted = sectors.slice().sort();
  // Each begins somewhere else: its sector is its place in the order.
  const ordered = new Uint32Array(count);
  for (let index = 0; index < count; index++) ordered[firstIndexOf(sorted, sectors[index] ?? 0)] = blocks[index] ?? 0;
  return { blocks: ordered, sectors: sorted };
}

/** The blocks of an order whose flag is `flag`. */
export function flagged({ blocks, sectors }: BlockOrder, flags: Uint8Array, flag: 0 | 1): BlockOrder {
  let count = 0;
  for (const each of flags) if (each === flag) count++;
  const chosen = { blocks: new Uint32Array(count), sectors: new Uint32Array(count) };
  let next = 0;
  // Not by `filter`, which holds every number as a value of its own first.
  for (let index = 0; index < flags.length; index++) {
    if (flags[index] !== flag) continue;
    chosen.blocks[next] = blocks[index] ?? 0;
    chosen.sectors[next++] = sectors[index] ?? 0;
  }
  return chosen;
}

/** Byte offset of the bitmap of the block at a place of the order. */
export function offsetAt({ sectors }: BlockOrder, index: number): number {
  return (sectors[index] ?? 0) * SECTOR_BYTES;
}

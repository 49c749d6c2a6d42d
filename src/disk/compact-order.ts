import { SECTOR_BYTES } from '../format/spec.ts';
import type { BlockTable } from './block-table.ts';
import { firstIndexOf } from './placement.ts';

/** The indexes of the blocks that have a place, as they lie in the file; no two of them begin at the same sector. */
export function blocksInFileOrder(table: BlockTable): Uint32Array {
  const sectors = new Uint32Array(table.allocatedCount);
  let count = 0;
  for (const blockIndex of table.allocated()) sectors[count++] = table.sectorOf(blockIndex);
  sectors.sort();
  const blocks = new Uint32Array(count);
  // Each begins somewhere else: where its sector stands among all of them is its place in the order.
  for (const blockIndex of table.allocated()) blocks[firstIndexOf(sectors, table.sectorOf(blockIndex))] = blockIndex;
  return blocks;
}

/**
 * Parts an order in its own memory, which for 2040 GiB is much, into the blocks with a flag, in the order they were in, and
 * the others, by index.
 */
export function partByFlag(order: Uint32Array, flags: Uint8Array): { kept: Uint32Array; dropped: Uint32Array } {
  let count = 0;
  for (const [index, flag] of flags.entries()) {
    if (flag === 0) continue;
    const block = order[index] ?? 0;
    order[index] = order[count] ?? 0;
    order[count++] = block;
  }
  return { kept: order.subarray(0, count), dropped: order.subarray(count).sort() };
}

/** Byte offset of the bitmap of the block at a place of an order. */
export function offsetAt(table: BlockTable, order: Uint32Array, index: number): number {
  return table.sectorOf(order[index] ?? 0) * SECTOR_BYTES;
}

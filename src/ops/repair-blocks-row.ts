import type { FileRange } from '../disk/placement.ts';
import { BAT_ENTRY_BYTES, SECTOR_BYTES } from '../format/spec.ts';
import type { RepairBlocks } from './repair-context.ts';

/** So much may lie between blocks, in bytes: what aligns them (minivhd leaves five sectors). */
const MAX_GAP_BYTES = 8192;

/**
 * True if headers, table and blocks of an image follow each other up to the footer, and each block fits between its
 * neighbours. A table that is read from another place lacks blocks, and a wrong block size leaves gaps or reaches over the next
 * block: neither makes a row. That all blocks lie where they can is no such proof.
 */
export function areBlocksInRow(blocks: RepairBlocks): boolean {
  const { context, layout, placement, findings } = blocks;
  if (!placement.bad.isEmpty || findings.some(({ rule }) => rule === 'file.leaked') || isTableOverOther(blocks)) {
    return false;
  }
  const { table } = context;
  const maxGap = Math.min(MAX_GAP_BYTES, layout.blockSize / 2);
  const blockBytes = layout.bitmapBytes + layout.blockSize;
  const front = frontRanges(blocks);
  let end = 0;
  const reach = (start: number): boolean => {
    while ((front[0]?.start ?? Infinity) <= start) {
      const range = front.shift();
      if (range === undefined || range.start - end > maxGap) return false;
      end = Math.max(end, range.end);
    }
    return start >= end && start - end <= maxGap;
  };
  const sectors = Uint32Array.from(table.allocated(), (blockIndex) => table.sectorOf(blockIndex)).sort();
  for (const sector of sectors) {
    const start = sector * SECTOR_BYTES;
    if (!reach(start)) return false;
    end = start + blockBytes;
  }
  return reach(context.dataLimit);
}

/** Headers, table and names, and what else belongs to them, in file order. */
function frontRanges({ context, metadataEnd }: RepairBlocks): FileRange[] {
  const needed = Math.max(...context.metadata.map(({ end }) => end));
  return [...context.metadata, { start: needed, end: metadataEnd }].sort((first, second) => first.start - second.start);
}

/** True if the header names a place for the table in which something else stands: then its offset is wrong. */
export function isTableOverOther({ context }: RepairBlocks): boolean {
  const { table, tableOffset, metadata } = context;
  const end = tableOffset + table.entryCount * BAT_ENTRY_BYTES;
  // The table is among them itself.
  return metadata.filter((range) => range.start < end && range.end > tableOffset).length > 1;
}

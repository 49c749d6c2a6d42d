import { MAX_BAT_BYTES, SECTOR_BYTES } from '../format/spec.ts';
import type { PlacementContext } from './placement.ts';

/** Byte offset behind which no table can reach: where other metadata or a block begins, whatever the header says. */
export function roomAt(
  tableOffset: number,
  { table, metadata, dataLimit }: Pick<PlacementContext, 'table' | 'metadata' | 'dataLimit'>,
): number {
  let end = Math.min(dataLimit, tableOffset + MAX_BAT_BYTES);
  for (const { start } of metadata) if (start > tableOffset) end = Math.min(end, start);
  for (const blockIndex of table.allocated()) {
    const offset = table.sectorOf(blockIndex) * SECTOR_BYTES;
    if (offset > tableOffset) end = Math.min(end, offset);
  }
  return end;
}

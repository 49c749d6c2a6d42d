import { batByteLength, blockEnd, footerOffsetFor, nextBlockOffset } from '../format/layout.ts';
import { alignUp, FOOTER_BYTES, SECTOR_BYTES } from '../format/spec.ts';
import { type BlockOrder, flagged, offsetAt } from './compact-order.ts';
import { type FoundBlocks, lastFooterOffset } from './open-blocks.ts';
import type { FileRange } from './placement.ts';
import type { SoundExamination } from './recognise.ts';

/** Where everything of an image with blocks goes that is compacted; 20 bytes a block at most. */
export interface CompactPlan {
  /** Indexes of the blocks that go. */
  readonly dropped: Uint32Array;
  /** The blocks that stay, as they lie now. */
  readonly kept: BlockOrder;
  /** The place that each of `kept` gets, as a sector of the file. */
  readonly sectors: Uint32Array;
  /** How many of `kept`, counted from the last, get another place. */
  readonly movedCount: number;
  /** Byte offset that the table gets; undefined if it stays. */
  readonly tableOffset: number | undefined;
  /** Byte offset behind everything that is in use. */
  readonly usedEnd: number;
  /** Byte offset of the footer. */
  readonly footerOffset: number;
  /** Bytes of the file then. */
  readonly fileSize: number;
}

/**
 * Fills the gaps in front with blocks from the end, as many as there are: what lies well stays, so that no more is copied
 * than is freed. A block only ever moves towards the front, to where nothing was that is in use. Headers, table, names and
 * batmap are gone round; a table that would stand alone behind the blocks moves down to them.
 * @param isKept flags of the blocks that stay, in file order
 */
export function planBlocks(
  image: SoundExamination,
  found: FoundBlocks,
  order: BlockOrder,
  isKept: Uint8Array,
): CompactPlan {
  const { layout, metadata } = found;
  const kept = flagged(order, isKept, 1);
  const dropped = flagged(order, isKept, 0).blocks;
  const obstacles = [...metadata.needed, ...metadata.reserved];
  const front = frontEnd(found, order);
  const { sectors, movedCount } = fillGaps(found, kept, front, obstacles);
  let blocksEnd = front;
  for (const sector of sectors) blocksEnd = Math.max(blocksEnd, blockEnd(layout, sector * SECTOR_BYTES));
  const tableOffset = movedTable(found, image, blocksEnd);
  const usedEnd = endOf(found, { blocksEnd, tableOffset, tableBytes: tableBytesOf(image) });
  const footerOffset = Math.min(footerOffsetFor(layout, usedEnd), lastFooterOffset(image, layout, found.usedEnd));
  const fileSize = footerOffset + FOOTER_BYTES;
  return { dropped, kept, sectors, movedCount, tableOffset, usedEnd, footerOffset, fileSize };
}

/** Byte offset behind headers and names in front of the blocks: no block goes between those, only between them and the table. */
function frontEnd({ metadata, context }: FoundBlocks, order: BlockOrder): number {
  const first = order.blocks.length === 0 ? Number.POSITIVE_INFINITY : offsetAt(order, 0);
  const ends = [...metadata.needed, ...metadata.reserved]
    .filter(({ start }) => start !== context.tableOffset && start < first)
    .map(({ end }) => end);
  return Math.max(0, ...ends);
}

function fillGaps(
  { layout }: FoundBlocks,
  kept: BlockOrder,
  front: number,
  obstacles: readonly FileRange[],
): Pick<CompactPlan, 'sectors' | 'movedCount'> {
  const sectors = kept.sectors.slice();
  let [low, high] = [0, sectors.length - 1];
  let cursor = front;
  while (low <= high) {
    const start = nextBlockOffset(layout, cursor);
    const end = blockEnd(layout, start);
    const obstacle = obstacles.find((range) => range.start < end && range.end > start);
    if (obstacle !== undefined) cursor = Math.max(start, obstacle.end);
    else if (offsetAt(kept, low) < end) cursor = Math.max(cursor, blockEnd(layout, offsetAt(kept, low++)));
    else {
      sectors[high--] = start / SECTOR_BYTES;
      cursor = end;
    }
  }
  return { sectors, movedCount: sectors.length - 1 - high };
}

/** Bytes of the table as long as it is said to be. */
function tableBytesOf({ header }: SoundExamination): number {
  return batByteLength(header?.maxTableEntries ?? 0);
}

/** Down to the blocks goes a table behind them that has room there beside its old place, and nothing of blktap's behind it. */
function movedTable(
  { metadata, context }: FoundBlocks,
  image: SoundExamination,
  blocksEnd: number,
): number | undefined {
  const { tableOffset } = context;
  const tableBytes = tableBytesOf(image);
  const target = alignUp(blocksEnd, SECTOR_BYTES);
  const isAlone = !metadata.reserved.some(
    (range) => range.start === tableOffset && range.end > tableOffset + tableBytes,
  );
  const isSectorWise = image.footer.dataOffset % SECTOR_BYTES === 0;
  if (!isAlone || !isSectorWise || tableBytes === 0 || target + tableBytes > tableOffset) return undefined;
  const others = [...metadata.needed, ...metadata.reserved].filter(({ start }) => start !== tableOffset);
  return others.some(({ start, end }) => start < target + tableBytes && end > target) ? undefined : target;
}

/** Byte offset behind blocks, table, headers and names. */
function endOf(
  { metadata, context }: FoundBlocks,
  moved: { readonly blocksEnd: number; readonly tableOffset: number | undefined; readonly tableBytes: number },
): number {
  const { blocksEnd, tableOffset, tableBytes } = moved;
  if (tableOffset === undefined) return Math.max(blocksEnd, metadata.end);
  const others = [...metadata.needed, ...metadata.reserved].filter(({ start }) => start !== context.tableOffset);
  return Math.max(blocksEnd, tableOffset + tableBytes, ...others.map(({ end }) => end));
}

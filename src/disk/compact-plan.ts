import { batByteLength, blockEnd, footerOffsetFor, nextBlockOffset } from '../format/layout.ts';
import { alignUp, FOOTER_BYTES, MAX_BAT_BYTES, SECTOR_BYTES } from '../format/spec.ts';
import { offsetAt, partByFlag } from './compact-order.ts';
import { type FoundBlocks, lastFooterOffset } from './open-blocks.ts';
import type { FileRange } from './placement.ts';
import type { SoundExamination } from './recognise.ts';

/** Where everything of an image with blocks goes that is compacted; 8 bytes a block at most. */
export interface CompactPlan {
  /** Indexes of the blocks that go, ascending. */
  readonly dropped: Uint32Array;
  /** Indexes of the blocks that stay, as they lie now. */
  readonly kept: Uint32Array;
  /** How many of `kept`, counted from the last, get another place. */
  readonly movedCount: number;
  /** Those places, as sectors of the file: the first for the last of `kept`, the second for the one before it. */
  readonly places: Uint32Array;
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
 * @param order the blocks in file order; it is used up
 * @param isKept flags of the blocks that stay, in file order
 */
export function planBlocks(
  image: SoundExamination,
  found: FoundBlocks,
  order: Uint32Array,
  isKept: Uint8Array,
): CompactPlan {
  const { layout, metadata } = found;
  const obstacles = [...metadata.needed, ...metadata.reserved];
  const front = frontEnd(found, order);
  const { kept, dropped } = partByFlag(order, isKept);
  const places = placesFor(() => gapsFor(found, kept, front, obstacles));
  const movedCount = places.length;
  const lastStaying = kept.length - movedCount - 1;
  const ends = [
    ...(lastStaying < 0 ? [] : [offsetAt(found.table, kept, lastStaying)]),
    ...(movedCount === 0 ? [] : [(places[movedCount - 1] ?? 0) * SECTOR_BYTES]),
  ].map((blockOffset) => blockEnd(layout, blockOffset));
  const blocksEnd = Math.max(front, ...ends);
  const last = lastFooterOffset(image, layout, found.usedEnd);
  const tail = (tableOffset: number | undefined): Pick<CompactPlan, 'tableOffset' | 'usedEnd' | 'footerOffset'> => {
    const usedEnd = endOf(found, { blocksEnd, tableOffset, tableBytes: tableBytesOf(image) });
    return { tableOffset, usedEnd, footerOffset: Math.min(footerOffsetFor(layout, usedEnd), last) };
  };
  const [staying, moving] = [tail(undefined), tail(movedTable(found, image, blocksEnd))];
  // Where the file does not get shorter by it, the table stays.
  const { tableOffset, usedEnd, footerOffset } = moving.footerOffset < staying.footerOffset ? moving : staying;
  const fileSize = footerOffset + FOOTER_BYTES;
  return { dropped, kept, movedCount, places, tableOffset, usedEnd, footerOffset, fileSize };
}

/** Counted first: of the many blocks that stay nothing is kept. */
function placesFor(gaps: () => Iterable<number>): Uint32Array {
  let count = 0;
  for (const _ of gaps()) count++;
  const places = new Uint32Array(count);
  let next = 0;
  for (const sector of gaps()) places[next++] = sector;
  return places;
}

/** Byte offset behind headers and names in front of the blocks: no block goes between those, only between them and the table. */
function frontEnd({ metadata, context, table }: FoundBlocks, order: Uint32Array): number {
  const first = order.length === 0 ? Number.POSITIVE_INFINITY : offsetAt(table, order, 0);
  const ends = [...metadata.needed, ...metadata.reserved]
    .filter(({ start }) => start !== context.tableOffset && start < first)
    .map(({ end }) => end);
  return Math.max(0, ...ends);
}

/** The gaps in front of the last blocks, as sectors, ascending: one for each block that moves, from the last on. */
function* gapsFor(
  { layout, table }: FoundBlocks,
  kept: Uint32Array,
  front: number,
  obstacles: readonly FileRange[],
): Generator<number> {
  let [low, high] = [0, kept.length - 1];
  let cursor = front;
  while (low <= high) {
    const start = nextBlockOffset(layout, cursor);
    const end = blockEnd(layout, start);
    const obstacle = obstacles.find((range) => range.start < end && range.end > start);
    if (obstacle !== undefined) cursor = Math.max(start, obstacle.end);
    else if (offsetAt(table, kept, low) < end) {
      cursor = Math.max(cursor, blockEnd(layout, offsetAt(table, kept, low++)));
    } else {
      yield start / SECTOR_BYTES;
      high--;
      cursor = end;
    }
  }
}

/** The sector that the block at a place of `kept` gets; the one that it has if it stays. */
export function placeOf({ kept, places }: CompactPlan, { table }: FoundBlocks, index: number): number {
  return places[kept.length - 1 - index] ?? table.sectorOf(kept[index] ?? 0);
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
  // The table is written as long as the header says, which may be anything.
  if (tableBytes > MAX_BAT_BYTES) return undefined;
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

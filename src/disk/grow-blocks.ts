import { VhdError } from '../errors.ts';
import { viewOf, writeUint64 } from '../format/bytes.ts';
import { checksumOf } from '../format/checksum.ts';
import type { DynamicHeader } from '../format/dynamic-header.ts';
import { encodeFooter } from '../format/footer.ts';
import {
  type BlockLayout,
  batByteLength,
  blockEnd,
  blockLayout,
  entryCountFor,
  footerOffsetFor,
} from '../format/layout.ts';
import {
  alignUp,
  BAT_ENTRY_BYTES,
  DYNAMIC_HEADER_BYTES,
  FOOTER_BYTES,
  MAX_BAT_BYTES,
  MAX_DYNAMIC_SIZE,
  SECTOR_BYTES,
  UNUSED_BAT_ENTRY,
} from '../format/spec.ts';
import type { PlacedBytes, Storage } from '../storage/storage.ts';
import { type Batmap, batmapByteLength, isBatmapStale, movedBatmap, readBatmap, shortenedBatmap } from './batmap.ts';
import { BlockTable } from './block-table.ts';
import { cannotGrowInPlaceError, type Growth, type GrowthPlan, type GrowthStep, resizedFooter } from './grow-plan.ts';
import { metadataRanges } from './metadata-ranges.ts';
import type { FileRange } from './placement.ts';
import type { SoundExamination } from './recognise.ts';
import { refuseStrayEntries } from './stray-entries.ts';

const TABLE_OFFSET_FIELD = 16;
const MAX_ENTRIES_FIELD = 28;
const HEADER_CHECKSUM_FIELD = 36;

/** What is known of an image with blocks that is to grow. */
interface Grown {
  readonly storage: Storage;
  readonly image: SoundExamination;
  readonly header: DynamicHeader;
  readonly layout: BlockLayout;
  readonly table: BlockTable;
  readonly entryCount: number;
  /** Everything but the table that has a place in the file in front of the footer, blocks as a whole, in file order. */
  readonly parts: readonly FileRange[];
  /** Byte offset behind all of that and the table. */
  readonly usedEnd: number;
}

/** The table of an image that grew. */
interface GrownTable {
  readonly offset: number;
  readonly maxTableEntries: number;
  readonly writes: readonly PlacedBytes[];
  /** Byte offset behind it, and behind the batmap if that moves with it. */
  readonly end: number;
}

/**
 * The table gets its entries where there is room behind it, else it is written anew behind the blocks: a table that is
 * longer than the size needs is none the worse for it. The first sector of the header then names it, and the size in the
 * footers comes last.
 */
export async function planBlocksGrowth(storage: Storage, image: SoundExamination, growth: Growth): Promise<GrowthPlan> {
  const { size } = growth;
  const { footer, virtualSize } = image;
  const grown = await lookAt(storage, image, size);
  await refuseStrayEntries(storage, image, grown.table);
  const tail = tailOf(grown);
  const table = await growTable(grown);
  const oldOffset = image.endFooterOffset;
  const isWhole = oldOffset !== undefined && image.fileSize - oldOffset === FOOTER_BYTES;
  const contentEnd = Math.max(table.end, tail?.end ?? 0);
  const isMoved = !isWhole || contentEnd > oldOffset;
  const footerOffset = isMoved ? movedFooterOffset(grown, Math.max(grown.usedEnd, contentEnd)) : oldOffset;
  const old = encodeFooter(footer);
  const replaced =
    oldOffset !== undefined && oldOffset !== footerOffset ? [{ start: oldOffset, end: oldOffset + FOOTER_BYTES }] : [];
  const steps: GrowthStep[] = [
    // The copy is what is left if the power fails while the file gets longer.
    ...(image.isCopyCurrent ? [] : [{ writes: [{ position: 0, bytes: old }] }]),
    ...(isMoved ? [{ writes: [{ position: footerOffset, bytes: old }] }] : []),
    { zeros: [...replaced, ...(tail === undefined ? [] : [tail])], writes: table.writes },
    ...(await headerSteps(grown, table)),
    { writes: [0, footerOffset].map((position) => ({ position, bytes: resizedFooter(footer, size) })) },
  ];
  const fileSize = footerOffset + FOOTER_BYTES;
  const tableBytes = table.writes.reduce((sum, { bytes }) => sum + bytes.length, 0);
  const addedBytes = tableBytes + Math.max(0, fileSize - image.fileSize);
  return { fromSize: virtualSize, size, fileSize, addedBytes, steps };
}

async function lookAt(storage: Storage, image: SoundExamination, size: number): Promise<Grown> {
  const { header, virtualSize } = image;
  if (header === undefined) throw new Error('a sound image with blocks has a header');
  const { blockSize, tableOffset } = header;
  const entryCount = entryCountFor(size, blockSize);
  checkLimit(storage.name, size, entryCount);
  const oldCount = entryCountFor(virtualSize, blockSize);
  const table = await BlockTable.load(storage, tableOffset, oldCount);
  const metadata = await metadataRanges(storage, image, header, oldCount);
  const end = image.endFooterOffset ?? image.fileSize;
  const layout = blockLayout(blockSize, (end + FOOTER_BYTES) % 4096 === 0 ? 'aligned' : 'packed');
  const parts: FileRange[] = metadata.needed.filter((range) => range.start !== tableOffset);
  for (const blockIndex of table.allocated()) {
    const start = table.sectorOf(blockIndex) * SECTOR_BYTES;
    parts.push({ start, end: blockEnd(layout, start) });
  }
  parts.sort((first, second) => first.start - second.start);
  const usedEnd = parts.reduce((most, part) => Math.max(most, part.end), metadata.end);
  return { storage, image, header, layout, table, entryCount, parts, usedEnd };
}

function checkLimit(name: string, size: number, entryCount: number): void {
  if (size <= MAX_DYNAMIC_SIZE && entryCount * BAT_ENTRY_BYTES <= MAX_BAT_BYTES) return;
  throw new VhdError(
    'ERR_VHD_LIMIT',
    `an image with blocks holds at most ${MAX_DYNAMIC_SIZE} bytes, with a table of at most ${MAX_BAT_BYTES}`,
    {
      storage: name,
      expected: `at most ${MAX_DYNAMIC_SIZE} bytes and ${MAX_BAT_BYTES / BAT_ENTRY_BYTES} blocks`,
      found: `${size} bytes in ${entryCount} blocks`,
      remedy: 'write a new image with -o NEW, or use larger blocks',
    },
  );
}

/**
 * What the last block has behind the end of the disk: it becomes a part of the disk, and may hold anything. Undefined if the
 * disk ends with a block, or the last one has no place.
 */
function tailOf({ storage, image, header, layout, table, parts }: Grown): FileRange | undefined {
  const blockIndex = table.entryCount - 1;
  const usedBytes = image.virtualSize - blockIndex * header.blockSize;
  const sector = table.sectorOf(blockIndex);
  if (usedBytes === header.blockSize || sector === UNUSED_BAT_ENTRY) return undefined;
  const blockOffset = sector * SECTOR_BYTES;
  const tail = { start: blockOffset + layout.bitmapBytes + usedBytes, end: blockEnd(layout, blockOffset) };
  const tableRange = { start: header.tableOffset, end: header.tableOffset + table.entryCount * BAT_ENTRY_BYTES };
  const other = [...parts, tableRange].find(
    (part) => part.start !== blockOffset && part.start < tail.end && part.end > tail.start,
  );
  if (other === undefined) return tail;
  throw cannotGrowInPlaceError(
    storage.name,
    'its last block is cut short, and something follows right behind',
    other.start,
  );
}

/** The longer table: where the old one is, if nothing is in the way, or behind everything else. */
async function growTable(grown: Grown): Promise<GrownTable> {
  const { storage, image, header, table, entryCount, parts } = grown;
  const { tableOffset } = header;
  const byteLength = batByteLength(entryCount);
  const end = tableOffset + byteLength;
  const dataLimit = image.endFooterOffset ?? image.fileSize;
  const batmap = await readBatmap(storage, header, dataLimit);
  const next = parts.find((part) => part.start >= tableOffset)?.start ?? Number.POSITIVE_INFINITY;
  const hasMapRoom = batmap === undefined || batmap.map.length * 8 >= entryCount;
  if (end > Math.min(next, batmap?.offset ?? next, dataLimit) || !hasMapRoom) return movedTable(grown, batmap);
  const oldBytes = table.entryCount * BAT_ENTRY_BYTES;
  const added = { position: tableOffset + oldBytes, bytes: new Uint8Array(byteLength - oldBytes).fill(0xff) };
  if (batmap === undefined) return { offset: tableOffset, maxTableEntries: entryCount, writes: [added], end };
  // It is found by where the table ends.
  const maxTableEntries = Math.max(header.maxTableEntries, entryCount);
  const isStale = isBatmapStale(batmap, table.entryCount);
  const writes = isStale ? [added, ...shortenedBatmap(batmap, batmap.offset, table.entryCount)] : [added];
  return { offset: tableOffset, maxTableEntries, writes, end };
}

function movedTable({ table, entryCount, usedEnd }: Grown, batmap: Batmap | undefined): GrownTable {
  const bytes = new Uint8Array(batByteLength(entryCount)).fill(0xff);
  const view = viewOf(bytes);
  for (const index of table.allocated()) view.setUint32(index * BAT_ENTRY_BYTES, table.sectorOf(index));
  const offset = alignUp(usedEnd, SECTOR_BYTES);
  const moved = { offset, maxTableEntries: entryCount };
  const end = offset + bytes.length;
  const write = { position: offset, bytes };
  if (batmap === undefined) return { ...moved, writes: [write], end };
  const writes = [write, movedBatmap(batmap, end, { oldCount: table.entryCount, entryCount })];
  return { ...moved, writes, end: end + batmapByteLength(entryCount) };
}

/** Its fields and its checksum are in the first sector, which is written whole or not at all; the rest stays. */
async function headerSteps({ storage, image, header }: Grown, table: GrownTable): Promise<GrowthStep[]> {
  if (table.offset === header.tableOffset && table.maxTableEntries === header.maxTableEntries) return [];
  const position = image.footer.dataOffset;
  if (position % SECTOR_BYTES !== 0) {
    throw cannotGrowInPlaceError(storage.name, 'its header does not begin with a sector', position);
  }
  return [{ writes: [await headerFor(storage, position, table)] }];
}

/** The first sector of the header at `position`, as it is for another table. */
export async function headerFor(
  storage: Storage,
  position: number,
  { offset, maxTableEntries }: Pick<GrownTable, 'offset' | 'maxTableEntries'>,
): Promise<PlacedBytes> {
  const bytes = new Uint8Array(DYNAMIC_HEADER_BYTES);
  await storage.read(bytes, position);
  const view = viewOf(bytes);
  writeUint64(view, TABLE_OFFSET_FIELD, offset);
  view.setUint32(MAX_ENTRIES_FIELD, maxTableEntries);
  view.setUint32(HEADER_CHECKSUM_FIELD, checksumOf(bytes, HEADER_CHECKSUM_FIELD));
  return { position, bytes: bytes.subarray(0, SECTOR_BYTES) };
}

/** Behind everything, and never in front of where it is: what lies there may be on its way out of a longer file. */
function movedFooterOffset({ image, layout }: Grown, end: number): number {
  const old = image.endFooterOffset ?? image.fileSize;
  return Math.max(footerOffsetFor(layout, end), alignUp(old, SECTOR_BYTES));
}

import { BlockTable } from '../disk/block-table.ts';
import { batmapEnd } from '../disk/metadata-ranges.ts';
import { type Examination, examine } from '../disk/recognise.ts';
import { roomAt } from '../disk/table-room.ts';
import { NO_OFFSET, viewOf, writeLatin1, writeUint64 } from '../format/bytes.ts';
import { checksumOf } from '../format/checksum.ts';
import type { DynamicHeader } from '../format/dynamic-header.ts';
import { encodeFooter, type Footer } from '../format/footer.ts';
import { batByteLength, entryCountFor } from '../format/layout.ts';
import type { RuleId } from '../format/rules.ts';
import {
  alignUp,
  BAT_ENTRY_BYTES,
  DYNAMIC_HEADER_BYTES,
  DYNAMIC_HEADER_COOKIE,
  FORMAT_VERSION,
  SECTOR_BYTES,
  UNUSED_BAT_ENTRY,
} from '../format/spec.ts';
import { BLOCK_SIZES, rebuildHeader, tableOffsetsFrom } from './rebuild.ts';
import { areBlocksInRow } from './repair-blocks-row.ts';
import {
  blockExamination,
  blocksOf,
  endWith,
  left,
  losing,
  type MendContext,
  type Mender,
  type MendOutcome,
  mended,
  type RepairBlocks,
} from './repair-context.ts';
import { Draft } from './repair-draft.ts';
import { restoreDataOffset } from './repair-footer.ts';

/** Where what stands in the dynamic header (specification, "Dynamic Disk Header Format"). */
export const HEADER = {
  ...{ cookie: 0, dataOffset: 8, tableOffset: 16, version: 24, maxTableEntries: 28, blockSize: 32, checksum: 36 },
  ...{ reserved: 60, tail: 768 },
} as const;

/** What mends the dynamic header, and a table of another length than the disk needs. */
export const HEADER_MENDERS: Partial<Record<RuleId, Mender>> = {
  'header.checksum': restoreChecksum,
  'header.data-offset': changeHeader('the unused data offset of the header is all ones', (view) =>
    writeUint64(view, HEADER.dataOffset, NO_OFFSET),
  ),
  'header.reserved': changeHeader('the reserved bytes of the header are zero', clearReserved),
  'header.cookie': findHeader,
  'header.block-size': rebuildHeader,
  'header.table-offset': rebuildHeader,
  'bat.long': shortenTable,
  'bat.short': lengthenTable,
};

/** The footer may point to a wrong place, with the header still where it was. */
async function findHeader(context: MendContext): Promise<MendOutcome> {
  const outcome = await restoreDataOffset(context);
  return outcome.kind === 'mended' ? outcome : rebuildHeader(context);
}

type HeaderChange = (view: DataView, bytes: Uint8Array) => void;

function clearReserved(view: DataView, bytes: Uint8Array): void {
  view.setUint32(HEADER.reserved, 0);
  bytes.fill(0, HEADER.tail);
}

/** The bytes of the header as they stand; undefined if the footer does not lead to any. */
export async function headerBytes(draft: Draft, { footer }: Examination): Promise<Uint8Array | undefined> {
  const offset = footer?.dataOffset ?? NO_OFFSET;
  if (offset === NO_OFFSET || offset + DYNAMIC_HEADER_BYTES > (await draft.size())) return undefined;
  const bytes = new Uint8Array(DYNAMIC_HEADER_BYTES);
  await draft.read(bytes, offset);
  return bytes;
}

/** A header with some bytes changed, and its checksum redone. */
export function changedHeader(bytes: Uint8Array, change: HeaderChange): Uint8Array {
  const changed = Uint8Array.from(bytes);
  const view = viewOf(changed);
  change(view, changed);
  view.setUint32(HEADER.checksum, checksumOf(changed, HEADER.checksum));
  return changed;
}

function changeHeader(what: string, change: HeaderChange): Mender {
  return async ({ draft, image }) => {
    const { examination } = image;
    const bytes = await headerBytes(draft, examination);
    if (bytes === undefined) return left('the footer does not lead to a header');
    const isDamaged = examination.findings.some(({ rule }) => rule === 'header.checksum' || rule === 'header.cookie');
    if (isDamaged) return left('cookie and checksum of the header have to be mended first');
    await draft.write(changedHeader(bytes, change), examination.footer?.dataOffset ?? 0);
    return mended(what);
  };
}

/** Changes that put a field back to the one value it can have. */
const CONSTANTS: readonly HeaderChange[] = [
  (_view, bytes) => writeLatin1(bytes, HEADER.cookie, DYNAMIC_HEADER_COOKIE),
  (view) => writeUint64(view, HEADER.dataOffset, NO_OFFSET),
  (view) => view.setUint32(HEADER.version, FORMAT_VERSION),
  clearReserved,
];

/** What the bytes of a header come to at least and at most, without those of the checksum: its cookie, and 255 each. */
const CHECKSUM_SUMS = {
  min: new TextEncoder().encode(DYNAMIC_HEADER_COOKIE).reduce((sum, byte) => sum + byte, 0),
  max: (DYNAMIC_HEADER_BYTES - 4) * 0xff,
} as const;

/**
 * A damaged field is put back if there is one value only with which the checksum fits. The checksum is redone only where it is
 * one that no header can have, so that it is what is damaged, and the blocks follow each other from the table to the footer:
 * with a table that is read from another place all blocks may lie where they can, and each be another one.
 */
async function restoreChecksum(context: MendContext): Promise<MendOutcome> {
  const { draft, image, permits } = context;
  const { examination } = image;
  const bytes = await headerBytes(draft, examination);
  const offset = examination.footer?.dataOffset;
  if (bytes === undefined || offset === undefined) return left('the footer does not lead to a header');
  const restored = await restoredHeader(draft, examination, bytes, offset);
  if (restored !== undefined) {
    await draft.write(restored, offset);
    return mended('the field of the header that is damaged is put back; its checksum fits again');
  }
  const sum = ~viewOf(bytes).getUint32(HEADER.checksum) >>> 0;
  const redone = changedHeader(bytes, () => undefined);
  const isImpossible = sum < CHECKSUM_SUMS.min || sum > CHECKSUM_SUMS.max;
  if (isImpossible && (await isCertainWith(draft, redone, offset))) {
    await draft.write(redone, offset);
    return mended(
      'the blocks follow each other as the header says: it is its checksum that was damaged, and is redone',
    );
  }
  if (permits.rebuildBat) return rebuildHeader(context);
  return left('which field of the header is damaged is not certain: --rebuild-bat looks for the blocks', 'rebuildBat');
}

/** The header with the one change to one field that makes its checksum fit; undefined if there is none, or several. */
async function restoredHeader(
  draft: Draft,
  { virtualSize = 0, fileSize }: Examination,
  bytes: Uint8Array,
  offset: number,
): Promise<Uint8Array | undefined> {
  const stored = viewOf(bytes).getUint32(HEADER.checksum);
  const needed = entryCountFor(virtualSize, viewOf(bytes).getUint32(HEADER.blockSize));
  const count: HeaderChange = (view) => view.setUint32(HEADER.maxTableEntries, needed);
  const fitting = (changes: readonly HeaderChange[]): Uint8Array[] =>
    changes
      .map((change) => changedHeader(bytes, change))
      .filter((changed) => viewOf(changed).getUint32(HEADER.checksum) === stored);
  for (const changed of fitting([...CONSTANTS, count])) {
    if (await isSoundWith(draft, changed, offset)) return changed;
  }
  // The damage may be where it does no harm, and another place for the table fit by chance.
  if (
    await isSoundWith(
      draft,
      changedHeader(bytes, () => undefined),
      offset,
    )
  ) {
    return undefined;
  }
  const places = tableOffsetsFrom(offset + DYNAMIC_HEADER_BYTES, fileSize).map(
    (place): HeaderChange =>
      (view) =>
        writeUint64(view, HEADER.tableOffset, place),
  );
  const sizes = BLOCK_SIZES.map(
    (size): HeaderChange =>
      (view) =>
        view.setUint32(HEADER.blockSize, size),
  );
  const certain: Uint8Array[] = [];
  for (const changed of fitting([...places, ...sizes])) {
    if (await isCertainWith(draft, changed, offset)) certain.push(changed);
  }
  return certain.length === 1 ? certain[0] : undefined;
}

/** True if an image with this header is sound, and its blocks follow each other, which no other header brings about. */
async function isCertainWith(draft: Draft, header: Uint8Array, offset: number): Promise<boolean> {
  const blocks = await soundBlocksWith(draft, header, offset);
  return blocks !== undefined && blocks.context.tableOffset % SECTOR_BYTES === 0 && areBlocksInRow(blocks);
}

/** True if an image with this header has no block in a wrong place, and a table as long as it needs. */
async function isSoundWith(draft: Draft, header: Uint8Array, offset: number): Promise<boolean> {
  return (await soundBlocksWith(draft, header, offset)) !== undefined;
}

/** The blocks of an image with another header; undefined if one is in a wrong place, or the table is not as long as it needs. */
export async function soundBlocksWith(
  draft: Draft,
  header: Uint8Array,
  offset: number,
): Promise<RepairBlocks | undefined> {
  const attempt = await Draft.over(draft);
  await attempt.write(header, offset);
  const examination = await examine(attempt);
  const sound = blockExamination({ storage: attempt, examination, findings: examination.findings });
  if (sound === undefined || sound.findings.some(({ rule }) => rule === 'bat.long')) return undefined;
  const blocks = await blocksOf(attempt, sound);
  return blocks.placement.bad.isEmpty ? blocks : undefined;
}

/** As many entries as the size needs; what is behind them must be nothing, and blktap must find its map. */
async function shortenTable(context: MendContext): Promise<MendOutcome> {
  const { draft, image } = context;
  const examination = blockExamination(image);
  if (examination === undefined) return left('header and footer have to be mended first');
  const { header, virtualSize, footer, fileSize, endFooterOffset } = examination;
  const needed = entryCountFor(virtualSize, header.blockSize);
  const tableEnd = header.tableOffset + batByteLength(header.maxTableEntries);
  const hasBatmap = (await batmapEnd(draft, tableEnd, endFooterOffset ?? fileSize)) > tableEnd;
  if (hasBatmap && batByteLength(needed) !== batByteLength(header.maxTableEntries)) {
    return left(
      'blktap keeps a map behind the table, and finds it by the length of that: vhd convert makes a new image',
    );
  }
  const bytes = await headerBytes(draft, examination);
  if (bytes === undefined) return left('the footer does not lead to a header');
  const { context: placing } = await blocksOf(draft, examination);
  const extra = Math.floor((roomAt(header.tableOffset, placing) - header.tableOffset) / BAT_ENTRY_BYTES);
  const used = await usedEntries(draft, header.tableOffset, needed, Math.min(header.maxTableEntries, extra));
  const what = `the table has ${needed} entries, as many as the disk needs`;
  const shorten = (): Promise<void> =>
    draft.write(
      changedHeader(bytes, (view) => view.setUint32(HEADER.maxTableEntries, needed)),
      footer.dataOffset,
    );
  if (used === 0) {
    await shorten();
    return mended(what);
  }
  const message = `${used} blocks behind the end of the disk lose their entry; if they belong to it, its size is wrong`;
  return losing(context, { rule: 'bat.long', option: 'dropBlocks', message, ranges: [] }, what, shorten);
}

/** How many of the entries from `from` on say something; those that the file does not hold say nothing. */
async function usedEntries(draft: Draft, tableOffset: number, from: number, to: number): Promise<number> {
  const start = tableOffset + from * BAT_ENTRY_BYTES;
  const bytes = new Uint8Array(
    Math.max(0, Math.min(to * BAT_ENTRY_BYTES + tableOffset, await draft.size()) - start) & ~3,
  );
  await draft.read(bytes, start);
  const view = viewOf(bytes);
  let used = 0;
  for (let offset = 0; offset < bytes.length; offset += BAT_ENTRY_BYTES) {
    const entry = view.getUint32(offset);
    if (entry !== UNUSED_BAT_ENTRY && entry !== 0) used++;
  }
  return used;
}

/**
 * The table gets the entries that are missing. If what stands behind it already are places of blocks, only the count was wrong;
 * else those entries are unused, which is certain only if the size of the disk is: in the same place if there is room, or in a
 * new one at the end.
 */
async function lengthenTable({ draft, image, permits }: MendContext): Promise<MendOutcome> {
  const short = await shortTable(draft, image.examination);
  if (short === undefined) return left('header and footer have to be mended first');
  if (await isOnlyCount(short)) {
    await draft.write(short.longer, short.footer.dataOffset);
    return mended(`the table has ${short.needed} entries, which all fit the file: only their count was wrong`);
  }
  if (!permits.rebuildBat) {
    return left(
      'size, block size or table is wrong, which is not certain: --rebuild-bat finds out what fits the file',
      'rebuildBat',
    );
  }
  return (await isPacked(short)) ? moveTable(short) : rebuildHeader({ draft, image, permits });
}

/** An image whose table is too short, and which is sound but for that. */
interface ShortTable {
  readonly draft: Draft;
  readonly header: DynamicHeader;
  readonly footer: Footer;
  /** The bytes of the header. */
  readonly bytes: Uint8Array;
  /** The same with as many entries as are needed. */
  readonly longer: Uint8Array;
  readonly needed: number;
  readonly footerOffset: number;
}

async function shortTable(draft: Draft, examination: Examination): Promise<ShortTable | undefined> {
  const { header, footer, virtualSize, endFooterOffset: footerOffset, findings } = examination;
  const isAlone = findings.every((item) => item.severity !== 'error' || item.rule === 'bat.short');
  const bytes = await headerBytes(draft, examination);
  if (!isAlone || header === undefined || footer === undefined || bytes === undefined) return undefined;
  if (virtualSize === undefined || footerOffset === undefined) return undefined;
  const needed = entryCountFor(virtualSize, header.blockSize);
  const longer = changedHeader(bytes, (view) => view.setUint32(HEADER.maxTableEntries, needed));
  return { draft, header, footer, bytes, longer, needed, footerOffset };
}

/** True if the table is as long as it should be, and only the header says otherwise. */
async function isOnlyCount({ draft, header, footer, longer, needed }: ShortTable): Promise<boolean> {
  const blocks = await soundBlocksWith(draft, longer, footer.dataOffset);
  if (blocks === undefined || !areBlocksInRow(blocks)) return false;
  const old = header.maxTableEntries;
  const isInUse = blocks.context.table.nextAllocated(old) !== undefined;
  const isSameSize = footer.originalSize === footer.currentSize && old > 0;
  return isInUse || (isSameSize && batByteLength(old) === batByteLength(needed));
}

/** True if the blocks that the table has follow each other up to the footer: then none is missing. */
async function isPacked({ draft, header, footer, bytes }: ShortTable): Promise<boolean> {
  const attempt = await Draft.over(draft);
  const smaller = encodeFooter({ ...footer, currentSize: header.maxTableEntries * header.blockSize });
  await attempt.write(smaller, 0);
  await attempt.write(smaller, (await attempt.size()) - smaller.length);
  const blocks = await soundBlocksWith(attempt, bytes, footer.dataOffset);
  return blocks !== undefined && areBlocksInRow(blocks);
}

/** Puts a table where the footer was, and that behind it. */
async function moveTable({ draft, header, footer, longer, needed, footerOffset }: ShortTable): Promise<MendOutcome> {
  const table = await BlockTable.load(draft, header.tableOffset, header.maxTableEntries);
  const entries = new Uint8Array(batByteLength(needed)).fill(0xff);
  const view = viewOf(entries);
  for (const blockIndex of table.allocated()) view.setUint32(blockIndex * BAT_ENTRY_BYTES, table.sectorOf(blockIndex));
  const tableOffset = alignUp(footerOffset, SECTOR_BYTES);
  const moved = changedHeader(longer, (changed) => writeUint64(changed, HEADER.tableOffset, tableOffset));
  await draft.write(entries, tableOffset);
  await endWith(draft, footer, tableOffset + entries.length);
  await draft.write(moved, footer.dataOffset);
  return mended(`a table of ${needed} entries stands at offset ${tableOffset}; those that were missing are unused`);
}

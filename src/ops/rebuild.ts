import type { Examination } from '../disk/recognise.ts';
import { viewOf, writeLatin1, writeUint64 } from '../format/bytes.ts';
import { decodeDynamicHeader, encodeDynamicHeader, isBlockSize, plainDynamicHeader } from '../format/dynamic-header.ts';
import type { Footer } from '../format/footer.ts';
import { entryCountFor } from '../format/layout.ts';
import {
  BAT_ENTRY_BYTES,
  DEFAULT_BLOCK_SIZE,
  DISK_TYPE,
  DYNAMIC_HEADER_BYTES,
  DYNAMIC_HEADER_COOKIE,
  MAX_BAT_BYTES,
  SECTOR_BYTES,
  UNUSED_BAT_ENTRY,
} from '../format/spec.ts';
import { isAllOnes } from '../format/zeros.ts';
import { areBlocksInRow } from './repair-blocks-row.ts';
import { left, type MendContext, type MendOutcome, mended } from './repair-context.ts';
import type { Draft } from './repair-draft.ts';
import { changedHeader, HEADER, headerBytes, soundBlocksWith } from './repair-header.ts';

/** The block sizes that images have, the most usual first. */
export const BLOCK_SIZES: readonly number[] = [
  ...[DEFAULT_BLOCK_SIZE, 512 * 1024],
  ...[4, 8, 16, 32, 64, 128, 256, 1024, 4096, 8192, 16_384, 32_768, 65_536].map((kibibytes) => kibibytes * 1024),
];
/** How far into the file a table is looked for, where it is not behind the header. */
const TABLE_SEARCH_BYTES = 64 * 1024;
/** A table is read in pieces of so many bytes. */
const TABLE_PIECE_BYTES = 64 * 1024;

/** The places that a table can have: behind the header, and on every sector after that up to 64 KiB. */
export function tableOffsetsFrom(behind: number, fileSize: number): number[] {
  const limit = Math.min(TABLE_SEARCH_BYTES, fileSize);
  const sectors = Array.from({ length: Math.floor(limit / SECTOR_BYTES) }, (_, index) => index * SECTOR_BYTES);
  return sectors.filter((offset) => offset >= behind);
}

/** A header that could be the one that is damaged. */
interface Candidate {
  readonly tableOffset: number;
  readonly blockSize: number;
  readonly bytes: Uint8Array;
  /** Blocks that its table has. */
  readonly blockCount: number;
}

/**
 * Finds block size and place of the table again. Only one pair may make a table whose blocks all lie where they can, one
 * behind the other up to the footer; where several do, which is right is not guessed.
 */
export async function rebuildHeader({ draft, image, permits }: MendContext): Promise<MendOutcome> {
  const { footer } = image.examination;
  if (!permits.rebuildBat) {
    return left('--rebuild-bat looks for the table by the blocks that it leads to', 'rebuildBat');
  }
  if (footer === undefined || footer.dataOffset < 0) return left('the footer has to be mended first');
  const stored = await headerBytes(draft, image.examination);
  if (stored === undefined) return left('the footer does not lead to a place for a header');
  const base = baseHeader(stored, footer);
  if (base === undefined) {
    return left('the header that named the parent is gone: vhd convert reads nothing without it');
  }
  const found = await findCandidates(draft, image.examination, { base, stored, footer });
  const [first] = found;
  if (first === undefined) return left('no block size and no place of a table fit the blocks of the file');
  if (found.length > 1) return left(`several headers fit the file: ${found.map(told).join('; ')}`);
  await draft.write(first.bytes, footer.dataOffset);
  return mended(`the header is made anew: ${told(first)}; no other fits the file`);
}

function told({ tableOffset, blockSize, blockCount }: Candidate): string {
  return `a table at offset ${tableOffset}, blocks of ${blockSize} bytes, ${blockCount} of them in the file`;
}

/** What the new header keeps of the old one: of a child its parent, which stands nowhere else. */
function baseHeader(stored: Uint8Array, { diskType }: Footer): Uint8Array | undefined {
  const mostly = changedHeader(stored, (_view, bytes) => writeLatin1(bytes, HEADER.cookie, DYNAMIC_HEADER_COOKIE));
  const { findings } = decodeDynamicHeader(mostly);
  const isKept = findings.every(({ rule }) => rule === 'header.block-size');
  if (isKept) return mostly;
  return diskType === DISK_TYPE.dynamic ? encodeDynamicHeader(plainDynamicHeader(0, 0, SECTOR_BYTES)) : undefined;
}

interface Known {
  readonly base: Uint8Array;
  readonly stored: Uint8Array;
  readonly footer: Footer;
}

async function findCandidates(draft: Draft, examination: Examination, known: Known): Promise<Candidate[]> {
  const { value: old } = decodeDynamicHeader(known.stored);
  const behind = known.footer.dataOffset + DYNAMIC_HEADER_BYTES;
  const sizes = [...new Set(isBlockSize(old.blockSize) ? [old.blockSize, ...BLOCK_SIZES] : BLOCK_SIZES)];
  const near = [...new Set([old.tableOffset, behind])];
  const found = await soundAt(draft, examination, known, { sizes, offsets: near });
  const [first] = found;
  if (found.length > 1 || first?.blockCount === 0) return found;
  const far = tableOffsetsFrom(behind, examination.fileSize).filter((offset) => !near.includes(offset));
  // The same table, read from another place, may fit as well: then nothing is certain.
  const others = first === undefined ? sizes : [first.blockSize];
  return [...found, ...(await soundAt(draft, examination, known, { sizes: others, offsets: far }))];
}

interface Where {
  readonly sizes: readonly number[];
  readonly offsets: readonly number[];
}

async function soundAt(draft: Draft, examination: Examination, known: Known, where: Where): Promise<Candidate[]> {
  const found: Candidate[] = [];
  for (const tableOffset of where.offsets) {
    if (!(await couldBeTable(draft, tableOffset, examination.fileSize))) continue;
    for (const blockSize of where.sizes) {
      const candidate = await candidateOf(draft, known, { tableOffset, blockSize });
      if (candidate !== undefined) found.push(candidate);
      // Without blocks every size reads the same, and the first is the most usual.
      if (candidate?.blockCount === 0) return found;
    }
  }
  return found;
}

interface TableShape {
  readonly tableOffset: number;
  readonly blockSize: number;
  readonly entryCount: number;
}

/**
 * False for a table that leads out of the file, to the headers, or to more blocks than the file has room for: most of
 * what is tried is none at all, and a look at its beginning tells that.
 */
async function couldFit(draft: Draft, { tableOffset, blockSize, entryCount }: TableShape): Promise<boolean> {
  const fileSize = await draft.size();
  const end = tableOffset + entryCount * BAT_ENTRY_BYTES;
  if (end > fileSize) return false;
  // The last one may be shorter than the others.
  const mostBlocks = Math.floor(fileSize / blockSize) + 1;
  let blockCount = 0;
  for (let position = tableOffset; position < end; position += TABLE_PIECE_BYTES) {
    const bytes = new Uint8Array(Math.min(TABLE_PIECE_BYTES, end - position));
    await draft.read(bytes, position);
    if (isAllOnes(bytes)) continue;
    const view = viewOf(bytes);
    for (let offset = 0; offset < bytes.length; offset += BAT_ENTRY_BYTES) {
      const sector = view.getUint32(offset);
      if (sector === UNUSED_BAT_ENTRY) continue;
      if (!isPlace(sector, fileSize) || ++blockCount > mostBlocks) return false;
    }
  }
  return true;
}

/** True for a sector of the file behind the footer copy. */
function isPlace(sector: number, fileSize: number): boolean {
  return sector > 0 && sector * SECTOR_BYTES < fileSize;
}

/** True if the first entries are unused, or sectors of the file behind the headers. */
async function couldBeTable(draft: Draft, offset: number, fileSize: number): Promise<boolean> {
  if (offset < SECTOR_BYTES || offset + SECTOR_BYTES > fileSize || offset % SECTOR_BYTES !== 0) return false;
  const bytes = new Uint8Array(SECTOR_BYTES);
  await draft.read(bytes, offset);
  const view = viewOf(bytes);
  const first = view.getUint32(0);
  return first === UNUSED_BAT_ENTRY || isPlace(first, fileSize);
}

async function candidateOf(
  draft: Draft,
  { base, footer }: Known,
  { tableOffset, blockSize }: Pick<Candidate, 'tableOffset' | 'blockSize'>,
): Promise<Candidate | undefined> {
  const entryCount = entryCountFor(footer.currentSize, blockSize);
  if (entryCount * BAT_ENTRY_BYTES > MAX_BAT_BYTES) return undefined;
  if (!(await couldFit(draft, { tableOffset, blockSize, entryCount }))) return undefined;
  const bytes = changedHeader(base, (view) => {
    writeUint64(view, HEADER.tableOffset, tableOffset);
    view.setUint32(HEADER.maxTableEntries, entryCount);
    view.setUint32(HEADER.blockSize, blockSize);
  });
  const blocks = await soundBlocksWith(draft, bytes, footer.dataOffset);
  if (blocks === undefined) return undefined;
  const blockCount = blocks.context.table.allocatedCount;
  if (!areBlocksInRow(blocks)) return undefined;
  const { dataLimit } = blocks.context;
  // A gap between blocks may hold a whole block of 4 KiB: without any block there is nothing else that tells.
  if (blockCount === 0 && !(await isBlankBetween(draft, tableOffset, dataLimit))) return undefined;
  return { tableOffset, blockSize, bytes, blockCount };
}

/** True if nothing stands there but entries that are not used, and zeros. */
async function isBlankBetween(draft: Draft, start: number, end: number): Promise<boolean> {
  for (let position = start; position < end; position += TABLE_PIECE_BYTES) {
    const bytes = new Uint8Array(Math.min(TABLE_PIECE_BYTES, end - position));
    await draft.read(bytes, position);
    if (bytes.some((byte) => byte !== 0 && byte !== 0xff)) return false;
  }
  return true;
}

import { stat } from 'node:fs/promises';
import { basename, dirname, resolve } from 'node:path';
import { BlockTable } from '../disk/block-table.ts';
import type { FooterReading } from '../disk/footer-choice.ts';
import { readParentNames } from '../disk/parent-names.ts';
import { readFooter, type SoundExamination } from '../disk/recognise.ts';
import { areAllSet } from '../format/bitmap.ts';
import { type DynamicHeader, decodeParentName } from '../format/dynamic-header.ts';
import { decodeFooter } from '../format/footer.ts';
import { batByteLength, blockLayout, entryCountFor } from '../format/layout.ts';
import type { FooterFacts, ParentFacts, ReaderFacts, TableFacts } from '../format/reader-facts.ts';
import { BAT_ENTRY_BYTES, FOOTER_BYTES, MAX_BAT_BYTES, SECTOR_BYTES } from '../format/spec.ts';
import { formatUuid } from '../format/uuid.ts';
import { isAllZeros } from '../format/zeros.ts';
import type { ResolvedLink } from '../open-chain.ts';
import { readEach, type Storage } from '../storage/storage.ts';
import type { CheckedImage } from './check-image.ts';

/** An image that other programs are to be reckoned with, and what lies around it. */
export interface ReadImage {
  /** Its file, all of it. */
  readonly storage: Storage;
  /** Path of the file; undefined if it has none. */
  readonly path: string | undefined;
  /** What was found in it. */
  readonly image: CheckedImage;
  /** The images that were found behind it, the nearest first. */
  readonly parents: readonly ResolvedLink[];
}

/** What is to be looked at. */
export interface FactOptions {
  /** Read the bitmaps of differencing images. */
  readonly readBitmaps: boolean;
  /** The time, in milliseconds since 1970. */
  readonly nowMilliseconds: number;
}

/** A file stored with fewer bytes than this less is not called sparse: some systems keep small ones elsewhere. */
const LEAST_HOLE_BYTES = 65_536;
/** Blocks whose bitmaps are read in one go. */
const BATCH_BLOCKS = 64;

/** Gathers everything that decides what other programs make of an image that can be opened here. */
export async function readerFacts(
  { storage, path, image, parents }: ReadImage,
  examination: SoundExamination,
  options: FactOptions,
): Promise<ReaderFacts> {
  const { footer, header, type, virtualSize, endFooterOffset } = examination;
  const fileSize = await storage.size();
  const ends = await readFooters(storage, fileSize);
  return {
    ...{ fileSize, footer, header, type, virtualSize, footerOffset: endFooterOffset },
    ...ends,
    isSparseFile: path !== undefined && (await isSparse(path)),
    table: header === undefined ? undefined : await tableFacts(storage, examination, header, options),
    parent: type === 'differencing' ? await parentFacts(storage, path, examination, parents[0]) : undefined,
    broken: new Set(image.findings.map((item) => item.rule)),
    nowMilliseconds: options.nowMilliseconds,
  };
}

async function readFooters(
  storage: Storage,
  fileSize: number,
): Promise<Pick<ReaderFacts, 'start' | 'end' | 'areEndsEqual'>> {
  const first = await footerAt(storage, 0, fileSize);
  const last = await footerAt(storage, fileSize - FOOTER_BYTES, fileSize);
  const facts = ({ offset, decoded }: typeof first): FooterFacts => {
    const broken = decoded.findings.map((item) => item.rule);
    return {
      offset,
      hasCookie: !broken.includes('footer.cookie') && !broken.includes('footer.poisoned'),
      isChecksumRight: !broken.includes('footer.checksum') && !broken.includes('footer.hidden-checksum'),
      value: decoded.value,
    };
  };
  const areEndsEqual = first.bytes.every((byte, index) => byte === last.bytes[index]);
  return { start: facts(first), end: facts(last), areEndsEqual };
}

/** What other programs read where a footer is looked for: zeros behind the end of a file below a sector, nothing before its start. */
async function footerAt(storage: Storage, offset: number, fileSize: number): Promise<FooterReading> {
  if (fileSize >= FOOTER_BYTES) return readFooter(storage, offset, FOOTER_BYTES);
  const bytes = new Uint8Array(FOOTER_BYTES);
  if (offset === 0) await storage.read(bytes.subarray(0, fileSize), 0);
  return { offset: 0, bytes, decoded: decodeFooter(bytes) };
}

async function isSparse(path: string): Promise<boolean> {
  const { blocks, size } = await stat(path);
  return size - blocks * SECTOR_BYTES >= LEAST_HOLE_BYTES;
}

async function tableFacts(
  storage: Storage,
  { virtualSize, type }: SoundExamination,
  header: DynamicHeader,
  { readBitmaps }: FactOptions,
): Promise<TableFacts> {
  const { tableOffset, maxTableEntries, blockSize } = header;
  const layout = blockLayout(blockSize, 'packed');
  const tableEnd = tableOffset + batByteLength(maxTableEntries);
  // Other programs read the table to its end: what no block needs can still lead them out of the file.
  const isReadable = tableEnd <= (await storage.size()) && maxTableEntries * BAT_ENTRY_BYTES <= MAX_BAT_BYTES;
  const entryCount = isReadable ? maxTableEntries : entryCountFor(virtualSize, blockSize);
  const table = await BlockTable.load(storage, tableOffset, entryCount);
  const last = table.lastSector;
  const blocksEnd = last === undefined ? 0 : last * SECTOR_BYTES + layout.bitmapBytes + blockSize;
  const hasMixedBitmaps =
    readBitmaps &&
    type === 'differencing' &&
    (await hasMixed(storage, table, layout.bitmapBytes, virtualSize / blockSize));
  return { tableEnd, blocksEnd, hasMixedBitmaps };
}

async function hasMixed(
  storage: Storage,
  table: BlockTable,
  bitmapBytes: number,
  blockCount: number,
): Promise<boolean> {
  const limit = await storage.size();
  let next: number | undefined = 0;
  while (next !== undefined) {
    const batch = table.allocatedFrom(next, Math.ceil(blockCount), BATCH_BLOCKS);
    const reads = batch
      .map((blockIndex) => ({
        position: table.sectorOf(blockIndex) * SECTOR_BYTES,
        bytes: new Uint8Array(bitmapBytes),
      }))
      .filter(({ position }) => position + bitmapBytes <= limit);
    await readEach(storage, reads);
    if (reads.some(({ bytes }) => !isAllZeros(bytes) && !areAllSet(bytes, bytes.length * 8))) return true;
    const last = batch.at(-1);
    next = last === undefined ? undefined : last + 1;
  }
  return false;
}

async function parentFacts(
  storage: Storage,
  path: string | undefined,
  examination: SoundExamination,
  parent: ResolvedLink | undefined,
): Promise<ParentFacts> {
  const { names } = await readParentNames(storage, examination);
  const named = (source: string): string | undefined => names.find((name) => name.source === source)?.text;
  return {
    ...foundParent(path, examination, parent),
    relativeName: named('W2ru'),
    absoluteName: named('W2ku'),
    headerName: examination.header === undefined ? '' : decodeParentName(examination.header),
  };
}

type FoundParent = Pick<ParentFacts, 'type' | 'virtualSize' | 'isBeside' | 'fileName' | 'hasSameUuid'>;

function foundParent(
  path: string | undefined,
  { footer }: SoundExamination,
  parent: ResolvedLink | undefined,
): FoundParent {
  if (parent === undefined) {
    return { type: undefined, virtualSize: undefined, isBeside: false, fileName: undefined, hasSameUuid: false };
  }
  const { isRaw, examination } = parent;
  const uuid = isRaw ? undefined : examination.footer?.uniqueId;
  return {
    type: isRaw ? 'raw' : examination.type,
    virtualSize: isRaw ? examination.fileSize : examination.virtualSize,
    isBeside: path !== undefined && dirname(resolve(parent.path)) === dirname(resolve(path)),
    fileName: basename(parent.path),
    hasSameUuid: uuid !== undefined && formatUuid(uuid) === formatUuid(footer.uniqueId),
  };
}

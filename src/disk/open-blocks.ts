import { VhdError } from '../errors.ts';
import { encodeFooter } from '../format/footer.ts';
import { type BlockLayout, blockLayout, entryCountFor, footerOffsetFor } from '../format/layout.ts';
import { describeFinding, type Finding, finding } from '../format/rules.ts';
import { alignUp, FOOTER_BYTES, SECTOR_BYTES } from '../format/spec.ts';
import type { Storage } from '../storage/storage.ts';
import type { BitmapCache } from './bitmap-cache.ts';
import { BlockStore } from './block-store.ts';
import type { BlockStoreParts } from './block-store-parts.ts';
import { BlockTable } from './block-table.ts';
import { ImageEnd } from './image-end.ts';
import { type Metadata, metadataRanges } from './metadata-ranges.ts';
import {
  findPlacement,
  misplacedFinding,
  type Placement,
  type PlacementContext,
  placementFindings,
} from './placement.ts';
import type { SoundExamination } from './recognise.ts';
import { BlockSpace } from './space.ts';
import { doubtAboutEnd, type UsedSpace } from './undecided-end.ts';

/** How the blocks of an image are opened. */
export interface OpenBlocksOptions {
  /** Open for reading and writing. */
  readonly writable: boolean;
  /** What a bit means; see {@link BlockStoreParts}. */
  readonly bits: BlockStoreParts['bits'];
  /** Where bitmaps are kept that are not all ones. */
  readonly bitmapCache: BitmapCache;
  /** What `findBlocks` found, where it was called already. */
  readonly found?: FoundBlocks | undefined;
}

/** The blocks of an image, and what else is in its file. */
export interface FoundBlocks {
  /** The table. */
  readonly table: BlockTable;
  /** Headers, table, names. */
  readonly metadata: Metadata;
  /** What the places of the blocks are held against. */
  readonly context: PlacementContext;
  /** Where they lie. */
  readonly placement: Placement;
  /** Sizes of the blocks, and how they lie. */
  readonly layout: BlockLayout;
  /** Byte offset behind headers and blocks. */
  readonly usedEnd: number;
}

/** Loads the table of a dynamic or differencing image, and looks where its blocks lie. */
export async function findBlocks(storage: Storage, examination: SoundExamination): Promise<FoundBlocks> {
  const { header, virtualSize } = examination;
  if (header === undefined) throw new Error('a sound dynamic image has a header');
  const entryCount = entryCountFor(virtualSize, header.blockSize);
  const table = await BlockTable.load(storage, header.tableOffset, entryCount);
  const metadata = await metadataRanges(storage, examination, header, entryCount);
  const context: PlacementContext = {
    table,
    layout: blockLayout(header.blockSize, 'packed'),
    virtualSize,
    dataLimit: examination.endFooterOffset ?? examination.fileSize,
    metadata: metadata.needed,
    tableOffset: header.tableOffset,
  };
  const placement = findPlacement(context);
  const layout = blockLayout(header.blockSize, isAligned(examination, table, placement) ? 'aligned' : 'packed');
  return { table, metadata, context, placement, layout, usedEnd: Math.max(metadata.end, placement.dataEnd) };
}

/**
 * Loads the table of a dynamic or differencing image, looks where its blocks lie, and makes it ready for writing if asked.
 * @throws VhdError `ERR_VHD_CORRUPT` for writing, if blocks lie where none may; `ERR_VHD_TRUNCATED`
 */
export async function openBlocks(
  storage: Storage,
  examination: SoundExamination,
  { writable, bits, bitmapCache, found }: OpenBlocksOptions,
): Promise<{ store: BlockStore; findings: Finding[] }> {
  const { table, metadata, context, placement, layout, usedEnd } = found ?? (await findBlocks(storage, examination));
  const findings = [...examination.findings, ...placementFindings(placement, context)];
  if (writable && !placement.bad.isEmpty) throw misplacedError(storage.name, context, placement);
  const growth = writable ? await prepareGrowth(storage, examination, { layout, usedEnd }) : undefined;
  const refuse = refuser(storage.name, context, placement);
  const metadataEnd = metadata.end;
  return {
    store: new BlockStore({ storage, layout, table, metadataEnd, bits, bitmapCache, growth, refuse }),
    findings,
  };
}

/** Windows decides the same way: by the blocks there are, by the place of the footer where there are none. */
function isAligned(examination: SoundExamination, table: BlockTable, placement: Placement): boolean {
  if (table.allocatedCount > 0) return placement.isAligned;
  const end = examination.endFooterOffset;
  return end !== undefined && (end + FOOTER_BYTES) % 4096 === 0;
}

/** Sets up where blocks go. */
async function prepareGrowth(
  storage: Storage,
  examination: SoundExamination,
  used: UsedSpace,
): Promise<{ space: BlockSpace; end: ImageEnd }> {
  const { layout } = used;
  // What may be another disk's is neither cut nor overwritten; it is space that nothing refers to from then on.
  const isUndecided = (await doubtAboutEnd(storage, examination, used)) !== undefined;
  const usedEnd = isUndecided ? Math.max(used.usedEnd, examination.fileSize) : used.usedEnd;
  const footerOffset = await restoreFooters(storage, examination, layout, usedEnd);
  const space = new BlockSpace(layout, usedEnd, footerOffset + FOOTER_BYTES, storage.name);
  return { space, end: new ImageEnd(storage, layout, encodeFooter(examination.footer), footerOffset) };
}

/** Restores what a crash may have taken, a footer at either end, durably; byte offset of the one that ends the file. */
export async function restoreFooters(
  storage: Storage,
  examination: SoundExamination,
  layout: BlockLayout,
  usedEnd: number,
): Promise<number> {
  const footerOffset = lastFooterOffset(examination, layout, usedEnd);
  if (hasBothFooters(examination)) return footerOffset;
  const footer = encodeFooter(examination.footer);
  await storage.write(footer, footerOffset);
  await storage.flush();
  if (!examination.isCopyCurrent) {
    await storage.write(footer, 0);
    await storage.flush();
  }
  return footerOffset;
}

/** Byte offset of the footer that ends the file, when both are restored. */
export function lastFooterOffset(examination: SoundExamination, layout: BlockLayout, usedEnd: number): number {
  const { endFooterOffset, fileSize } = examination;
  const last = alignUp(endFooterOffset ?? fileSize, SECTOR_BYTES);
  return hasBothFooters(examination) ? last : Math.max(footerOffsetFor(layout, usedEnd), last);
}

function hasBothFooters({ endFooterOffset, fileSize, isCopyCurrent }: SoundExamination): boolean {
  return endFooterOffset !== undefined && fileSize - endFooterOffset === FOOTER_BYTES && isCopyCurrent;
}

function misplacedError(name: string, context: PlacementContext, placement: Placement): VhdError {
  const [found = finding('bat.overlap')] = placementFindings(placement, context);
  return new VhdError('ERR_VHD_CORRUPT', `it cannot be written to: ${describeFinding(found)}`, {
    ...found,
    storage: name,
    remedy: 'it can be read: take what is there with vhd read --start and --length',
  });
}

function refuser(name: string, context: PlacementContext, placement: Placement): BlockStoreParts['refuse'] {
  return (blockIndex) => {
    const rule = placement.bad.ruleOf(blockIndex);
    if (rule === undefined) return undefined;
    const found = misplacedFinding(rule, blockIndex, context);
    return new VhdError('ERR_VHD_CORRUPT', describeFinding(found), {
      ...found,
      storage: name,
      remedy: 'every other block can be read: take what is there with vhd read --start and --length',
    });
  };
}

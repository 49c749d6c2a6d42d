import { VhdError } from '../errors.ts';
import {
  type BlockLayout,
  batByteLength,
  blockEnd,
  blockLayout,
  entryCountFor,
  footerOffsetFor,
} from '../format/layout.ts';
import { remedyFor } from '../format/shell.ts';
import { BAT_ENTRY_BYTES, FOOTER_BYTES, SECTOR_BYTES, UNUSED_BAT_ENTRY } from '../format/spec.ts';
import type { PlacedBytes, Storage } from '../storage/storage.ts';
import { readBatmap, shortenedBatmap } from './batmap.ts';
import { BlockTable } from './block-table.ts';
import { headerFor } from './grow-blocks.ts';
import { resizedFooter } from './grow-plan.ts';
import { metadataRanges } from './metadata-ranges.ts';
import type { FileRange } from './placement.ts';
import type { SoundExamination } from './recognise.ts';
import { refuseStrayEntries } from './stray-entries.ts';

/** How an image becomes smaller. It is no image between two of its writes: a journal is needed to carry it out. */
export interface ShrinkPlan {
  /** Ranges of the file that become zeros. */
  readonly zeros: readonly FileRange[];
  /** Bytes that are written, after those. */
  readonly writes: readonly PlacedBytes[];
  /** Bytes of the file afterwards. */
  readonly fileSize: number;
  /** Blocks that lose their place. */
  readonly freedBlocks: number;
}

/**
 * Finds out how an image becomes smaller; writes nothing. What lies behind the new end is gone: a disk that grows again
 * has zeros there. Blocks lose their place, and the file ends behind the last that keeps its own.
 * @param image one that may be written to, its footers as they should be
 * @param size virtual size in bytes, less than it has; a multiple of 512
 * @throws VhdError `ERR_VHD_CORRUPT` if the file of a fixed image holds more than its disk
 */
export async function planShrink(storage: Storage, image: SoundExamination, size: number): Promise<ShrinkPlan> {
  if (size >= image.virtualSize || size <= 0 || size % SECTOR_BYTES !== 0) {
    throw new RangeError(`planShrink: expected whole sectors, less than ${image.virtualSize}, found ${size}`);
  }
  return image.type === 'fixed' ? planFixedShrink(image, size) : planBlocksShrink(storage, image, size);
}

function planFixedShrink(image: SoundExamination, size: number): ShrinkPlan {
  const { footer, virtualSize, name, endFooterOffset } = image;
  if (endFooterOffset !== virtualSize) {
    throw new VhdError('ERR_VHD_CORRUPT', 'the file holds more than the disk, and that would be cut with it', {
      ...{ storage: name, offset: virtualSize },
      ...{ expected: `the footer at ${virtualSize}`, found: `it at ${endFooterOffset ?? 'no place'}` },
      remedy: `${remedyFor('vhd repair FILE --cut', name)}   (cuts what lies between)`,
    });
  }
  const writes = [{ position: size, bytes: resizedFooter(footer, size) }];
  return { zeros: [], writes, fileSize: size + FOOTER_BYTES, freedBlocks: 0 };
}

/** What is known of an image with blocks that is to become smaller. */
interface Shrunk {
  readonly storage: Storage;
  readonly image: SoundExamination;
  readonly layout: BlockLayout;
  readonly table: BlockTable;
  readonly tableOffset: number;
  /** Entries that the table needs afterwards. */
  readonly entryCount: number;
  readonly size: number;
}

async function planBlocksShrink(storage: Storage, image: SoundExamination, size: number): Promise<ShrinkPlan> {
  const { header, footer, virtualSize, endFooterOffset = image.fileSize } = image;
  if (header === undefined) throw new Error('a sound image with blocks has a header');
  const { blockSize, tableOffset } = header;
  const layout = blockLayout(blockSize, (endFooterOffset + FOOTER_BYTES) % 4096 === 0 ? 'aligned' : 'packed');
  const table = await BlockTable.load(storage, tableOffset, entryCountFor(virtualSize, blockSize));
  await refuseStrayEntries(storage, image, table);
  const entryCount = entryCountFor(size, blockSize);
  const shrunk = { storage, image, layout, table, tableOffset, entryCount, size };
  const metadata = await metadataRanges(storage, image, header, table.entryCount);
  const kept = keptBlocks(shrunk);
  const footerOffset = Math.min(endFooterOffset, footerOffsetFor(layout, Math.max(metadata.end, kept.end)));
  const batmap = await readBatmap(storage, header, endFooterOffset);
  const tableEnd = tableOffset + batByteLength(entryCount);
  const writes = [
    goneEntries(shrunk),
    await headerFor(storage, footer.dataOffset, { offset: tableOffset, maxTableEntries: entryCount }),
    // blktap finds it by where the table ends.
    ...(batmap === undefined ? [] : shortenedBatmap(batmap, tableEnd, entryCount)),
    ...[0, footerOffset].map((position) => ({ position, bytes: resizedFooter(footer, size) })),
  ];
  const isMoved = batmap !== undefined && batmap.offset !== tableEnd;
  const oldHead = isMoved ? [{ start: batmap.offset, end: batmap.offset + SECTOR_BYTES }] : [];
  const zeros = [...lastPart(shrunk), ...oldHead];
  return { zeros, writes, fileSize: footerOffset + FOOTER_BYTES, freedBlocks: table.allocatedCount - kept.count };
}

function keptBlocks({ table, entryCount, layout }: Shrunk): { readonly count: number; readonly end: number } {
  let [count, end] = [0, 0];
  for (const blockIndex of table.allocated()) {
    if (blockIndex >= entryCount) continue;
    count++;
    end = Math.max(end, blockEnd(layout, table.sectorOf(blockIndex) * SECTOR_BYTES));
  }
  return { count, end };
}

/** The entries of blocks that are gone: nothing is to read them again. */
function goneEntries({ tableOffset, table, entryCount }: Shrunk): PlacedBytes {
  const byteLength = (table.entryCount - entryCount) * BAT_ENTRY_BYTES;
  return { position: tableOffset + entryCount * BAT_ENTRY_BYTES, bytes: new Uint8Array(byteLength).fill(0xff) };
}

/** What the block in which the disk now ends has behind that. */
function lastPart({ table, entryCount, layout, size, image }: Shrunk): FileRange[] {
  const blockIndex = entryCount - 1;
  const sector = table.sectorOf(blockIndex);
  const position = blockIndex * layout.blockSize;
  const [from, to] = [size - position, Math.min(layout.blockSize, image.virtualSize - position)];
  if (sector === UNUSED_BAT_ENTRY || from >= to) return [];
  const dataOffset = sector * SECTOR_BYTES + layout.bitmapBytes;
  return [{ start: dataOffset + from, end: dataOffset + to }];
}

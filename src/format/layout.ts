import { bitmapByteLength } from './bitmap.ts';
import {
  alignUp,
  BAT_ENTRY_BYTES,
  DATA_ALIGNMENT_BYTES,
  DYNAMIC_HEADER_BYTES,
  FOOTER_BYTES,
  SECTOR_BYTES,
} from './spec.ts';

/** How the blocks of a dynamic image lie: one after the other, or with their data on 4 KiB as Windows 8 and later do. */
export type BlockAlignment = 'packed' | 'aligned';

/** Where everything of a dynamic image goes; all in bytes. */
export interface BlockLayout {
  /** Data bytes of a block. */
  readonly blockSize: number;
  /** Bytes of the bitmap in front of the data. */
  readonly bitmapBytes: number;
  /** How the blocks lie. */
  readonly alignment: BlockAlignment;
}

/** The layout of blocks of a size. */
export function blockLayout(blockSize: number, alignment: BlockAlignment): BlockLayout {
  return { blockSize, bitmapBytes: bitmapByteLength(blockSize), alignment };
}

/** Entries a table needs for a virtual size. */
export function entryCountFor(virtualSize: number, blockSize: number): number {
  return Math.ceil(virtualSize / blockSize);
}

/** Bytes a table of `entryCount` entries takes in the file, padded to whole sectors. */
export function batByteLength(entryCount: number): number {
  return alignUp(entryCount * BAT_ENTRY_BYTES, SECTOR_BYTES);
}

/** Byte offset of the table in images made here: right behind the dynamic header. */
export const NEW_TABLE_OFFSET: number = FOOTER_BYTES + DYNAMIC_HEADER_BYTES;

/** Byte offset of the bitmap of the next block, given where everything before it ends. */
export function nextBlockOffset(layout: BlockLayout, usedEnd: number): number {
  if (layout.alignment === 'packed') return alignUp(usedEnd, SECTOR_BYTES);
  const { bitmapBytes } = layout;
  // Six images of Windows 8 and later: the bitmap ends, and the data begins, on the next 4 KiB boundary but one.
  return alignUp(usedEnd, DATA_ALIGNMENT_BYTES) + alignUp(bitmapBytes, DATA_ALIGNMENT_BYTES) - bitmapBytes;
}

/** Byte offset just behind a block whose bitmap stands at `blockOffset`. */
export function blockEnd(layout: BlockLayout, blockOffset: number): number {
  return blockOffset + layout.bitmapBytes + layout.blockSize;
}

/** Byte offset of the footer behind everything that ends at `usedEnd`: the last sector of the place of the next bitmap. */
export function footerOffsetFor(layout: BlockLayout, usedEnd: number): number {
  if (layout.alignment === 'packed') return alignUp(usedEnd, SECTOR_BYTES);
  return nextBlockOffset(layout, usedEnd) + layout.bitmapBytes - FOOTER_BYTES;
}

/** Bytes from one block to the next when they lie in a row. */
export function blockStride(layout: BlockLayout): number {
  const start = nextBlockOffset(layout, 0);
  return nextBlockOffset(layout, blockEnd(layout, start)) - start;
}

/** Where the blocks of a new image go, in the order given, one behind the other from `usedEnd` on. */
export function* placedBlocks(
  usedEnd: number,
  layout: BlockLayout,
  blockIndexes: Iterable<number>,
): Generator<readonly [blockIndex: number, sector: number]> {
  let end = usedEnd;
  for (const blockIndex of blockIndexes) {
    const blockOffset = nextBlockOffset(layout, end);
    end = blockEnd(layout, blockOffset);
    yield [blockIndex, blockOffset / SECTOR_BYTES];
  }
}

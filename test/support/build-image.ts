// Makes dynamic and differencing images of any shape, sound or not, out of a description.
import { allOnesBitmap, bitmapByteLength, setSectors } from '../../src/format/bitmap.ts';
import { type DynamicHeader, encodeDynamicHeader, plainDynamicHeader } from '../../src/format/dynamic-header.ts';
import { encodeFooter, type Footer } from '../../src/format/footer.ts';
import {
  type BlockAlignment,
  type BlockLayout,
  batByteLength,
  blockEnd,
  blockLayout,
  entryCountFor,
  footerOffsetFor,
  nextBlockOffset,
} from '../../src/format/layout.ts';
import { newFooter } from '../../src/format/new-footer.ts';
import type { ParentLocator } from '../../src/format/parent-locator.ts';
import { alignUp, DEFAULT_BLOCK_SIZE, SECTOR_BYTES, UNUSED_BAT_ENTRY } from '../../src/format/spec.ts';

/** A block that has a place in the image. */
export interface BlockShape {
  readonly index: number;
  /** What it holds: bytes (zeros behind them), or one byte over and over. Default: 0xb0. */
  readonly data?: Uint8Array | number;
  /** Sectors whose bit is set. Default: all. */
  readonly sectors?: readonly number[];
  /** The entry of the table, where it is not to say the truth. */
  readonly entry?: number;
  /** Data bytes that the file holds of it; what follows comes right behind them. Default: all. */
  readonly storedBytes?: number;
}

/** One form of the parent's name, as stored. */
export interface LocatorShape {
  readonly platformCode: string;
  readonly bytes: Uint8Array;
  /** The room for it as the entry says it. Default: bytes, whole sectors. */
  readonly dataSpace?: number;
  /** Byte offset of the name. Default: behind table and locators so far, in front of the blocks. */
  readonly offset?: number;
}

/** What a differencing image says of its parent. */
export interface ParentShape {
  /** The 16 identifier bytes of the parent's footer. */
  readonly uniqueId: Uint8Array;
  /** Default: that of every built image. */
  readonly timestamp?: number;
  /** What the name field begins with: text, stored as UTF-16BE, or bytes. Default: nothing. */
  readonly name?: string | Uint8Array;
  readonly locators?: readonly LocatorShape[];
}

/** A footer: changed fields, bytes that stand there instead, or nothing. */
export type FooterShape = Partial<Footer> | Uint8Array | 'none';

/** A dynamic image, or with a parent a differencing one, told by what is special about it. */
export interface ImageShape {
  readonly size: number;
  readonly parent?: ParentShape;
  readonly blockSize?: number;
  readonly alignment?: BlockAlignment;
  readonly blocks?: readonly BlockShape[];
  /** Fields of both footers. */
  readonly footer?: Partial<Footer>;
  readonly startFooter?: FooterShape;
  readonly endFooter?: FooterShape;
  /** Leave the last byte of the file away, as before Virtual PC 2004. */
  readonly isLegacyEnd?: boolean;
  readonly header?: Partial<DynamicHeader>;
  readonly tableOffset?: number | 'behind-blocks';
  readonly maxTableEntries?: number;
  /** What fills the table behind the last entry. Default 0xff. */
  readonly tablePadding?: number;
  /** Byte offset behind which the first block goes. Default: the end of headers and table. */
  readonly blocksFrom?: number;
  /** Empty bytes between the last block and the footer. */
  readonly slackBytes?: number;
  /** Bytes put over everything else in the end. */
  readonly patches?: readonly { readonly offset: number; readonly bytes: Uint8Array }[];
}

/** The identifier of built images. */
export const IMAGE_UUID: Uint8Array = Uint8Array.from({ length: 16 }, (_, index) => 0x10 + index);

const TIMESTAMP = 700_000_000;

/** The footer of a built image. */
export function footerOf(shape: ImageShape): Footer {
  const type = shape.parent === undefined ? 'dynamic' : 'differencing';
  const fields = { type, size: shape.size, uniqueId: IMAGE_UUID, timestamp: TIMESTAMP } as const;
  return { ...newFooter(fields), ...shape.footer };
}

/** The block layout of a built image. */
export function layoutOf(shape: ImageShape): BlockLayout {
  return blockLayout(shape.blockSize ?? DEFAULT_BLOCK_SIZE, shape.alignment ?? 'packed');
}

interface Placed {
  readonly block: BlockShape;
  readonly offset: number;
}

/** Makes the image. */
export function buildImage(shape: ImageShape): Uint8Array {
  const bytes = encodeImage(shape);
  for (const patch of shape.patches ?? []) bytes.set(patch.bytes, patch.offset);
  return shape.isLegacyEnd === true ? bytes.slice(0, -1) : bytes;
}

function encodeImage(shape: ImageShape): Uint8Array {
  const layout = layoutOf(shape);
  const entryCount = shape.maxTableEntries ?? entryCountFor(shape.size, layout.blockSize);
  const tableBytes = batByteLength(entryCount);
  const { locators, placed, tableOffset, usedEnd } = placeAll(shape, layout, tableBytes);
  const footerOffset = footerOffsetFor(layout, usedEnd + (shape.slackBytes ?? 0));
  const endFooter = footerBytes(shape, shape.endFooter);
  const bytes = new Uint8Array(endFooter.length === 0 ? usedEnd : footerOffset + endFooter.length);
  for (const { block, offset } of placed) bytes.set(encodeBlock(layout, block), offset);
  bytes.set(footerBytes(shape, shape.startFooter), 0);
  const plain = plainDynamicHeader(tableOffset, entryCount, layout.blockSize);
  const header = { ...plain, ...parentFields(shape, plain, locators.entries), ...shape.header };
  bytes.set(encodeDynamicHeader(header), footerOf(shape).dataOffset);
  for (const { name, offset } of locators.names) bytes.set(name, offset);
  bytes.set(encodeTable(shape, placed, entryCount, tableBytes), tableOffset);
  if (endFooter.length > 0) bytes.set(endFooter, footerOffset);
  return bytes;
}

/** Where table, locators and blocks go, and where the last of them ends. */
function placeAll(shape: ImageShape, layout: BlockLayout, tableBytes: number) {
  const isTableLast = shape.tableOffset === 'behind-blocks';
  const frontTable = typeof shape.tableOffset === 'number' ? shape.tableOffset : 1536;
  const locators = placeLocators(shape, isTableLast ? 1536 : frontTable + tableBytes);
  const { placed, end } = placeBlocks(shape, layout, locators.end);
  const tableOffset = isTableLast ? alignUp(end, SECTOR_BYTES) : frontTable;
  return { locators, placed, tableOffset, usedEnd: isTableLast ? tableOffset + tableBytes : end };
}

/** The names of the parent: their entries in the header, what goes where, and the end of it all. */
interface PlacedLocators {
  readonly entries: readonly ParentLocator[];
  readonly names: readonly { readonly name: Uint8Array; readonly offset: number }[];
  readonly end: number;
}

function placeLocators(shape: ImageShape, metadataEnd: number): PlacedLocators {
  const entries: ParentLocator[] = [];
  const names: PlacedLocators['names'][number][] = [];
  let end = metadataEnd;
  for (const { platformCode, bytes, dataSpace, offset } of shape.parent?.locators ?? []) {
    const room = alignUp(bytes.length, SECTOR_BYTES);
    const dataOffset = offset ?? end;
    if (offset === undefined) end += room;
    entries.push({ platformCode, dataSpace: dataSpace ?? room, dataByteLength: bytes.length, dataOffset });
    names.push({ name: bytes, offset: dataOffset });
  }
  return { entries, names, end };
}

/** The fields of the header that a differencing image has. */
function parentFields(
  { parent }: ImageShape,
  plain: DynamicHeader,
  entries: readonly ParentLocator[],
): Partial<DynamicHeader> {
  if (parent === undefined) return {};
  const { name = '' } = parent;
  const parentNameBytes = new Uint8Array(512);
  parentNameBytes.set(typeof name === 'string' ? Buffer.from(name, 'utf16le').swap16() : name);
  return {
    parentUniqueId: parent.uniqueId,
    parentTimestamp: parent.timestamp ?? TIMESTAMP,
    parentNameBytes,
    parentLocators: [...entries, ...plain.parentLocators.slice(entries.length)],
  };
}

function placeBlocks(shape: ImageShape, layout: BlockLayout, metadataEnd: number): { placed: Placed[]; end: number } {
  let end = Math.max(metadataEnd, shape.blocksFrom ?? 0);
  const placed = (shape.blocks ?? []).map((block) => {
    const offset = nextBlockOffset(layout, end);
    end = blockEnd(layout, offset) - layout.blockSize + (block.storedBytes ?? layout.blockSize);
    return { block, offset };
  });
  return { placed, end };
}

function encodeBlock(layout: BlockLayout, block: BlockShape): Uint8Array {
  const stored = block.storedBytes ?? layout.blockSize;
  const bytes = new Uint8Array(layout.bitmapBytes + stored);
  const bitmap = block.sectors === undefined ? allOnesBitmap(layout.bitmapBytes) : new Uint8Array(layout.bitmapBytes);
  for (const sector of block.sectors ?? []) setSectors(bitmap, sector, 1);
  bytes.set(bitmap, 0);
  const { data = 0xb0 } = block;
  if (typeof data === 'number') bytes.fill(data, layout.bitmapBytes);
  else bytes.set(data.subarray(0, stored), layout.bitmapBytes);
  return bytes;
}

function encodeTable(shape: ImageShape, placed: readonly Placed[], entryCount: number, byteLength: number): Uint8Array {
  const table = new Uint8Array(byteLength).fill(shape.tablePadding ?? 0xff);
  const view = new DataView(table.buffer);
  for (let index = 0; index < entryCount; index++) view.setUint32(index * 4, UNUSED_BAT_ENTRY);
  for (const { block, offset } of placed) view.setUint32(block.index * 4, block.entry ?? offset / SECTOR_BYTES);
  return table;
}

function footerBytes(shape: ImageShape, footer: FooterShape | undefined): Uint8Array {
  if (footer === 'none') return new Uint8Array(0);
  if (footer instanceof Uint8Array) return footer;
  return encodeFooter({ ...footerOf(shape), ...footer });
}

/**
 * The virtual disk a shape stands for: what its blocks hold under bits that are set; elsewhere what the parent holds,
 * zeros behind its end and without one.
 */
export function contentOf(shape: ImageShape, parentContent: Uint8Array = new Uint8Array(0)): Uint8Array {
  const layout = layoutOf(shape);
  const content = new Uint8Array(shape.size);
  content.set(parentContent.subarray(0, shape.size));
  for (const block of shape.blocks ?? []) {
    const data = encodeBlock(layout, block).subarray(bitmapByteLength(layout.blockSize));
    const start = block.index * layout.blockSize;
    const length = Math.min(data.length, shape.size - start);
    for (const sector of block.sectors ?? [0]) {
      const from = sector * SECTOR_BYTES;
      if (from >= length) continue;
      const to = block.sectors === undefined ? length : Math.min(from + SECTOR_BYTES, length);
      content.set(data.subarray(from, to), start + from);
    }
  }
  return content;
}

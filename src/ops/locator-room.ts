import { BlockTable } from '../disk/block-table.ts';
import { batmapEnd } from '../disk/metadata-ranges.ts';
import type { FileRange } from '../disk/placement.ts';
import type { DynamicHeader } from '../format/dynamic-header.ts';
import type { Footer } from '../format/footer.ts';
import { type BlockLayout, batByteLength, blockLayout, entryCountFor, footerOffsetFor } from '../format/layout.ts';
import { locatorSpaceBytes, NO_PLATFORM } from '../format/parent-locator.ts';
import type { ParentLocatorName } from '../format/parent-reference.ts';
import {
  alignUp,
  BAT_ENTRY_BYTES,
  DATA_ALIGNMENT_BYTES,
  DYNAMIC_HEADER_BYTES,
  FOOTER_BYTES,
  SECTOR_BYTES,
} from '../format/spec.ts';
import { isAllZeros } from '../format/zeros.ts';
import type { Storage } from '../storage/storage.ts';

/** An image whose locators are to be placed. */
export interface LocatorImage {
  /** Its file. */
  readonly storage: Storage;
  /** Bytes of the file. */
  readonly fileSize: number;
  /** Its footer. */
  readonly footer: Footer;
  /** Byte offset of the footer that ends it; undefined if there is none. */
  readonly endFooterOffset: number | undefined;
  /** Its dynamic header. */
  readonly header: DynamicHeader;
  /** Virtual size in bytes. */
  readonly virtualSize: number;
}

/** Where a name goes. */
export interface PlacedLocator extends ParentLocatorName {
  /** Byte offset. */
  readonly offset: number;
  /** Bytes that are its own, a multiple of 512. */
  readonly spaceBytes: number;
  /** Bytes from there on that an older name takes, and that become zeros as far as the new one does not. */
  readonly oldByteLength: number;
}

/** Where all names go. */
export interface LocatorPlacement {
  /** In the order of the names. */
  readonly locators: readonly PlacedLocator[];
  /** Stretches that held older names and hold none any more. */
  readonly freed: readonly FileRange[];
  /** Byte offset of the footer, if it has to move; undefined if it stays. */
  readonly footerOffset: number | undefined;
}

/** Longest old name whose place is used again, or zeroed: that of the longest path there is. */
const MAX_OLD_NAME_BYTES = 64 * 1024;

/**
 * Finds room for the names of a parent: where names were, in gaps in front of the blocks that hold nothing but zeros, and
 * behind everything else, in front of a footer that moves. What belongs to blocks, table, batmap or headers is never used,
 * however the image is laid out and whatever its old locators claim.
 */
export async function placeLocators(
  image: LocatorImage,
  names: readonly ParentLocatorName[],
): Promise<LocatorPlacement> {
  const room = await Room.survey(image);
  const locators: (PlacedLocator | undefined)[] = [];
  for (const name of names) locators.push(await room.takeOld(name, name.platformCode));
  for (const [index, name] of names.entries()) {
    locators[index] ??= (await room.takeOld(name)) ?? (await room.takeGap(name)) ?? room.takeEnd(name);
  }
  const placed = locators.filter((locator) => locator !== undefined);
  return { locators: placed, freed: room.freed(), footerOffset: room.footerOffset };
}

interface OldArea extends FileRange {
  readonly platformCode: string;
  /** Where the name in it ends. */
  readonly nameEnd: number;
}

class Room {
  readonly #image: LocatorImage;
  readonly #layout: BlockLayout;
  /** Headers, table, batmap and what is given out, in no order. */
  readonly #taken: FileRange[];
  readonly #firstBlock: number;
  #old: OldArea[];
  readonly #end: number;
  #usedEnd: number;

  private constructor(image: LocatorImage, blocks: BlockSurvey, taken: FileRange[], old: OldArea[]) {
    this.#image = image;
    this.#layout = blockLayout(image.header.blockSize, blocks.isAligned ? 'aligned' : 'packed');
    this.#taken = taken;
    this.#firstBlock = blocks.first;
    this.#old = old;
    this.#end = image.endFooterOffset ?? image.fileSize;
    const behind = Math.max(this.#end, blocks.end);
    this.#usedEnd = alignUp(behind, blocks.isAligned ? DATA_ALIGNMENT_BYTES : SECTOR_BYTES);
  }

  static async survey(image: LocatorImage): Promise<Room> {
    const taken = await structuresOf(image);
    const areas = oldAreasOf(image);
    const blocks = await surveyBlocks(image, areas);
    const old: OldArea[] = [];
    for (const [index, area] of areas.entries()) {
      const clipped = clip({ ...area, end: blocks.clippedEnds[index] ?? area.start }, [...taken, ...old]);
      const nameEnd = Math.min(area.nameEnd, clipped.end);
      const isUsable = clipped.end > clipped.start && nameEnd - clipped.start <= MAX_OLD_NAME_BYTES;
      if (isUsable) old.push({ ...clipped, nameEnd });
    }
    return new Room(image, blocks, taken, old);
  }

  /** Byte offset of the footer, if something was put where it was. */
  get footerOffset(): number | undefined {
    const isMoved = this.#taken.some((range) => range.start >= this.#end);
    return isMoved ? footerOffsetFor(this.#layout, this.#usedEnd) : undefined;
  }

  /** Where a name was before; of the same kind, if that is asked for. */
  async takeOld(name: ParentLocatorName, platformCode?: string): Promise<PlacedLocator | undefined> {
    for (const area of this.#old) {
      if (platformCode !== undefined && area.platformCode !== platformCode) continue;
      const spaceBytes = Math.floor((area.end - area.start) / SECTOR_BYTES) * SECTOR_BYTES;
      if (spaceBytes < Math.max(name.bytes.length, 1)) continue;
      // What a locator claims beyond its name may be somebody's whom we do not know.
      const more = Math.max(0, area.start + name.bytes.length - area.nameEnd);
      if (!(await this.#isZero(area.nameEnd, more))) continue;
      this.#old = this.#old.filter((each) => each !== area);
      return this.#take(name, area.start, spaceBytes, area.nameEnd - area.start);
    }
    return undefined;
  }

  /** Between structures in front of the blocks. */
  async takeGap(name: ParentLocatorName): Promise<PlacedLocator | undefined> {
    const spaceBytes = spaceFor(name);
    const limit = Math.min(this.#firstBlock, this.#end);
    const taken = [...this.#taken, ...this.#old].sort((first, second) => first.start - second.start);
    let start = 0;
    for (const range of [...taken, { start: limit, end: limit }]) {
      const isFree = start + spaceBytes <= Math.min(range.start, limit) && (await this.#isZero(start, spaceBytes));
      if (isFree) return this.#take(name, start, spaceBytes);
      start = Math.max(start, alignUp(range.end, SECTOR_BYTES));
    }
    return undefined;
  }

  async #isZero(start: number, byteLength: number): Promise<boolean> {
    const bytes = new Uint8Array(byteLength);
    await this.#image.storage.read(bytes, start);
    return isAllZeros(bytes);
  }

  /** Behind everything. */
  takeEnd(name: ParentLocatorName): PlacedLocator {
    const placed = this.#take(name, this.#usedEnd, spaceFor(name));
    this.#usedEnd += placed.spaceBytes;
    return placed;
  }

  #take(name: ParentLocatorName, offset: number, spaceBytes: number, oldByteLength = 0): PlacedLocator {
    this.#taken.push({ start: offset, end: offset + spaceBytes });
    return { ...name, offset, spaceBytes, oldByteLength };
  }

  /** Old names that nothing takes the place of. */
  freed(): FileRange[] {
    const named = this.#old.map(({ start, nameEnd }) => ({ start, end: nameEnd }));
    return named.filter(({ start, end }) => end > start);
  }
}

function spaceFor({ bytes }: ParentLocatorName): number {
  return alignUp(Math.max(bytes.length, 1), SECTOR_BYTES);
}

/** Everything in the file that is neither a block nor a name of the parent. */
async function structuresOf({
  storage,
  fileSize,
  footer,
  endFooterOffset,
  header,
}: LocatorImage): Promise<FileRange[]> {
  const tableEnd = header.tableOffset + batByteLength(header.maxTableEntries);
  const end = endFooterOffset ?? fileSize;
  return [
    { start: 0, end: FOOTER_BYTES },
    { start: footer.dataOffset, end: footer.dataOffset + DYNAMIC_HEADER_BYTES },
    { start: header.tableOffset, end: Math.min(await batmapEnd(storage, tableEnd, end), end) },
  ];
}

function oldAreasOf({ header, endFooterOffset, fileSize }: LocatorImage): OldArea[] {
  const limit = endFooterOffset ?? fileSize;
  return header.parentLocators
    .filter(({ platformCode, dataOffset }) => platformCode !== NO_PLATFORM && dataOffset >= FOOTER_BYTES)
    .map((locator) => {
      const { platformCode, dataOffset: start, dataByteLength } = locator;
      const space = Math.max(locatorSpaceBytes(locator), 0);
      return { platformCode, start, end: Math.min(start + space, limit), nameEnd: start + dataByteLength };
    })
    .filter(({ start, end }) => start < end);
}

/** A stretch up to where something else begins; empty if something else has its beginning. */
function clip<Range extends FileRange>(range: Range, taken: readonly FileRange[]): Range {
  let { end } = range;
  for (const other of taken) {
    if (other.end <= range.start || other.start >= end) continue;
    end = Math.max(range.start, other.start);
  }
  return { ...range, end };
}

interface BlockSurvey {
  /** Byte offset of the bitmap that comes first in the file; infinite without blocks. */
  readonly first: number;
  /** Byte offset behind the last block, as far as the file holds it. */
  readonly end: number;
  /** True if the data of every block begins on 4 KiB; without blocks, if the footer lies accordingly. */
  readonly isAligned: boolean;
  /** For each old area, where the first block cuts it off. */
  readonly clippedEnds: readonly number[];
}

/** Goes through the table once. */
async function surveyBlocks(image: LocatorImage, areas: readonly FileRange[]): Promise<BlockSurvey> {
  const { storage, header, virtualSize, fileSize, endFooterOffset } = image;
  const { blockSize, tableOffset } = header;
  const { bitmapBytes } = blockLayout(blockSize, 'packed');
  // All entries that other programs see, as far as the file holds them.
  const room = Math.floor(Math.max(0, fileSize - tableOffset) / BAT_ENTRY_BYTES);
  const needed = entryCountFor(virtualSize, blockSize);
  const table = await BlockTable.load(storage, tableOffset, Math.min(needed, room));
  const clippedEnds = areas.map((area) => area.end);
  let [first, end, isAligned] = [Number.POSITIVE_INFINITY, 0, true];
  for (const index of table.allocated()) {
    const start = table.sectorOf(index) * SECTOR_BYTES;
    const block = { start, end: start + bitmapBytes + blockSize };
    first = Math.min(first, start);
    end = Math.max(end, Math.min(block.end, fileSize));
    isAligned &&= (start + bitmapBytes) % DATA_ALIGNMENT_BYTES === 0;
    for (const [place, area] of areas.entries()) {
      clippedEnds[place] = clip({ start: area.start, end: clippedEnds[place] ?? area.start }, [block]).end;
    }
  }
  const isFooterAligned =
    endFooterOffset !== undefined && (endFooterOffset + FOOTER_BYTES) % DATA_ALIGNMENT_BYTES === 0;
  return { first, end, isAligned: table.allocatedCount > 0 ? isAligned : isFooterAligned, clippedEnds };
}

import { viewOf } from './bytes.ts';
import { encodeDynamicHeader, plainDynamicHeader } from './dynamic-header.ts';
import { entryCountFor } from './layout.ts';
import { LOCATOR_COUNT, NO_PLATFORM, type ParentLocator } from './parent-locator.ts';
import { encodeParentName, type ParentReference } from './parent-reference.ts';
import { alignUp, BAT_ENTRY_BYTES, DATA_ALIGNMENT_BYTES, FOOTER_BYTES } from './spec.ts';

/** Where everything in front of the blocks of a new differencing image goes; all in bytes. */
export interface ChildLayout {
  /** Byte offset of the table. */
  readonly tableOffset: number;
  /** Bytes of the table with its padding. */
  readonly tableBytes: number;
  /** The eight locator entries, used or not. */
  readonly locators: readonly ParentLocator[];
  /** Byte offset behind all of it. */
  readonly byteLength: number;
}

/** What the front of a new differencing image says. */
export interface ChildFront {
  /** The encoded footer. */
  readonly footer: Uint8Array;
  /** Virtual size in bytes. */
  readonly size: number;
  /** Bytes of a block. */
  readonly blockSize: number;
  /** The parent. */
  readonly parent: ParentReference;
}

/** Bytes of a file and where they go. */
export interface PlacedPart {
  /** Of the first byte, in the file. */
  readonly position: number;
  /** The bytes. */
  readonly bytes: Uint8Array;
}

/**
 * Room for a name in bytes, by its form: any path of 4095 characters fits, the longest that Linux takes, so that an image
 * can be told of a parent that lies deeper. Windows 10 gives 64 KiB to the relative name, as here, and 4 KiB to the
 * absolute one, which is half of what such a path needs; percent-encoding makes up to three of a byte.
 */
const NAME_SPACE_BYTES: Readonly<Record<string, number>> = { W2ku: 8 * 1024, W2ru: 64 * 1024, MacX: 16 * 1024 };

/**
 * Lays out the front of a differencing image as Windows 10 does (two real images): everything on 4 KiB, the first name
 * in front of the table, the others behind it, and the room for names in bytes, not in sectors.
 * @throws RangeError if there are more than eight names
 */
export function childLayout(size: number, blockSize: number, parent: ParentReference): ChildLayout {
  const { locators: names } = parent;
  if (names.length > LOCATOR_COUNT)
    throw new RangeError('parent: a differencing image names its parent at most 8 times');
  const tableBytes = alignUp(entryCountFor(size, blockSize) * BAT_ENTRY_BYTES, DATA_ALIGNMENT_BYTES);
  const locators: ParentLocator[] = [];
  let end = DATA_ALIGNMENT_BYTES;
  let tableOffset = end;
  for (const { platformCode, bytes } of names) {
    const dataSpace = nameSpace(platformCode, bytes.length);
    locators.push({ platformCode, dataSpace, dataByteLength: bytes.length, dataOffset: end });
    end += dataSpace;
    if (locators.length > 1) continue;
    tableOffset = end;
    end += tableBytes;
  }
  const unused: ParentLocator = { platformCode: NO_PLATFORM, dataSpace: 0, dataByteLength: 0, dataOffset: 0 };
  while (locators.length < LOCATOR_COUNT) locators.push(unused);
  return { tableOffset, tableBytes, locators, byteLength: Math.max(end, tableOffset + tableBytes) };
}

/** A name that does not fit gets twice the room it takes. */
function nameSpace(platformCode: string, byteLength: number): number {
  const usual = NAME_SPACE_BYTES[platformCode] ?? DATA_ALIGNMENT_BYTES;
  return byteLength <= usual ? usual : alignUp(2 * byteLength, DATA_ALIGNMENT_BYTES);
}

/** The parts of the front in the order of the file; between them is nothing but zeros. */
export function encodeChildFront(
  front: ChildFront,
  sectors: Iterable<readonly [blockIndex: number, sector: number]> = [],
): PlacedPart[] {
  const { footer, size, blockSize, parent } = front;
  const layout = childLayout(size, blockSize, parent);
  const header = encodeDynamicHeader({
    ...plainDynamicHeader(layout.tableOffset, entryCountFor(size, blockSize), blockSize),
    parentUniqueId: parent.uniqueId,
    parentTimestamp: parent.timestamp,
    parentNameBytes: encodeParentName(parent.name),
    parentLocators: layout.locators,
  });
  const table = new Uint8Array(layout.tableBytes).fill(0xff);
  const view = viewOf(table);
  for (const [blockIndex, sector] of sectors) view.setUint32(blockIndex * BAT_ENTRY_BYTES, sector);
  const names = parent.locators.map(({ bytes }, index) => {
    return { position: layout.locators[index]?.dataOffset ?? 0, bytes };
  });
  const parts = [
    { position: 0, bytes: footer },
    { position: FOOTER_BYTES, bytes: header },
    { position: layout.tableOffset, bytes: table },
    ...names,
  ];
  return parts.sort((first, second) => first.position - second.position);
}

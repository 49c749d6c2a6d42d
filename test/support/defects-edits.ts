// One change to an image at a time. Every edit gives new bytes; checksums are redone unless the checksum is what is changed.
import { viewOf, writeLatin1, writeUint64 } from '../../src/format/bytes.ts';
import { checksumOf } from '../../src/format/checksum.ts';
import {
  BAT_ENTRY_BYTES,
  DYNAMIC_HEADER_BYTES,
  FOOTER_BYTES,
  FOOTER_COOKIE,
  SECTOR_BYTES,
} from '../../src/format/spec.ts';

/** Changes a structure in place: its bytes, and a view over them. */
export type Change = (bytes: Uint8Array, view: DataView) => void;

/** Which of the two footers of a dynamic image. */
export type FooterEnd = 'both' | 'start' | 'end';

/** Byte offset of the dynamic header in images that are built here. */
export const HEADER_OFFSET = 512;
/** Byte offset of the table in images that are built here. */
export const TABLE_OFFSET = 1536;
/** Byte offset of the checksum in a footer. */
export const FOOTER_CHECKSUM = 64;
/** Byte offset of the checksum in a dynamic header. */
export const HEADER_CHECKSUM = 36;
const LOCATORS_OFFSET = 576;
const LOCATOR_BYTES = 24;

/** The image with some of its bytes changed. */
export function withBytes(image: Uint8Array, change: Change): Uint8Array {
  const changed = Uint8Array.from(image);
  change(changed, viewOf(changed));
  return changed;
}

/** The image with other bytes at an offset, counted from the end of the file if it is negative. */
export function withPatch(image: Uint8Array, offset: number, bytes: Uint8Array | readonly number[]): Uint8Array {
  return withBytes(image, (changed) => changed.set(bytes, offset < 0 ? image.length + offset : offset));
}

/** The image with its footers changed, and their checksums right. A fixed image has one, at its end. */
export function withFooters(image: Uint8Array, change: Change, which: FooterEnd = 'both'): Uint8Array {
  return withBytes(image, (changed) => {
    for (const offset of footerOffsets(image, which)) {
      editSealed(changed.subarray(offset, offset + FOOTER_BYTES), FOOTER_CHECKSUM, change);
    }
  });
}

/** Where the footers of an image are. */
export function footerOffsets(image: Uint8Array, which: FooterEnd = 'both'): number[] {
  const offsets: number[] = [];
  const hasCopy = Buffer.from(image.subarray(0, 8)).toString('latin1') === FOOTER_COOKIE;
  if (which !== 'end' && hasCopy) offsets.push(0);
  if (which !== 'start') offsets.push(image.length - FOOTER_BYTES);
  return offsets;
}

/** The image with its dynamic header changed, and its checksum right. */
export function withHeader(image: Uint8Array, change: Change): Uint8Array {
  return withBytes(image, (changed) => {
    editSealed(changed.subarray(HEADER_OFFSET, HEADER_OFFSET + DYNAMIC_HEADER_BYTES), HEADER_CHECKSUM, change);
  });
}

function editSealed(bytes: Uint8Array, checksumOffset: number, change: Change): void {
  const view = viewOf(bytes);
  change(bytes, view);
  view.setUint32(checksumOffset, checksumOf(bytes, checksumOffset));
}

/** The image with one parent locator entry changed, and the checksum of the header right. */
export function withLocator(image: Uint8Array, slot: number, change: Change): Uint8Array {
  const offset = LOCATORS_OFFSET + slot * LOCATOR_BYTES;
  return withHeader(image, (header) => {
    const locator = header.subarray(offset, offset + LOCATOR_BYTES);
    change(locator, viewOf(locator));
  });
}

/** The image with other bytes in the place of the name of a locator. */
export function withLocatorName(image: Uint8Array, slot: number, name: Uint8Array): Uint8Array {
  const offset = Number(viewOf(image).getBigUint64(HEADER_OFFSET + LOCATORS_OFFSET + slot * LOCATOR_BYTES + 16));
  const named = withLocator(image, slot, (_, view) => view.setUint32(8, name.length));
  return withPatch(named, offset, name);
}

/** The sector that an entry of the table names. */
export function entryOf(image: Uint8Array, blockIndex: number): number {
  return viewOf(image).getUint32(TABLE_OFFSET + blockIndex * BAT_ENTRY_BYTES);
}

/** The image with another entry in its table. */
export function withEntry(image: Uint8Array, blockIndex: number, sector: number): Uint8Array {
  return withBytes(image, (_, view) => view.setUint32(TABLE_OFFSET + blockIndex * BAT_ENTRY_BYTES, sector));
}

/** The image with bits of the bitmap of a block cleared: sectors from the first up to the last, which is left out. */
export function withClearBits(image: Uint8Array, blockIndex: number, first: number, end: number): Uint8Array {
  const bitmap = entryOf(image, blockIndex) * SECTOR_BYTES;
  return withBytes(image, (changed) => {
    for (let sector = first; sector < end; sector++) {
      const at = bitmap + (sector >> 3);
      changed[at] = (changed[at] ?? 0) & ~(0x80 >> (sector & 7));
    }
  });
}

/** The image with bytes put in at an offset, counted from the end if it is negative; what follows moves. */
export function withInserted(image: Uint8Array, offset: number, bytes: Uint8Array): Uint8Array {
  const at = offset < 0 ? image.length + offset : offset;
  return new Uint8Array(Buffer.concat([image.subarray(0, at), bytes, image.subarray(at)]));
}

/** The image without some of its bytes; what follows moves. */
export function withRemoved(image: Uint8Array, offset: number, byteLength: number): Uint8Array {
  const at = offset < 0 ? image.length + offset : offset;
  return new Uint8Array(Buffer.concat([image.subarray(0, at), image.subarray(at + byteLength)]));
}

/** A change that writes a 64-bit number. */
export function u64(offset: number, value: number | bigint): Change {
  return (_, view) => {
    if (typeof value === 'bigint') view.setBigUint64(offset, value);
    else writeUint64(view, offset, value);
  };
}

/** A change that writes a 32-bit number. */
export function u32(offset: number, value: number): Change {
  return (_, view) => view.setUint32(offset, value);
}

/** A change that writes one byte. */
export function u8(offset: number, value: number): Change {
  return (_, view) => view.setUint8(offset, value);
}

/** A change that writes a geometry into a footer. */
export function geometry(cylinders: number, heads: number, sectorsPerTrack: number): Change {
  return (_, view) => {
    view.setUint16(56, cylinders);
    view.setUint8(58, heads);
    view.setUint8(59, sectorsPerTrack);
  };
}

/** A change that fills some bytes. */
export function filled(offset: number, byteLength: number, value: number): Change {
  return (bytes) => bytes.fill(value, offset, offset + byteLength);
}

/** A change that writes text, one byte a character. */
export function latin1(offset: number, text: string): Change {
  return (bytes) => writeLatin1(bytes, offset, text);
}

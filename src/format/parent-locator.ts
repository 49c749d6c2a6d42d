import { hex, NO_OFFSET, readLatin1, readUint64, viewOf, writeLatin1, writeUint64 } from './bytes.ts';
import { type Finding, finding } from './rules.ts';
import { SECTOR_BYTES } from './spec.ts';

/** Bytes of one parent locator entry. */
export const LOCATOR_BYTES = 24;
/** Parent locator entries in every dynamic header. */
export const LOCATOR_COUNT = 8;
/** Platform codes of the specification; an unused entry has four NULs. */
export const PLATFORM_CODES = ['Wi2r', 'Wi2k', 'W2ru', 'W2ku', 'Mac ', 'MacX'] as const;
/** Longest name that is read from a file: the longest path of Windows, 32767 characters of two bytes. */
export const MAX_NAME_BYTES = 65_534;
/** The platform code of an entry that is not used. */
export const NO_PLATFORM = '\0\0\0\0';

/** Where one form of the parent's name stands in the file (specification, "Parent Locator Entry"). */
export interface ParentLocator {
  /** Four Latin-1 characters such as `W2ru`, or four NULs for an unused entry. */
  readonly platformCode: string;
  /** Room for the name as stored: sectors by the specification, bytes in nearly every image. See {@link locatorSpaceBytes}. */
  readonly dataSpace: number;
  /** Bytes of the name, no terminator. */
  readonly dataByteLength: number;
  /** Byte offset of the name in the file. */
  readonly dataOffset: number;
}

/** Decodes one parent locator entry of 24 bytes; `fileOffset` is where it stands, for the findings. */
export function decodeParentLocator(
  bytes: Uint8Array,
  fileOffset = 0,
): { value: ParentLocator; findings: readonly Finding[] } {
  const view = viewOf(bytes);
  const value: ParentLocator = {
    platformCode: readLatin1(bytes, 0, 4),
    dataSpace: view.getUint32(4),
    dataByteLength: view.getUint32(8),
    dataOffset: readUint64(view, 16) ?? NO_OFFSET,
  };
  const findings: Finding[] = [];
  if (value.platformCode !== NO_PLATFORM && !(PLATFORM_CODES as readonly string[]).includes(value.platformCode)) {
    const detail = { offset: fileOffset, expected: PLATFORM_CODES.join(', '), found: hex(view.getUint32(0)) };
    findings.push(finding('locator.platform', detail));
  }
  const reserved = view.getUint32(12);
  if (reserved !== 0) {
    findings.push(finding('locator.reserved', { offset: fileOffset + 12, expected: '0', found: hex(reserved) }));
  }
  return { value, findings };
}

/** Encodes one parent locator entry to 24 bytes. */
export function encodeParentLocator(locator: ParentLocator): Uint8Array {
  const bytes = new Uint8Array(LOCATOR_BYTES);
  const view = viewOf(bytes);
  writeLatin1(bytes, 0, locator.platformCode);
  view.setUint32(4, locator.dataSpace);
  view.setUint32(8, locator.dataByteLength);
  writeUint64(view, 16, locator.dataOffset);
  return bytes;
}

/**
 * The room for a locator's name in bytes. Below 512 the field counts sectors, as the specification says;
 * from 512 on it counts bytes, as Microsoft, VirtualBox, DiscUtils and blktap write it.
 */
export function locatorSpaceBytes(locator: ParentLocator): number {
  return locator.dataSpace < SECTOR_BYTES ? locator.dataSpace * SECTOR_BYTES : locator.dataSpace;
}

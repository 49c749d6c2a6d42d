import {
  copyOf,
  type Decoded,
  hex,
  hexUint64,
  NO_OFFSET,
  quote,
  readLatin1,
  readUint64,
  viewOf,
  writeLatin1,
  writeUint64,
} from './bytes.ts';
import { checksumOf } from './checksum.ts';
import {
  decodeParentLocator,
  encodeParentLocator,
  LOCATOR_BYTES,
  LOCATOR_COUNT,
  NO_PLATFORM,
  type ParentLocator,
} from './parent-locator.ts';
import { type Finding, finding } from './rules.ts';
import { DYNAMIC_HEADER_BYTES, DYNAMIC_HEADER_COOKIE, FORMAT_VERSION, SECTOR_BYTES } from './spec.ts';

/** The dynamic disk header, field by field (specification, "Dynamic Disk Header Format"). */
export interface DynamicHeader {
  /** Unused; {@link NO_OFFSET} (all ones). */
  readonly dataOffset: number;
  /** Byte offset of the block allocation table. */
  readonly tableOffset: number;
  /** Header version, 0x00010000. */
  readonly headerVersion: number;
  /** Entries of the table; may be more than the size needs. */
  readonly maxTableEntries: number;
  /** Bytes of a block, without its bitmap: a power of two of at least a sector. */
  readonly blockSize: number;
  /** The 16 identifier bytes of the parent; zeros without one. */
  readonly parentUniqueId: Uint8Array;
  /** The parent's time stamp, seconds since 2000-01-01 UTC. */
  readonly parentTimestamp: number;
  /** The parent's name field: 512 bytes of UTF-16BE, zero-padded; see {@link decodeParentName}. */
  readonly parentNameBytes: Uint8Array;
  /** The eight parent locator entries, used or not. */
  readonly parentLocators: readonly ParentLocator[];
}

const CHECKSUM_OFFSET = 36;
const PARENT_NAME_OFFSET = 64;
const PARENT_NAME_BYTES = 512;
const LOCATORS_OFFSET = 576;
const RESERVED_OFFSET = 768;

/**
 * Decodes a dynamic header of 1024 bytes.
 * @param bytes the header
 * @param fileOffset where it stands in the file, for the findings
 * @throws RangeError if `bytes` has another length; never on content
 */
export function decodeDynamicHeader(bytes: Uint8Array, fileOffset = 0): Decoded<DynamicHeader> {
  if (bytes.length !== DYNAMIC_HEADER_BYTES) {
    throw new RangeError(`decodeDynamicHeader: a dynamic header has 1024 bytes, found ${bytes.length}`);
  }
  const view = viewOf(bytes);
  const locators = decodeLocators(bytes, fileOffset);
  const value: DynamicHeader = {
    dataOffset:
      view.getBigUint64(8) === 0xffff_ffff_ffff_ffffn ? NO_OFFSET : (readUint64(view, 8) ?? Number.MAX_SAFE_INTEGER),
    tableOffset: readUint64(view, 16) ?? Number.MAX_SAFE_INTEGER,
    headerVersion: view.getUint32(24),
    maxTableEntries: view.getUint32(28),
    blockSize: view.getUint32(32),
    parentUniqueId: copyOf(bytes, 40, 56),
    parentTimestamp: view.getUint32(56),
    parentNameBytes: copyOf(bytes, PARENT_NAME_OFFSET, PARENT_NAME_OFFSET + PARENT_NAME_BYTES),
    parentLocators: locators.value,
  };
  return { value, findings: [...findInHeader(bytes, view, value, fileOffset), ...locators.findings] };
}

function decodeLocators(bytes: Uint8Array, fileOffset: number): Decoded<ParentLocator[]> {
  const value: ParentLocator[] = [];
  const findings: Finding[] = [];
  for (let index = 0; index < LOCATOR_COUNT; index++) {
    const offset = LOCATORS_OFFSET + index * LOCATOR_BYTES;
    const decoded = decodeParentLocator(bytes.subarray(offset, offset + LOCATOR_BYTES), fileOffset + offset);
    value.push(decoded.value);
    findings.push(...decoded.findings);
  }
  return { value, findings };
}

function findInHeader(bytes: Uint8Array, view: DataView, header: DynamicHeader, fileOffset: number): Finding[] {
  const findings: Finding[] = [];
  const at = (offset: number, expected: string, found: string) => ({ offset: fileOffset + offset, expected, found });
  const cookie = readLatin1(bytes, 0, 8);
  if (cookie !== DYNAMIC_HEADER_COOKIE) {
    return [finding('header.cookie', at(0, quote(DYNAMIC_HEADER_COOKIE), quote(cookie)))];
  }
  const computed = checksumOf(bytes, CHECKSUM_OFFSET);
  const stored = view.getUint32(CHECKSUM_OFFSET);
  if (stored !== computed) findings.push(finding('header.checksum', at(CHECKSUM_OFFSET, hex(computed), hex(stored))));
  if (header.dataOffset !== NO_OFFSET) {
    findings.push(finding('header.data-offset', at(8, hex(2 ** 64 - 1), hexUint64(view, 8))));
  }
  if (header.headerVersion !== FORMAT_VERSION) {
    findings.push(finding('header.version', at(24, hex(FORMAT_VERSION), hex(header.headerVersion))));
  }
  if (!isBlockSize(header.blockSize)) {
    const expected = 'a power of two from 512 on';
    findings.push(finding('header.block-size', at(32, expected, String(header.blockSize))));
  }
  const reserved = bytes.subarray(RESERVED_OFFSET).findIndex((byte) => byte !== 0);
  if (view.getUint32(60) !== 0) findings.push(finding('header.reserved', at(60, '0', hex(view.getUint32(60)))));
  else if (reserved >= 0) {
    findings.push(
      finding('header.reserved', at(RESERVED_OFFSET + reserved, '0', String(bytes[RESERVED_OFFSET + reserved]))),
    );
  }
  return findings;
}

/** True for a power of two from 512 to 2^31, the block sizes this library reads. */
export function isBlockSize(blockSize: number): boolean {
  return blockSize >= SECTOR_BYTES && blockSize <= 2 ** 31 && Number.isInteger(Math.log2(blockSize));
}

/**
 * Encodes a dynamic header to 1024 bytes with its checksum.
 * @throws RangeError if the identifier, the name or the locators have the wrong length
 */
export function encodeDynamicHeader(header: DynamicHeader): Uint8Array {
  if (header.parentUniqueId.length !== 16 || header.parentNameBytes.length !== PARENT_NAME_BYTES) {
    throw new RangeError('encodeDynamicHeader: the parent identifier has 16 bytes, the parent name field 512');
  }
  if (header.parentLocators.length !== LOCATOR_COUNT) {
    throw new RangeError('encodeDynamicHeader: there are 8 parent locators');
  }
  const bytes = new Uint8Array(DYNAMIC_HEADER_BYTES);
  const view = viewOf(bytes);
  writeLatin1(bytes, 0, DYNAMIC_HEADER_COOKIE);
  writeUint64(view, 8, header.dataOffset);
  writeUint64(view, 16, header.tableOffset);
  view.setUint32(24, header.headerVersion);
  view.setUint32(28, header.maxTableEntries);
  view.setUint32(32, header.blockSize);
  bytes.set(header.parentUniqueId, 40);
  view.setUint32(56, header.parentTimestamp);
  bytes.set(header.parentNameBytes, PARENT_NAME_OFFSET);
  header.parentLocators.forEach((locator, index) => {
    bytes.set(encodeParentLocator(locator), LOCATORS_OFFSET + index * LOCATOR_BYTES);
  });
  view.setUint32(CHECKSUM_OFFSET, checksumOf(bytes, CHECKSUM_OFFSET));
  return bytes;
}

/** The parent's name as text: UTF-16BE up to the first NUL, unpaired surrogates kept as they are. */
export function decodeParentName(header: DynamicHeader): string {
  const view = viewOf(header.parentNameBytes);
  let name = '';
  for (let offset = 0; offset < PARENT_NAME_BYTES; offset += 2) {
    const unit = view.getUint16(offset);
    if (unit === 0) break;
    name += String.fromCharCode(unit);
  }
  return name;
}

/** The header of a dynamic disk without a parent. */
export function plainDynamicHeader(tableOffset: number, maxTableEntries: number, blockSize: number): DynamicHeader {
  const unused: ParentLocator = { platformCode: NO_PLATFORM, dataSpace: 0, dataByteLength: 0, dataOffset: 0 };
  return {
    dataOffset: NO_OFFSET,
    tableOffset,
    headerVersion: FORMAT_VERSION,
    maxTableEntries,
    blockSize,
    parentUniqueId: new Uint8Array(16),
    parentTimestamp: 0,
    parentNameBytes: new Uint8Array(PARENT_NAME_BYTES),
    parentLocators: Array.from({ length: LOCATOR_COUNT }, () => unused),
  };
}

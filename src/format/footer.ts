import {
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
import { type Geometry, geometryByteLength, geometryFor, isMaximumGeometry } from './geometry.ts';
import { type Finding, finding } from './rules.ts';
import { FOOTER_BYTES, FOOTER_COOKIE, FORMAT_VERSION, POISONED_COOKIE, SECTOR_BYTES, vhdTypeOf } from './spec.ts';

/** The footer, field by field (specification, "Hard Disk Footer Format"). */
export interface Footer {
  /** Feature bits: 2 must be set, 1 means temporary. */
  readonly features: number;
  /** Format version, 16.16 fixed point; 0x00010000. */
  readonly formatVersion: number;
  /** Byte offset of the dynamic header, or {@link NO_OFFSET} in a fixed disk. */
  readonly dataOffset: number;
  /** Seconds since 2000-01-01 00:00:00 UTC. */
  readonly timestamp: number;
  /** Creator application, four Latin-1 characters, such as `win `. */
  readonly creatorApplication: string;
  /** Creator version, major and minor as 16.16. */
  readonly creatorVersion: number;
  /** Creator host system, four Latin-1 characters, such as `Wi2k`. */
  readonly creatorHostOs: string;
  /** Virtual size in bytes when the disk was made. */
  readonly originalSize: number;
  /** Virtual size in bytes now: the size of the disk. */
  readonly currentSize: number;
  /** CHS geometry; what some readers take the size from. */
  readonly geometry: Geometry;
  /** 2 fixed, 3 dynamic, 4 differencing. */
  readonly diskType: number;
  /** The 16 bytes of the identifier in file order. */
  readonly uniqueId: Uint8Array;
  /** Not zero: a virtual machine is saved with this disk. */
  readonly savedState: number;
  /** Bytes 85 to 511, zero by the specification; blktap and SIMH keep marks of their own there. */
  readonly reserved: Uint8Array;
}

/** Offset of the checksum in the footer. */
const CHECKSUM_OFFSET = 64;
const HIDDEN_OFFSET = 85;
const RESERVED_OFFSET = 85;
const FEATURE_TEMPORARY = 1;
const FEATURE_RESERVED = 2;

/**
 * Decodes a footer of 512 bytes, or of 511 as before Virtual PC 2004 (the missing byte counts as 0).
 * @param bytes the footer
 * @param fileOffset where it stands in the file, for the findings
 * @throws RangeError if `bytes` has another length; never on content
 */
export function decodeFooter(bytes: Uint8Array, fileOffset = 0): Decoded<Footer> {
  if (bytes.length !== FOOTER_BYTES && bytes.length !== FOOTER_BYTES - 1) {
    throw new RangeError(`decodeFooter: a footer has 512 or 511 bytes, found ${bytes.length}`);
  }
  const whole = new Uint8Array(FOOTER_BYTES);
  whole.set(bytes);
  const view = viewOf(whole);
  const value: Footer = {
    features: view.getUint32(8),
    formatVersion: view.getUint32(12),
    dataOffset: readDataOffset(view),
    timestamp: view.getUint32(24),
    creatorApplication: readLatin1(whole, 28, 4),
    creatorVersion: view.getUint32(32),
    creatorHostOs: readLatin1(whole, 36, 4),
    originalSize: readUint64(view, 40) ?? Number.MAX_SAFE_INTEGER,
    currentSize: readUint64(view, 48) ?? Number.MAX_SAFE_INTEGER,
    geometry: { cylinders: view.getUint16(56), heads: view.getUint8(58), sectorsPerTrack: view.getUint8(59) },
    diskType: view.getUint32(60),
    uniqueId: whole.slice(68, 84),
    savedState: view.getUint8(84),
    reserved: whole.slice(RESERVED_OFFSET),
  };
  const identity = findInIdentity(whole, view, fileOffset);
  // Where 0xc7 stands everywhere there are no fields that could say anything.
  const findings = isOverwritten(whole) ? identity : [...identity, ...findInFields(value, view, fileOffset)];
  if (bytes.length !== FOOTER_BYTES) findings.push(finding('footer.legacy', { offset: fileOffset }));
  return { value, findings };
}

function readDataOffset(view: DataView): number {
  if (view.getBigUint64(16) === 0xffff_ffff_ffff_ffffn) return NO_OFFSET;
  return readUint64(view, 16) ?? Number.MAX_SAFE_INTEGER;
}

function findInIdentity(bytes: Uint8Array, view: DataView, fileOffset: number): Finding[] {
  const cookie = readLatin1(bytes, 0, 8);
  if (isPoison(bytes)) {
    return [finding('footer.poisoned', { offset: fileOffset, expected: quote(FOOTER_COOKIE), found: quote(cookie) })];
  }
  if (cookie !== FOOTER_COOKIE) {
    return [finding('footer.cookie', { offset: fileOffset, expected: quote(FOOTER_COOKIE), found: quote(cookie) })];
  }
  const stored = view.getUint32(CHECKSUM_OFFSET);
  const computed = checksumOf(bytes, CHECKSUM_OFFSET);
  if (stored === computed) return [];
  const hidden = bytes[HIDDEN_OFFSET] ?? 0;
  const rule = hidden === 1 && stored === (computed + hidden) >>> 0 ? 'footer.hidden-checksum' : 'footer.checksum';
  return [finding(rule, { offset: fileOffset + CHECKSUM_OFFSET, expected: hex(computed), found: hex(stored) })];
}

/** blktap overwrites the footer with 0xc7 while an image is open for writing, and with `v_poison` to disable it. */
function isPoison(bytes: Uint8Array): boolean {
  return readLatin1(bytes, 0, 8) === POISONED_COOKIE || isOverwritten(bytes);
}

function isOverwritten(bytes: Uint8Array): boolean {
  return bytes.every((byte) => byte === 0xc7);
}

function findInFields(footer: Footer, view: DataView, fileOffset: number): Finding[] {
  const findings: Finding[] = [];
  const at = (offset: number, expected: string, found: string) => ({ offset: fileOffset + offset, expected, found });
  const features = footer.features & ~FEATURE_TEMPORARY;
  if (features !== FEATURE_RESERVED) findings.push(finding('footer.features', at(8, hex(2), hex(footer.features))));
  if ((footer.features & FEATURE_TEMPORARY) !== 0) {
    findings.push(finding('footer.temporary', { offset: fileOffset + 8 }));
  }
  if (footer.formatVersion !== FORMAT_VERSION) {
    findings.push(finding('footer.version', at(12, hex(FORMAT_VERSION), hex(footer.formatVersion))));
  }
  if (vhdTypeOf(footer.diskType) === undefined) {
    findings.push(finding('footer.type', at(60, '2, 3 or 4', String(footer.diskType))));
  }
  findings.push(...findInSizes(footer, view, fileOffset));
  if (footer.savedState !== 0) findings.push(finding('footer.saved-state', at(84, '0', String(footer.savedState))));
  const hidden = footer.reserved[0] ?? 0;
  if (hidden === 1) findings.push(finding('footer.hidden', { offset: fileOffset + HIDDEN_OFFSET }));
  const firstReserved = footer.reserved.findIndex((byte, index) => byte !== 0 && !(index === 0 && hidden === 1));
  if (firstReserved >= 0) {
    const found = String(footer.reserved[firstReserved]);
    findings.push(finding('footer.reserved', at(RESERVED_OFFSET + firstReserved, '0', found)));
  }
  return findings;
}

function findInSizes(footer: Footer, view: DataView, fileOffset: number): Finding[] {
  const findings: Finding[] = [];
  const isExact = readUint64(view, 48) !== undefined;
  if (!isExact) {
    const detail = { offset: fileOffset + 48, expected: 'at most 2^53 - 1', found: hexUint64(view, 48) };
    findings.push(finding('footer.size', detail));
  } else if (footer.currentSize % SECTOR_BYTES !== 0) {
    const detail = { offset: fileOffset + 48, expected: 'a multiple of 512', found: String(footer.currentSize) };
    findings.push(finding('footer.size-sectors', detail));
  }
  const usual = geometryFor(footer.currentSize);
  if (isExact && !isMaximumGeometry(footer.geometry) && told(usual) !== told(footer.geometry)) {
    const detail = { offset: fileOffset + 56, expected: told(usual), found: told(footer.geometry) };
    findings.push(finding('geometry.size', detail));
  }
  return findings;
}

function told(geometry: Geometry): string {
  const { cylinders, heads, sectorsPerTrack } = geometry;
  return `${cylinders}/${heads}/${sectorsPerTrack} (${geometryByteLength(geometry)} bytes)`;
}

/**
 * Encodes a footer to 512 bytes with its checksum.
 * @throws RangeError if a text field or the identifier has the wrong length
 */
export function encodeFooter(footer: Footer): Uint8Array {
  if (footer.creatorApplication.length !== 4 || footer.creatorHostOs.length !== 4) {
    throw new RangeError('encodeFooter: creator application and host system have four characters each');
  }
  if (footer.uniqueId.length !== 16) throw new RangeError('encodeFooter: the identifier has 16 bytes');
  const bytes = new Uint8Array(FOOTER_BYTES);
  const view = viewOf(bytes);
  writeLatin1(bytes, 0, FOOTER_COOKIE);
  view.setUint32(8, footer.features);
  view.setUint32(12, footer.formatVersion);
  writeUint64(view, 16, footer.dataOffset);
  view.setUint32(24, footer.timestamp);
  writeLatin1(bytes, 28, footer.creatorApplication);
  view.setUint32(32, footer.creatorVersion);
  writeLatin1(bytes, 36, footer.creatorHostOs);
  writeUint64(view, 40, footer.originalSize);
  writeUint64(view, 48, footer.currentSize);
  view.setUint16(56, footer.geometry.cylinders);
  view.setUint8(58, footer.geometry.heads);
  view.setUint8(59, footer.geometry.sectorsPerTrack);
  view.setUint32(60, footer.diskType);
  bytes.set(footer.uniqueId, 68);
  view.setUint8(84, footer.savedState);
  bytes.set(footer.reserved.subarray(0, FOOTER_BYTES - RESERVED_OFFSET), RESERVED_OFFSET);
  view.setUint32(CHECKSUM_OFFSET, checksumOf(bytes, CHECKSUM_OFFSET));
  return bytes;
}

/** True if nothing in the findings says that these bytes are not a footer: cookie there, checksum right. */
export function isFooter(decoded: Decoded<Footer>): boolean {
  const fatal: readonly string[] = ['footer.cookie', 'footer.checksum', 'footer.poisoned'];
  return decoded.findings.every((item) => !fatal.includes(item.rule));
}

/** A footer with its cookie put back, where only that is damaged: the checksum has to fit then. Undefined otherwise. */
export function withCookie(bytes: Uint8Array): Uint8Array | undefined {
  const whole = new Uint8Array(FOOTER_BYTES);
  whole.set(bytes);
  writeLatin1(whole, 0, FOOTER_COOKIE);
  return viewOf(whole).getUint32(CHECKSUM_OFFSET) === checksumOf(whole, CHECKSUM_OFFSET) ? whole : undefined;
}

/** Empty reserved bytes, for footers made anew. */
export function emptyReserved(): Uint8Array {
  return new Uint8Array(FOOTER_BYTES - RESERVED_OFFSET);
}

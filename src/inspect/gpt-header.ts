import { copyOf, hex } from '../format/bytes.ts';
import { crc32 } from './crc32.ts';
import { Fields } from './fields.ts';

/** Entry arrays above this are not read: 1 MiB, 64 times what the specification asks for. */
export const MAX_ENTRIES_BYTES: number = 1024 * 1024;
/** What the header of a GPT begins with. */
export const GPT_SIGNATURE = 'EFI PART';
/** Bytes of a sector of tables made for disks with large ones, which a VHD does not have. */
export const LARGE_SECTOR_BYTES = 4096;
/** Offset of the checksum of the header in it. */
export const HEADER_CRC_OFFSET = 16;
const MIN_HEADER_BYTES = 92;
const MIN_ENTRY_BYTES = 128;
const MAX_ENTRY_BYTES = 4096;

/** The header of a GPT (UEFI specification 5.3.2). LBAs count in sectors of the table. */
export interface GptHeader {
  /** Its bytes, as many as it says it has. */
  readonly bytes: Uint8Array;
  /** 0x00010000 for version 1.0. */
  readonly revision: number;
  /** Where it lies itself. */
  readonly ownLba: number;
  /** Where the other copy lies. */
  readonly alternateLba: number;
  /** First sector that a partition may take. */
  readonly firstUsableLba: number;
  /** Last sector that a partition may take. */
  readonly lastUsableLba: number;
  /** Disk GUID, upper case. */
  readonly diskId: string;
  /** First sector of the entry array. */
  readonly entriesLba: number;
  /** Entries in the array, in use or not. */
  readonly entryCount: number;
  /** Bytes of an entry. */
  readonly entryBytes: number;
  /** CRC-32 of the array. */
  readonly entriesCrc: number;
}

/** What is wrong with a header or an entry array. */
export interface GptProblem {
  /** What is wrong, the subject left to the reader: `has a checksum that does not match`. */
  readonly what: string;
  /** What should have stood there. */
  readonly expected: string;
  /** What stood there. */
  readonly found: string;
  /** Offset of the field in the structure. */
  readonly fieldOffset: number;
}

/** A header, or why there is none. */
export type DecodedHeader =
  | { readonly header: GptHeader; readonly problem?: never }
  | { readonly header?: never; readonly problem: GptProblem };

/** Reads a header out of the sector at `lba`. Where it is whole, every number in it is bounded. */
export function decodeGptHeader(sector: Uint8Array, lba: number): DecodedHeader {
  const fields = new Fields(sector);
  const problem = signatureProblem(fields) ?? checksumProblem(fields) ?? fieldProblem(fields, lba);
  return problem === undefined ? { header: headerFrom(fields) } : { problem };
}

/** True if a sector begins like a header. */
export function hasGptSignature(sector: Uint8Array | undefined): boolean {
  return sector !== undefined && new Fields(sector).has(0, GPT_SIGNATURE);
}

/** Bytes of the entry array. */
export function entriesByteLength(header: GptHeader): number {
  return header.entryCount * header.entryBytes;
}

/** What is wrong with an entry array; undefined if its checksum matches. */
export function entriesProblem(header: GptHeader, entries: Uint8Array): GptProblem | undefined {
  const found = crc32(entries);
  if (found === header.entriesCrc) return undefined;
  return {
    what: 'the checksum of the partition entries does not match',
    ...{ expected: hex(header.entriesCrc), found: hex(found), fieldOffset: 0 },
  };
}

/** Puts the right checksum into the bytes of a header. */
export function sealHeader(bytes: Uint8Array): Uint8Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  view.setUint32(HEADER_CRC_OFFSET, 0, true);
  view.setUint32(HEADER_CRC_OFFSET, crc32(bytes), true);
  return bytes;
}

function signatureProblem(fields: Fields): GptProblem | undefined {
  if (fields.has(0, GPT_SIGNATURE)) return undefined;
  const found = Array.from(fields.bytes(0, 8), (byte) => byte.toString(16).padStart(2, '0')).join(' ');
  return {
    what: 'there is no header of a GPT',
    expected: `'${GPT_SIGNATURE}'`,
    found: `bytes ${found}`,
    fieldOffset: 0,
  };
}

function checksumProblem(fields: Fields): GptProblem | undefined {
  const byteLength = fields.u32(12);
  if (byteLength < MIN_HEADER_BYTES || byteLength > fields.byteLength) {
    const expected = `${MIN_HEADER_BYTES} to ${fields.byteLength} bytes`;
    return { what: 'the header size cannot be', expected, found: String(byteLength), fieldOffset: 12 };
  }
  const bytes = copyOf(fields.bytes(0, byteLength));
  const stored = fields.u32(HEADER_CRC_OFFSET);
  const computed = new Fields(sealHeader(bytes)).u32(HEADER_CRC_OFFSET);
  if (stored === computed) return undefined;
  const what = 'the checksum of the header does not match';
  return { what, expected: hex(computed), found: hex(stored), fieldOffset: HEADER_CRC_OFFSET };
}

function fieldProblem(fields: Fields, lba: number): GptProblem | undefined {
  const [ownLba, entryCount, entryBytes] = [fields.u64(24), fields.u32(80), fields.u32(84)];
  if (ownLba !== lba) {
    return {
      what: 'the header names another place',
      expected: `sector ${lba}`,
      found: `sector ${ownLba}`,
      fieldOffset: 24,
    };
  }
  const isPowerOfTwo = (entryBytes & (entryBytes - 1)) === 0;
  if (entryBytes < MIN_ENTRY_BYTES || entryBytes > MAX_ENTRY_BYTES || !isPowerOfTwo) {
    const expected = `a power of two from ${MIN_ENTRY_BYTES} to ${MAX_ENTRY_BYTES}`;
    return { what: 'the size of an entry cannot be', expected, found: String(entryBytes), fieldOffset: 84 };
  }
  if (entryCount === 0 || entryCount * entryBytes > MAX_ENTRIES_BYTES) {
    const expected = `1 to ${MAX_ENTRIES_BYTES / entryBytes}`;
    return { what: 'the number of entries cannot be', expected, found: String(entryCount), fieldOffset: 80 };
  }
  return undefined;
}

function headerFrom(fields: Fields): GptHeader {
  return {
    bytes: copyOf(fields.bytes(0, fields.u32(12))),
    revision: fields.u32(8),
    ownLba: fields.u64(24),
    alternateLba: fields.u64(32),
    firstUsableLba: fields.u64(40),
    lastUsableLba: fields.u64(48),
    diskId: fields.guid(56),
    entriesLba: fields.u64(72),
    entryCount: fields.u32(80),
    entryBytes: fields.u32(84),
    entriesCrc: fields.u32(88),
  };
}

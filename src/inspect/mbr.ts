import { hex } from '../format/bytes.ts';
import { SECTOR_BYTES } from '../format/spec.ts';
import { Fields } from './fields.ts';

/** Type of the entry that stands for a GPT. */
export const PROTECTIVE_TYPE = 0xee;
const EXTENDED_TYPES: readonly number[] = [0x05, 0x0f, 0x85];
const TABLE_OFFSET = 446;
const ENTRY_BYTES = 16;
const SIGNATURE_OFFSET = 510;
const SIGNATURE = 0xaa55;

/** An entry of a master or extended boot record that is in use. */
export interface MbrEntry {
  /** 0 to 3. */
  readonly slot: number;
  /** True if it is marked as the one to boot from. */
  readonly isActive: boolean;
  /** Type, one byte. */
  readonly type: number;
  /** First sector, counted from what its table counts from. */
  readonly firstSector: number;
  /** Sectors. */
  readonly sectorCount: number;
}

/** A sector that ends like a master boot record. */
export interface Mbr {
  /** Disk signature as `0x1234abcd`. */
  readonly diskId: string;
  /** The entries in use. */
  readonly entries: readonly MbrEntry[];
  /** False if a boot flag is neither 0x00 nor 0x80: then these bytes are hardly a table. */
  readonly hasSoundFlags: boolean;
}

/** Reads a master or extended boot record; undefined without its signature 55 AA. */
export function decodeMbr(sector: Uint8Array): Mbr | undefined {
  const fields = new Fields(sector);
  if (fields.byteLength < SECTOR_BYTES || fields.u16(SIGNATURE_OFFSET) !== SIGNATURE) return undefined;
  const slots = [0, 1, 2, 3];
  const flags = slots.map((slot) => fields.u8(TABLE_OFFSET + slot * ENTRY_BYTES));
  return {
    diskId: hex(fields.u32(440)),
    entries: slots.map((slot) => decodeEntry(fields, slot)).filter((entry) => entry !== undefined),
    hasSoundFlags: flags.every((flag) => flag === 0 || flag === 0x80),
  };
}

function decodeEntry(fields: Fields, slot: number): MbrEntry | undefined {
  const offset = TABLE_OFFSET + slot * ENTRY_BYTES;
  const type = fields.u8(offset + 4);
  const sectorCount = fields.u32(offset + 12);
  if (type === 0 || sectorCount === 0) return undefined;
  return { slot, isActive: fields.u8(offset) === 0x80, type, firstSector: fields.u32(offset + 8), sectorCount };
}

/** True if the entry is a container of logical partitions. */
export function isExtended(entry: MbrEntry): boolean {
  return EXTENDED_TYPES.includes(entry.type);
}

/** The entry that stands for a GPT. */
export function protectiveEntry(mbr: Mbr | undefined): MbrEntry | undefined {
  return mbr?.hasSoundFlags === true ? mbr.entries.find((entry) => entry.type === PROTECTIVE_TYPE) : undefined;
}

/** Offset of the field with the number of sectors of an entry, in its boot record. */
export function sectorCountOffset(slot: number): number {
  return TABLE_OFFSET + slot * ENTRY_BYTES + 12;
}

// Partition tables made by hand, from the UEFI specification and the layout of boot records; and disks to read them from.
import { crc32 } from 'node:zlib';
import { VhdError } from '../../src/errors.ts';
import type { ReadableDisk } from '../../src/inspect/partition-table.ts';

const SECTOR = 512;

/** An entry of a boot record. */
export interface MbrEntrySpec {
  readonly type: number;
  readonly start: number;
  readonly count: number;
  readonly flag?: number;
}

/** A boot record with its entries in the first slots. */
export function bootRecord(entries: readonly (MbrEntrySpec | undefined)[], diskId = 0x1234_abcd): Uint8Array {
  const sector = new Uint8Array(SECTOR);
  const view = new DataView(sector.buffer);
  view.setUint32(440, diskId, true);
  for (const [slot, entry] of entries.entries()) {
    if (entry === undefined) continue;
    const offset = 446 + slot * 16;
    view.setUint8(offset, entry.flag ?? 0);
    view.setUint8(offset + 4, entry.type);
    view.setUint32(offset + 8, entry.start, true);
    view.setUint32(offset + 12, entry.count, true);
  }
  view.setUint16(510, 0xaa55, true);
  return sector;
}

/** A partition of a GPT; LBAs are inclusive. */
export interface GptEntrySpec {
  readonly type: string;
  readonly first: number;
  readonly last: number;
  readonly id?: string;
  readonly attributes?: bigint;
  readonly name?: string;
}

/** What a GPT is to be like; what is not given is as it should be. */
export interface GptSpec {
  readonly sectorCount: number;
  readonly sectorBytes?: number;
  readonly entries?: readonly GptEntrySpec[];
  readonly entryCount?: number;
  readonly entryBytes?: number;
  readonly mbr?: Uint8Array;
  /** Fields of both headers by offset, put in before the checksum: 32 bits, or 64 for a bigint. */
  readonly fields?: Readonly<Record<number, number | bigint>>;
}

export const LINUX = '0FC63DAF-8483-4772-8E79-3D69D8477DE4';
export const BASIC_DATA = 'EBD0A0A2-B9E5-4433-87C0-68B6B72699C7';

/** The bytes of a GUID as it lies on a disk. */
export function guidBytes(text: string): Uint8Array {
  const bytes = Uint8Array.from(text.replaceAll('-', '').match(/../g) ?? [], (digits) => Number.parseInt(digits, 16));
  return Uint8Array.from([3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15], (index) => bytes[index] ?? 0);
}

/** A disk with a GPT: protective MBR, both headers, both arrays. */
export function gptDisk(spec: GptSpec): Uint8Array {
  const { sectorCount, sectorBytes = SECTOR, entryCount = 128, entryBytes = 128 } = spec;
  const disk = new Uint8Array(sectorCount * sectorBytes);
  disk.set(spec.mbr ?? bootRecord([{ type: 0xee, start: 1, count: sectorCount - 1 }], 0));
  const array = entryArray(spec.entries ?? [], entryCount, entryBytes);
  const arraySectors = Math.ceil(array.length / sectorBytes);
  const last = sectorCount - 1;
  const place = { first: 2 + arraySectors, last: last - arraySectors - 1 };
  const headers = [
    { own: 1, alternate: last, entries: 2 },
    { own: last, alternate: 1, entries: last - arraySectors },
  ];
  for (const { own, alternate, entries } of headers) {
    const header = new Uint8Array(92);
    const view = new DataView(header.buffer);
    header.set(Buffer.from('EFI PART'));
    view.setUint32(8, 0x0001_0000, true);
    view.setUint32(12, 92, true);
    const words: [offset: number, value: number][] = [
      [24, own],
      [32, alternate],
      [40, place.first],
      [48, place.last],
      [72, entries],
    ];
    for (const [offset, value] of words) view.setBigUint64(offset, BigInt(value), true);
    header.set(guidBytes('11111111-2222-3333-4444-555555555555'), 56);
    view.setUint32(80, entryCount, true);
    view.setUint32(84, entryBytes, true);
    view.setUint32(88, crc32(array), true);
    putFields(view, spec.fields ?? {});
    seal(header);
    disk.set(header, own * sectorBytes);
    disk.set(array, entries * sectorBytes);
  }
  return disk;
}

/** Puts the right checksum into the header at an offset of a disk. */
export function resealHeader(disk: Uint8Array, offset: number): void {
  seal(disk.subarray(offset, offset + 92));
}

function seal(header: Uint8Array): void {
  const view = new DataView(header.buffer, header.byteOffset, header.byteLength);
  view.setUint32(16, 0, true);
  view.setUint32(16, crc32(header), true);
}

function putFields(view: DataView, fields: Readonly<Record<number, number | bigint>>): void {
  for (const [offset, value] of Object.entries(fields)) {
    if (typeof value === 'bigint') view.setBigUint64(Number(offset), value, true);
    else view.setUint32(Number(offset), value, true);
  }
}

function entryArray(entries: readonly GptEntrySpec[], entryCount: number, entryBytes: number): Uint8Array {
  const array = new Uint8Array(entryCount * entryBytes);
  const view = new DataView(array.buffer);
  for (const [index, entry] of entries.entries()) {
    const offset = index * entryBytes;
    array.set(guidBytes(entry.type), offset);
    array.set(guidBytes(entry.id ?? `AAAAAAAA-0000-0000-0000-00000000000${index}`), offset + 16);
    view.setBigUint64(offset + 32, BigInt(entry.first), true);
    view.setBigUint64(offset + 40, BigInt(entry.last), true);
    view.setBigUint64(offset + 48, entry.attributes ?? 0n, true);
    array.set(Buffer.from(entry.name ?? '', 'utf16le'), offset + 56);
  }
  return array;
}

/** A disk in memory that counts its reads; some of its bytes may be damaged. */
export class CountingDisk implements ReadableDisk {
  readonly size: number;
  /** Reads so far. */
  readCount = 0;
  /** Bytes read so far. */
  byteCount = 0;
  readonly #bytes: Uint8Array;
  readonly #damaged: readonly (readonly [start: number, end: number])[];

  /** @param damaged ranges that cannot be read, as `[start, end)` */
  constructor(bytes: Uint8Array, damaged: readonly (readonly [start: number, end: number])[] = []) {
    this.#bytes = bytes;
    this.size = bytes.length;
    this.#damaged = damaged;
  }

  async read(target: Uint8Array, position: number): Promise<void> {
    this.readCount++;
    this.byteCount += target.length;
    if (position < 0 || position + target.length > this.size) throw new RangeError(`read ${position}+${target.length}`);
    if (this.#damaged.some(([start, end]) => start < position + target.length && position < end)) {
      throw new VhdError('ERR_VHD_CORRUPT', `block at ${position} is damaged`);
    }
    target.set(this.#bytes.subarray(position, position + target.length));
  }
}

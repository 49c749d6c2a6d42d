import { type Area, fileSystem, isPowerOfTwo } from './area.ts';
import { chainedEntries } from './cluster-chain.ts';
import { Fields, textOrNull } from './fields.ts';
import type { FileSystem } from './partition-table.ts';
import type { PieceReader } from './piece-reader.ts';
import { formatSerial } from './superblocks-fat.ts';

const MAX_MFT_RECORD_BYTES = 65_536;
const VOLUME_RECORD = 3;
const VOLUME_NAME_ATTRIBUTE = 0x60;
const END_OF_ATTRIBUTES = 0xffff_ffff;
const MIN_ATTRIBUTE_BYTES = 24;
const MAX_ATTRIBUTES = 64;
/** Sectors of an MFT record carry a check value in their last two bytes; the true bytes are in the record's front. */
const FIXUP_STRIDE = 512;
/** 4967D63B-2E29-4AD8-8399-F6A339E3D001 as it lies in the boot sector of a BitLocker volume. */
const BITLOCKER_GUID = '4967D63B-2E29-4AD8-8399-F6A339E3D001';

/** BitLocker: Windows Vista and later by the signature, "To Go" drives (which look like FAT32) by the GUID. */
export function probeBitLocker({ head }: Area): FileSystem | null {
  if (head.byteLength < 512) return null;
  const isToGo = head.has(3, 'MSWIN4.1') && head.guid(424) === BITLOCKER_GUID;
  return head.has(3, '-FVE-FS-') || isToGo ? fileSystem('BitLocker') : null;
}

/** ReFS: version and serial number out of the boot sector. */
export function probeRefs({ head }: Area): FileSystem | null {
  if (head.byteLength < 512 || !head.has(0, '\0\0\0ReFS\0') || !head.has(16, 'FSRS')) return null;
  return fileSystem('ReFS', { version: `${head.u8(40)}.${head.u8(41)}`, uuid: hexSerial(head.bigU64(56)) });
}

/** NTFS: the serial number is in the boot sector, the label in the record $Volume of the master file table. */
export async function probeNtfs({ head, reader }: Area): Promise<FileSystem | null> {
  if (head.byteLength < 512 || !head.has(3, 'NTFS    ')) return null;
  const [sectorBytes, clusterByte] = [head.u16(11), head.u8(13)];
  const clusterSectors = clusterByte > 128 ? 2 ** (256 - clusterByte) : clusterByte;
  const isPossible =
    isPowerOfTwo(sectorBytes) && sectorBytes >= 256 && sectorBytes <= 4096 && isPowerOfTwo(clusterSectors);
  if (!isPossible || head.u16(14) !== 0 || head.u8(16) !== 0) return null;
  const clusterBytes = sectorBytes * clusterSectors;
  const recordByte = head.u8(64);
  const recordBytes = recordByte > 127 ? 2 ** (256 - recordByte) : recordByte * clusterBytes;
  const label = await ntfsLabel(reader, head.u64(48) * clusterBytes, recordBytes);
  return fileSystem('ntfs', { label, uuid: hexSerial(head.bigU64(72)) });
}

/** exFAT: the serial number is in the boot sector, the label in the root directory. */
export async function probeExfat({ head, reader }: Area): Promise<FileSystem | null> {
  if (head.byteLength < 512 || !head.has(3, 'EXFAT   ')) return null;
  const [sectorShift, clusterShift] = [head.u8(108), head.u8(109)];
  if (sectorShift < 9 || sectorShift > 12 || sectorShift + clusterShift > 25) return null;
  const sectorBytes = 2 ** sectorShift;
  const layout = {
    fatOffset: head.u32(80) * sectorBytes,
    heapOffset: head.u32(88) * sectorBytes,
    clusterBytes: 2 ** (sectorShift + clusterShift),
    entryMask: 0xffff_ffff,
  };
  const version = `${head.u8(105)}.${head.u8(104)}`;
  const label = await exfatLabel(chainedEntries(reader, layout, head.u32(96)));
  return fileSystem('exfat', { version, label, uuid: formatSerial(head.u32(100)) });
}

async function exfatLabel(entries: AsyncIterable<Fields>): Promise<string | null> {
  for await (const entry of entries) {
    const type = entry.u8(0);
    if (type === 0) return null;
    if (type === 0x83) return entry.utf16(2, Math.min(entry.u8(1), 11) * 2);
  }
  return null;
}

/** A serial number of 64 bits as blkid shows it. */
function hexSerial(serial: bigint): string {
  return serial.toString(16).toUpperCase().padStart(16, '0');
}

async function ntfsLabel(reader: PieceReader, mftOffset: number, recordBytes: number): Promise<string | null> {
  if (!isPowerOfTwo(recordBytes) || recordBytes < FIXUP_STRIDE || recordBytes > MAX_MFT_RECORD_BYTES) return null;
  const bytes = await reader.read(mftOffset + VOLUME_RECORD * recordBytes, recordBytes);
  if (bytes === undefined) return null;
  const record = new Fields(bytes);
  return record.has(0, 'FILE') && applyFixups(bytes, record) ? volumeName(record) : null;
}

function volumeName(record: Fields): string | null {
  let offset = record.u16(20);
  for (let count = 0; count < MAX_ATTRIBUTES; count++) {
    if (offset + MIN_ATTRIBUTE_BYTES > record.byteLength || record.u32(offset) === END_OF_ATTRIBUTES) return null;
    if (record.u32(offset) === VOLUME_NAME_ATTRIBUTE) return residentText(record, offset);
    const length = record.u32(offset + 4);
    if (length < MIN_ATTRIBUTE_BYTES) return null;
    offset += length;
  }
  return null;
}

/** The UTF-16 value of an attribute that lies in the record itself. */
function residentText(record: Fields, offset: number): string | null {
  const [isElsewhere, length, valueOffset] = [record.u8(offset + 8), record.u32(offset + 16), record.u16(offset + 20)];
  if (isElsewhere !== 0 || offset + valueOffset + length > record.byteLength) return null;
  return textOrNull(record.utf16(offset + valueOffset, length) ?? '');
}

/** Puts the true last bytes of the sectors back; false if the check values say that the record is torn. */
function applyFixups(bytes: Uint8Array, record: Fields): boolean {
  const [arrayOffset, count] = [record.u16(4), record.u16(6)];
  if (count - 1 !== bytes.length / FIXUP_STRIDE || arrayOffset + count * 2 > FIXUP_STRIDE) return false;
  const check = record.u16(arrayOffset);
  for (let index = 1; index < count; index++) {
    const end = index * FIXUP_STRIDE - 2;
    if (record.u16(end) !== check) return false;
    bytes.set(record.bytes(arrayOffset + index * 2, 2), end);
  }
  return true;
}

import { viewOf } from '../format/bytes.ts';
import { SECTOR_BYTES } from '../format/spec.ts';
import { formatUuid } from '../format/uuid.ts';
import { type Area, fileSystem } from './area.ts';
import { crc32 } from './crc32.ts';
import { Fields } from './fields.ts';
import type { FileSystem } from './partition-table.ts';

const RAID_MAGIC = 0xa92b_4efc;
const RAID_0_ALIGNMENT = 64 * 1024;
const RAID_0_BYTES = 4096;
const RAID_1_BYTES = 256;
const LVM_SECTORS = 4;
const LVM_CRC_SEED = 0xf597_a6cf;
/** The groups of an LVM identifier. */
const LVM_GROUPS = [6, 4, 4, 4, 4, 4, 6];
const LUKS_MAGIC = 'LUKS\xba\xbe';
const LUKS_SECOND_MAGIC = 'SKUL\xba\xbe';
const LUKS_SECOND_OFFSETS: readonly number[] = [0x4000, 0x8000, 0x10000];

/** A member of a Linux RAID: its superblock lies at the start, 4 KiB behind it, or near the end. */
export async function probeRaid({ head, reader }: Area): Promise<FileSystem | null> {
  const { length } = reader;
  const atStart = raid1(head, 0, 0, '1.1') ?? raid1(head, 4096, 4096, '1.2');
  if (atStart !== null) return atStart;
  const oldOffset = (Math.floor(length / RAID_0_ALIGNMENT) - 1) * RAID_0_ALIGNMENT;
  const newOffset = Math.floor((Math.floor(length / SECTOR_BYTES) - 16) / 8) * 8 * SECTOR_BYTES;
  const first = Math.max(0, Math.min(oldOffset, newOffset));
  // Both lie in the last 128 KiB: one read.
  const tail = await reader.readUpTo(first, RAID_0_ALIGNMENT * 2);
  if (tail === undefined) return null;
  const fields = new Fields(tail);
  return raid1(fields, newOffset - first, newOffset, '1.0') ?? raid0(tail, oldOffset - first);
}

/** Version 1.x: it says itself where it lies. */
function raid1(fields: Fields, at: number, offset: number, version: string): FileSystem | null {
  if (at < 0 || at + RAID_1_BYTES > fields.byteLength) return null;
  const isSound = fields.u32(at) === RAID_MAGIC && fields.u32(at + 4) === 1;
  if (!isSound || fields.u64(at + 144) * SECTOR_BYTES !== offset) return null;
  return fileSystem('linux_raid_member', { version, label: fields.utf8(at + 32, 32), uuid: fields.uuid(at + 16) });
}

/** Version 0.90: in the byte order of the machine that made it; the identifier is in two pieces. */
function raid0(tail: Uint8Array, at: number): FileSystem | null {
  if (at < 0 || at + RAID_0_BYTES > tail.length) return null;
  const bytes = tail.subarray(at, at + RAID_0_BYTES);
  const fields = [new Fields(bytes), new Fields(bytes, 'big')].find((candidate) => candidate.u32(0) === RAID_MAGIC);
  if (fields?.u32(4) !== 0) return null;
  // Its four words are shown as numbers, whatever their order of bytes.
  const id = new Uint8Array(16);
  for (const [index, offset] of [20, 52, 56, 60].entries()) viewOf(id).setUint32(index * 4, fields.u32(offset));
  const version = `${fields.u32(4)}.${fields.u32(8)}.${fields.u32(12)}`;
  return fileSystem('linux_raid_member', { version, uuid: formatUuid(id) });
}

/** A physical volume of LVM2: its label is in one of the first four sectors. */
export function probeLvm({ head }: Area): FileSystem | null {
  for (let sector = 0; sector < LVM_SECTORS; sector++) {
    const offset = sector * SECTOR_BYTES;
    if (!head.has(offset, 'LABELONE') || offset + SECTOR_BYTES > head.byteLength) continue;
    const label = new Fields(head.bytes(offset, SECTOR_BYTES));
    const idOffset = label.u32(20);
    const isSound = label.u64(8) === sector && label.has(24, 'LVM2 001') && idOffset + 32 <= SECTOR_BYTES;
    if (!isSound || label.u32(16) !== lvmCrc(label.bytes(20, SECTOR_BYTES - 20))) continue;
    return fileSystem('LVM2_member', { version: 'LVM2 001', uuid: lvmId(label.latin1(idOffset, 32)) });
  }
  return null;
}

/** The checksum of LVM: a CRC-32 that begins with a value of its own and is not inverted at the end. */
function lvmCrc(bytes: Uint8Array): number {
  return ~crc32(bytes, ~LVM_CRC_SEED) >>> 0;
}

function lvmId(text: string): string {
  let at = 0;
  return LVM_GROUPS.map((length) => text.slice(at, (at += length))).join('-');
}

/** LUKS 1 and 2; of a LUKS 2 whose first header is lost, the second one. */
export function probeLuks({ head }: Area): FileSystem | null {
  const offset = head.has(0, LUKS_MAGIC)
    ? 0
    : LUKS_SECOND_OFFSETS.find((candidate) => head.has(candidate, LUKS_SECOND_MAGIC));
  if (offset === undefined || offset + 512 > head.byteLength) return null;
  const version = new Fields(head.bytes(offset, 512), 'big').u16(6);
  if (version !== 1 && version !== 2) return null;
  const label = version === 2 ? head.utf8(offset + 24, 48) : null;
  return fileSystem('crypto_LUKS', { version: String(version), label, uuid: head.utf8(offset + 168, 40) });
}

import { hex } from '../format/bytes.ts';
import { type Area, fileSystem, isPowerOfTwo } from './area.ts';
import { Fields, textOrNull } from './fields.ts';
import type { FileSystem } from './partition-table.ts';

const ISO_OFFSET = 32_768;
const ISO_SECTOR_BYTES = 2048;
const MAX_ISO_DESCRIPTORS = 16;
const UFS_PLACES: readonly (readonly [offset: number, magic: number])[] = [
  [65_536, 0x1954_0119],
  [8192, 0x0001_1954],
];
const UFS_MAGIC_OFFSET = 1372;

/** ISO 9660: label of its primary or Joliet descriptor, identifier out of the date of the last change. */
export function probeIso({ head }: Area): FileSystem | null {
  let label: string | null = null;
  let uuid: string | null = null;
  let hasPrimary = false;
  let joliet: string | null = null;
  for (let index = 0; index < MAX_ISO_DESCRIPTORS; index++) {
    const offset = ISO_OFFSET + index * ISO_SECTOR_BYTES;
    if (offset + ISO_SECTOR_BYTES > head.byteLength || !head.has(offset + 1, 'CD001')) break;
    const type = head.u8(offset);
    if (type === 255) break;
    if (type === 1 && !hasPrimary) {
      hasPrimary = true;
      label = head.utf8(offset + 40, 32);
      uuid = isoDate(head.latin1(offset + 830, 17)) ?? isoDate(head.latin1(offset + 813, 17));
    }
    if (type === 2 && /^%\/[@CE]/.test(head.latin1(offset + 88, 3))) {
      joliet = new Fields(head.bytes(offset + 40, 32), 'big').utf16(0, 32);
    }
  }
  return hasPrimary ? fileSystem('iso9660', { label: joliet ?? label, uuid }) : null;
}

/** Sixteen digits as blkid shows them; null if no date is given. */
function isoDate(digits: string): string | null {
  const groups = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)/.exec(digits);
  return groups === null || /^0+$/.test(digits.slice(0, 16)) ? null : groups.slice(1).join('-');
}

/** APFS: a container; the labels are those of the volumes in it. */
export function probeApfs({ head }: Area): FileSystem | null {
  if (head.byteLength < 4096 || !head.has(32, 'NXSB') || !isPowerOfTwo(head.u32(36))) return null;
  return fileSystem('apfs', { uuid: head.uuid(72) });
}

/** UFS of FreeBSD: UFS2, and UFS1, which has no label. */
export function probeUfs({ head }: Area): FileSystem | null {
  for (const [offset, magic] of UFS_PLACES) {
    if (offset + UFS_MAGIC_OFFSET + 4 > head.byteLength || head.u32(offset + UFS_MAGIC_OFFSET) !== magic) continue;
    const label = offset === 8192 ? null : textOrNull(head.utf8(offset + 680, 32) ?? '');
    const [high, low] = [head.u32(offset + 144), head.u32(offset + 148)];
    const uuid = high === 0 && low === 0 ? null : `${hex(high).slice(2)}${hex(low).slice(2)}`;
    return fileSystem('ufs', { version: offset === 8192 ? '1' : '2', label, uuid });
  }
  return null;
}

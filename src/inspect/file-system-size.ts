import { Fields } from './fields.ts';
import type { ReadableDisk } from './partition-table.ts';

/** Reaches behind the superblock of btrfs. */
const HEAD_BYTES = 72 * 1024;
const EXT_OFFSET = 1024;
const EXT_64_BIT = 0x80;
const BTRFS_OFFSET = 65_536;
const ISO_OFFSET = 32_768;

/** How many bytes the superblock of a file system at the start of a disk says that it takes. */
const SIZES: Readonly<Record<string, (head: Fields) => number>> = {
  ext2: extSize,
  ext3: extSize,
  ext4: extSize,
  xfs: (head) => {
    const fields = new Fields(head.bytes(0, 512), 'big');
    return fields.u64(8) * fields.u32(4);
  },
  // One sector more than it counts: the copy of the boot sector.
  ntfs: (head) => (head.u64(40) + 1) * head.u16(11),
  exfat: (head) => head.u64(72) * 2 ** head.u8(108),
  vfat: (head) => (head.u16(19) || head.u32(32)) * head.u16(11),
  btrfs: (head) => head.u64(BTRFS_OFFSET + 0xd1),
  iso9660: (head) => head.u32(ISO_OFFSET + 80) * 2048,
};

function extSize(head: Fields): number {
  const is64Bit = (head.u32(EXT_OFFSET + 96) & EXT_64_BIT) !== 0;
  const blocks = head.u32(EXT_OFFSET + 4) + (is64Bit ? head.u32(EXT_OFFSET + 0x150) * 2 ** 32 : 0);
  return blocks * 1024 * 2 ** head.u32(EXT_OFFSET + 24);
}

/**
 * Bytes from the start of a disk that its file system takes, as the superblock says; undefined where that is not known of
 * this kind of file system.
 * @param type as `identifyFileSystem` tells it
 */
export async function fileSystemSize(disk: ReadableDisk, type: string): Promise<number | undefined> {
  const sizeOf = Object.hasOwn(SIZES, type) ? SIZES[type] : undefined;
  if (sizeOf === undefined) return undefined;
  const bytes = new Uint8Array(Math.min(HEAD_BYTES, disk.size));
  await disk.read(bytes, 0);
  if (bytes.length < HEAD_BYTES && (type === 'btrfs' || type === 'iso9660')) return undefined;
  const byteLength = sizeOf(new Fields(bytes));
  return byteLength > 0 ? byteLength : undefined;
}

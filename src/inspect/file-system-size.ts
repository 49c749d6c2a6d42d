import { alignUp } from '../format/spec.ts';
import { readArea } from './area.ts';
import { Fields } from './fields.ts';
import type { FileSystem } from './partition-table.ts';
import type { PieceReader } from './piece-reader.ts';

/** Reads the size out of the first bytes of a file system. */
type SizeReader = (head: Fields) => number;

const EXT_OFFSET = 1024;
/** Incompatible feature of ext4: block counts have 64 bits (Linux documentation, "ext4 super block"). */
const EXT_64BIT = 0x80;
const BTRFS_OFFSET = 65_536;
const SQUASHFS_PADDING_BYTES = 4096;
const ISO_OFFSET = 32_768;
/** Where the superblocks of these kinds end; of all others within the first 4 KiB. */
const SUPERBLOCK_ENDS: Readonly<Record<string, number>> = { btrfs: BTRFS_OFFSET + 4096, iso9660: ISO_OFFSET + 2048 };

const extSize: SizeReader = (head) => {
  const isLarge = (head.u32(EXT_OFFSET + 96) & EXT_64BIT) !== 0;
  const blocks = head.u32(EXT_OFFSET + 4) + (isLarge ? head.u32(EXT_OFFSET + 336) * 2 ** 32 : 0);
  return blocks * 2 ** (10 + head.u32(EXT_OFFSET + 24));
};

const fatSize: SizeReader = (head) => (head.u16(19) === 0 ? head.u32(32) : head.u16(19)) * head.u16(11);

/** Behind the sectors that it counts NTFS keeps one more, the copy of its boot sector. */
const ntfsSize: SizeReader = (head) => (head.u64(40) + 1) * head.u16(11);

const exfatSize: SizeReader = (head) => head.u64(72) * 2 ** head.u8(108);

const xfsSize: SizeReader = (head) => {
  const fields = new Fields(head.bytes(0, 512), 'big');
  return fields.u64(8) * fields.u32(4);
};

/** What it has of this device, which may be one of several: `dev_item.total_bytes` of the superblock. */
const btrfsSize: SizeReader = (head) => head.u64(BTRFS_OFFSET + 0xd1);

const f2fsSize: SizeReader = (head) => head.u64(1024 + 36) * 2 ** head.u32(1024 + 16);

const squashfsSize: SizeReader = (head) => alignUp(head.u64(40), SQUASHFS_PADDING_BYTES);

/** The size of the volume in its primary descriptor (ECMA-119, 8.4.8), in sectors of 2048 bytes. */
const isoSize: SizeReader = (head) => head.u32(ISO_OFFSET + 80) * 2048;

/** By the type that the probes tell. */
const SIZES: Readonly<Record<string, SizeReader>> = {
  ...{ ext2: extSize, ext3: extSize, ext4: extSize, ext4dev: extSize },
  ...{ vfat: fatSize, ntfs: ntfsSize, exfat: exfatSize },
  ...{ xfs: xfsSize, btrfs: btrfsSize, f2fs: f2fsSize, squashfs: squashfsSize, iso9660: isoSize },
};

/**
 * How many bytes a file system takes from its start on, as its superblock says; undefined for those of which that is not
 * known, or if it cannot be right.
 */
export async function fileSystemSize(reader: PieceReader, { type }: FileSystem): Promise<number | undefined> {
  const sizeOf = Object.hasOwn(SIZES, type) ? SIZES[type] : undefined;
  const { head } = await readArea(reader);
  if (sizeOf === undefined || head.byteLength < (SUPERBLOCK_ENDS[type] ?? 4096)) return undefined;
  const byteLength = sizeOf(head);
  return Number.isSafeInteger(byteLength) && byteLength > 0 && byteLength <= reader.length ? byteLength : undefined;
}

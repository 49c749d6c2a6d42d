import { type Area, fileSystem, isPowerOfTwo, type Probe } from './area.ts';
import { Fields } from './fields.ts';
import type { FileSystem } from './partition-table.ts';

const EXT_OFFSET = 1024;
const EXT_MAGIC = 0xef53;
/** Feature bits of ext2, ext3 and ext4 (Linux documentation, "ext4 super block"). */
const HAS_JOURNAL = 0x4;
const IS_JOURNAL_DEVICE = 0x8;
const EXT2_INCOMPATIBLE = 0x12;
const EXT3_INCOMPATIBLE = 0x16;
const EXT3_READ_ONLY = 0x7;
const TEST_FILE_SYSTEM = 0x4;
const SWAP_PAGE_BYTES: readonly number[] = [4096, 8192, 16_384, 32_768, 65_536];
const SUSPENDED: readonly string[] = ['S1SUSPEND\0', 'S2SUSPEND\0', 'ULSUSPEND\0', '\xed\xc3\x02\xe9\x98\x56\xe5\x0c'];
const XFS_MAX_BLOCK_BYTES = 65_536;

/** A file system that its magic tells alone, and where its label and identifier lie. */
interface SimpleSuperblock {
  readonly type: string;
  readonly magic: string;
  readonly magicOffset: number;
  readonly uuidOffset: number;
  readonly labelOffset: number;
  readonly labelBytes: number;
}

const SIMPLE: readonly SimpleSuperblock[] = [
  {
    ...{ type: 'btrfs', magic: '_BHRfS_M', magicOffset: 65_600 },
    ...{ uuidOffset: 65_568, labelOffset: 65_835, labelBytes: 256 },
  },
  {
    ...{ type: 'reiserfs', magic: 'ReIsErFs', magicOffset: 65_588 },
    ...{ uuidOffset: 65_620, labelOffset: 65_636, labelBytes: 16 },
  },
  {
    ...{ type: 'reiserfs', magic: 'ReIsEr2Fs', magicOffset: 65_588 },
    ...{ uuidOffset: 65_620, labelOffset: 65_636, labelBytes: 16 },
  },
  {
    ...{ type: 'jfs', magic: 'JFS1', magicOffset: 32_768 },
    ...{ uuidOffset: 32_904, labelOffset: 32_920, labelBytes: 16 },
  },
  {
    ...{ type: 'erofs', magic: '\xe2\xe1\xf5\xe0', magicOffset: 1024 },
    ...{ uuidOffset: 1072, labelOffset: 1088, labelBytes: 16 },
  },
];

/** Probes of what its magic tells alone. */
export const SIMPLE_PROBES: readonly Probe[] = SIMPLE.map((superblock) => (area) => probeSimple(area, superblock));

function probeSimple({ head }: Area, superblock: SimpleSuperblock): FileSystem | null {
  const { type, magic, magicOffset, uuidOffset, labelOffset, labelBytes } = superblock;
  if (!head.has(magicOffset, magic) || labelOffset + labelBytes > head.byteLength) return null;
  return fileSystem(type, { label: head.utf8(labelOffset, labelBytes), uuid: head.uuid(uuidOffset) });
}

/** ext2, ext3, ext4 and their journal devices, told apart by the features in use. */
export function probeExt({ head }: Area): FileSystem | null {
  if (head.byteLength < EXT_OFFSET + 1024 || head.u16(EXT_OFFSET + 56) !== EXT_MAGIC) return null;
  const [inodes, blocks, blockShift] = [head.u32(EXT_OFFSET), head.u32(EXT_OFFSET + 4), head.u32(EXT_OFFSET + 24)];
  const [blocksPerGroup, revision] = [head.u32(EXT_OFFSET + 32), head.u32(EXT_OFFSET + 76)];
  const type = extType(head);
  const isPossible = blocks > 0 && blockShift <= 6 && blocksPerGroup > 0 && revision <= 1;
  if (!isPossible || (inodes === 0 && type !== 'jbd')) return null;
  return fileSystem(type, { label: head.utf8(EXT_OFFSET + 120, 16), uuid: head.uuid(EXT_OFFSET + 104) });
}

function extType(head: Fields): string {
  const compatible = head.u32(EXT_OFFSET + 92);
  const incompatible = head.u32(EXT_OFFSET + 96);
  const isOldReadOnly = (head.u32(EXT_OFFSET + 100) & ~EXT3_READ_ONLY) === 0;
  if ((incompatible & IS_JOURNAL_DEVICE) !== 0) return 'jbd';
  const hasJournal = (compatible & HAS_JOURNAL) !== 0;
  if (!hasJournal && isOldReadOnly && (incompatible & ~EXT2_INCOMPATIBLE) === 0) return 'ext2';
  if (hasJournal && isOldReadOnly && (incompatible & ~EXT3_INCOMPATIBLE) === 0) return 'ext3';
  return (head.u32(EXT_OFFSET + 352) & TEST_FILE_SYSTEM) === 0 ? 'ext4' : 'ext4dev';
}

/** XFS; its numbers are big-endian. */
export function probeXfs({ head }: Area): FileSystem | null {
  if (head.byteLength < 512 || !head.has(0, 'XFSB')) return null;
  const fields = new Fields(head.bytes(0, 512), 'big');
  const blockBytes = fields.u32(4);
  if (!isPowerOfTwo(blockBytes) || blockBytes < 512 || blockBytes > XFS_MAX_BLOCK_BYTES) return null;
  const version = String(fields.u16(100) & 0xf);
  return fileSystem('xfs', { version, label: fields.utf8(108, 12), uuid: fields.uuid(32) });
}

/** F2FS; its label is UTF-16. */
export function probeF2fs({ head }: Area): FileSystem | null {
  if (head.byteLength < 4096 || head.u32(1024) !== 0xf2f5_2010) return null;
  const version = `${head.u16(1028)}.${head.u16(1030)}`;
  return fileSystem('f2fs', { version, label: head.utf16(1148, 1024), uuid: head.uuid(1132) });
}

/** squashfs: 4.x is little-endian, older ones may be either. It has neither label nor identifier. */
export function probeSquashfs({ head }: Area): FileSystem | null {
  if (head.byteLength < 96 || (!head.has(0, 'hsqs') && !head.has(0, 'sqsh'))) return null;
  const fields = new Fields(head.bytes(0, 96), head.has(0, 'hsqs') ? 'little' : 'big');
  const [major, minor] = [fields.u16(28), fields.u16(30)];
  if (major < 1 || major > 4) return null;
  return fileSystem(major === 4 ? 'squashfs' : 'squashfs3', { version: `${major}.${minor}` });
}

/** Linux swap: the magic ends the first page, whose size depends on the machine. A suspended system lies in it too. */
export function probeSwap({ head }: Area): FileSystem | null {
  for (const pageBytes of SWAP_PAGE_BYTES) {
    const offset = pageBytes - 10;
    if (head.byteLength < pageBytes) return null;
    if (head.has(offset, 'SWAP-SPACE')) return fileSystem('swap', { version: '0' });
    const isSuspended = SUSPENDED.some((magic) => head.has(offset, magic));
    if (!isSuspended && !head.has(offset, 'SWAPSPACE2')) continue;
    const facts = { label: head.utf8(1052, 16), uuid: head.uuid(1036) };
    return isSuspended ? fileSystem('swsuspend', facts) : fileSystem('swap', { version: '1', ...facts });
  }
  return null;
}

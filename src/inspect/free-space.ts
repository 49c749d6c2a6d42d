import { Fields } from './fields.ts';
import type { FileSystem, ReadableDisk } from './partition-table.ts';
import { listPartitions } from './partitions.ts';
import { PieceReader } from './piece-reader.ts';

/** What a file system on a disk says it does not use: bytes that may hold anything, and that nobody needs. */
export interface FreeSpace {
  /** Number of the partition; null for what fills the whole disk. */
  readonly partition: number | null;
  /** First byte on the disk. */
  readonly start: number;
  /** Bytes of the partition. */
  readonly length: number;
  /** Name of the file system, as {@link FileSystem} has it. */
  readonly fileSystem: string;
  /** Bytes that it says are free; null if its superblock does not tell. As of when it was last written to. */
  readonly freeBytes: number | null;
  /** Why that is not known; null if it is. */
  readonly unknown: string | null;
  /** What to do in the guest, so that free space becomes zeros; null if nothing helps. */
  readonly command: string | null;
}

/** How one kind of file system tells, and what makes its free space zeros. */
interface Kind {
  readonly read?: (reader: PieceReader, fileSystem: FileSystem) => Promise<number | undefined>;
  /** Why it does not tell. */
  readonly unknown?: string;
  readonly command: string | null;
}

const FILL = 'dd if=/dev/zero of=MOUNTPOINT/zero bs=1M; sync; rm MOUNTPOINT/zero';
const SDELETE = 'sdelete -z DRIVE:';
const ENCRYPTED = 'it is encrypted: zeros in the guest are none here';

const EXT: Kind = { read: extFree, command: 'zerofree DEVICE   (not mounted, or mounted read-only)' };

/** By the name of the file system. */
const KINDS: Readonly<Record<string, Kind>> = {
  ext2: EXT,
  ext3: EXT,
  ext4: EXT,
  xfs: { read: xfsFree, command: FILL },
  btrfs: { read: btrfsFree, command: FILL },
  vfat: { read: fatFree, command: `${SDELETE}   (Windows), or ${FILL}` },
  ntfs: { unknown: 'the boot sector of NTFS does not tell; it is in the file $Bitmap', command: SDELETE },
  exfat: {
    unknown: 'the boot sector of exFAT does not tell; it is in its allocation bitmap',
    command: `${SDELETE}   (Windows), or ${FILL}`,
  },
  ReFS: { unknown: 'the boot sector of ReFS does not tell', command: SDELETE },
  BitLocker: { unknown: ENCRYPTED, command: null },
  crypto_LUKS: { unknown: ENCRYPTED, command: null },
  LVM2_member: {
    unknown: 'it is a physical volume of LVM: what is free in its volumes is told by their file systems',
    command: 'zerofree, or dd of zeros, in each volume',
  },
  swap: {
    unknown: 'swap is in use as a whole',
    command: 'swapoff DEVICE; dd if=/dev/zero of=DEVICE bs=1M; mkswap -U UUID DEVICE',
  },
};

const OTHER: Kind = { unknown: 'where this file system tells is not known here', command: FILL };

/**
 * What the file systems on a disk say is free, each by its superblock: FAT32 (FSInfo), ext2, ext3, ext4, XFS and Btrfs on one
 * device. Of the others it says why that is not known. What is damaged is passed over; errors of the system pass.
 */
export async function freeSpaceOn(disk: ReadableDisk): Promise<FreeSpace[]> {
  if (disk.size === 0) return [];
  const { partitions, fileSystem } = await listPartitions(disk);
  const whole = { number: null, start: 0, length: disk.size, fileSystem };
  const found: FreeSpace[] = [];
  for (const part of [whole, ...partitions]) {
    if (part.fileSystem === null) continue;
    const reader = new PieceReader(disk, part.start, part.length);
    found.push({
      ...{ partition: part.number, start: part.start, length: part.length, fileSystem: part.fileSystem.type },
      ...(await tell(reader, part.fileSystem)),
    });
  }
  return found;
}

async function tell(
  reader: PieceReader,
  fileSystem: FileSystem,
): Promise<Pick<FreeSpace, 'freeBytes' | 'unknown' | 'command'>> {
  const kind = KINDS[fileSystem.type] ?? OTHER;
  const freeBytes = await kind.read?.(reader, fileSystem);
  // More than there is room for is damaged, or a file system that spreads over other devices.
  if (freeBytes !== undefined && freeBytes <= reader.length) {
    return { freeBytes, unknown: null, command: kind.command };
  }
  const unknown = kind.unknown ?? 'its superblock does not tell';
  return { freeBytes: null, unknown, command: kind.command };
}

/** Free blocks (Linux documentation, "ext4 super block": s_free_blocks_count_lo and _hi, s_log_block_size). */
async function extFree(reader: PieceReader): Promise<number | undefined> {
  const bytes = await reader.read(1024, 1024);
  if (bytes === undefined) return undefined;
  const fields = new Fields(bytes);
  const HAS_64_BITS = 0x80;
  const high = (fields.u32(96) & HAS_64_BITS) === 0 ? 0 : fields.u32(344);
  return (high * 2 ** 32 + fields.u32(12)) * 1024 * 2 ** fields.u32(24);
}

/** sb_fdblocks, big-endian like all of XFS (XFS Algorithms & Data Structures, "Superblocks"). */
async function xfsFree(reader: PieceReader): Promise<number | undefined> {
  const bytes = await reader.read(0, 512);
  if (bytes === undefined) return undefined;
  const fields = new Fields(bytes, 'big');
  return fields.u64(144) * fields.u32(4);
}

/** total_bytes less bytes_used (Btrfs documentation, "On-disk format"); of one device out of several nothing is known. */
async function btrfsFree(reader: PieceReader): Promise<number | undefined> {
  const bytes = await reader.read(64 * 1024, 4096);
  if (bytes === undefined) return undefined;
  const fields = new Fields(bytes);
  const [total, used, devices] = [fields.u64(112), fields.u64(120), fields.u64(136)];
  return devices === 1 && used <= total ? total - used : undefined;
}

/** The count in the FSInfo sector (Microsoft FAT specification); FAT12 and FAT16 have none. */
async function fatFree(reader: PieceReader, { version }: FileSystem): Promise<number | undefined> {
  const boot = version === 'FAT32' ? await reader.read(0, 512) : undefined;
  if (boot === undefined) return undefined;
  const parameters = new Fields(boot);
  const sectorBytes = parameters.u16(11);
  const info = await reader.read(parameters.u16(48) * sectorBytes, 512);
  if (info === undefined) return undefined;
  const fields = new Fields(info);
  const count = fields.u32(488);
  const isInfo = fields.has(0, 'RRaA') && fields.has(484, 'rrAa');
  return isInfo && count !== 0xffff_ffff ? count * parameters.u8(13) * sectorBytes : undefined;
}

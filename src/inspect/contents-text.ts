import type { DiskContents, FileSystem, Partition } from './partition-table.ts';

/** Names people use, where they are not those of blkid. */
const NAMES: Readonly<Record<string, string>> = {
  ntfs: 'NTFS',
  exfat: 'exFAT',
  vfat: 'FAT',
  xfs: 'XFS',
  btrfs: 'Btrfs',
  hfs: 'HFS',
  hfsplus: 'HFS+',
  apfs: 'APFS',
  iso9660: 'ISO 9660',
  udf: 'UDF',
  crypto_LUKS: 'LUKS (encrypted)',
  BitLocker: 'BitLocker (encrypted)',
  LVM2_member: 'LVM',
  linux_raid_member: 'Linux RAID',
};

/** Partitions that are named one by one. */
const MAX_NAMED = 4;

/** What is on a disk, in a few words: `GPT with 2 partitions: FAT32 "EFI", NTFS "Data"`. */
export function contentsText(contents: DiskContents): string {
  const { scheme, partitions, fileSystem } = contents;
  if (scheme === 'none') return fileSystem === null ? 'no partition table' : fileSystemText(fileSystem);
  const count = partitions.length === 1 ? '1 partition' : `${partitions.length || 'no'} partitions`;
  if (partitions.length === 0) return `${scheme.toUpperCase()} with ${count}`;
  const named = partitions.slice(0, MAX_NAMED).map(partitionText);
  const more = partitions.length - named.length;
  if (more > 0) named.push(`${more} more`);
  return `${scheme.toUpperCase()} with ${count}: ${named.join(', ')}`;
}

/** A file system in a few words: its name and its label. */
export function fileSystemText({ type, version, label }: FileSystem): string {
  const isFat = type === 'vfat' && version !== null;
  const name = isFat ? version : (NAMES[type] ?? type);
  return label === null || label === '' ? name : `${name} "${label}"`;
}

function partitionText({ fileSystem, typeName, type }: Partition): string {
  return fileSystem === null ? (typeName ?? `type ${type}`) : fileSystemText(fileSystem);
}

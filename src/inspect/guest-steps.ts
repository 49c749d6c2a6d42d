import type { DiskContents, FileSystem, Partition } from './partition-table.ts';

/** What makes a file system as large as what it lies in, where it can become larger at all. `PLACE` is a device. */
const GROWERS: Readonly<Record<string, string>> = {
  ext2: 'resize2fs PLACE',
  ext3: 'resize2fs PLACE',
  ext4: 'resize2fs PLACE',
  xfs: 'xfs_growfs and the directory it is mounted on',
  btrfs: 'btrfs filesystem resize max and the directory it is mounted on',
  f2fs: 'resize.f2fs PLACE, unmounted',
  jfs: 'mount -o remount,resize and the directory it is mounted on',
  reiserfs: 'resize_reiserfs PLACE',
  LVM2_member: 'pvresize PLACE, then lvextend -r for a volume in it',
  crypto_LUKS: 'cryptsetup resize, then the file system inside',
  swap: 'mkswap PLACE, unused',
  apfs: 'diskutil apfs resizeContainer PLACE 0',
};
/** File systems of Windows: that extends partition and file system in one. */
const OF_WINDOWS: readonly string[] = ['ntfs', 'ReFS', 'BitLocker'];
const MBR_LIMIT_BYTES = 2 ** 32 * 512;
const EXTENDED_TYPES: readonly string[] = ['0x05', '0x0f', '0x85'];
/** Nobody wants these larger: recovery, EFI, reserved by Microsoft, swap. */
const AUXILIARY_TYPES: readonly string[] = [
  'DE94BBA4-06D1-4D40-A16A-BFD50179D6AC',
  'C12A7328-F81F-11D2-BA4B-00A0C93EC93B',
  'E3C9E316-0B5C-4DB8-817D-F92DF00215AE',
  '0657FD6D-A4AB-43C4-84E5-0933C84B4F4F',
  ...['0x27', '0xef', '0x82'],
];

/**
 * What is left to do inside the guest so that it uses what a disk gained, one sentence each; nothing if the disk is empty.
 * @param fromSize bytes of the disk before
 * @param size bytes of it now
 */
export function guestSteps(
  { scheme, partitions, fileSystem }: DiskContents,
  fromSize: number,
  size: number,
): readonly string[] {
  if (size <= fromSize) return [];
  if (scheme === 'none') return fileSystem === null ? [] : [wholeDiskStep(fileSystem)];
  const last = lastPartition(partitions);
  if (last === undefined) return ['make a partition in the new space'];
  const steps = stepsBehind(last, partitions);
  const isOutOfReach = scheme === 'mbr' && size > MBR_LIMIT_BYTES;
  return isOutOfReach ? [...steps, 'an MBR reaches no further than 2 TiB: gdisk makes a GPT of it'] : steps;
}

/** The partition that lies last on the disk; of a container and what is in it, the latter. */
export function lastPartition(partitions: readonly Partition[]): Partition | undefined {
  return partitions
    .filter(({ type }) => !EXTENDED_TYPES.includes(type))
    .reduce<Partition | undefined>(
      (last, each) => (last === undefined || each.start > last.start ? each : last),
      undefined,
    );
}

/** What lies last may be there for the one before it, which is then the one to become larger. */
function stepsBehind(last: Partition, partitions: readonly Partition[]): string[] {
  const wanted = isAuxiliary(last) ? lastPartition(partitions.filter((each) => !isAuxiliary(each))) : last;
  if (wanted === undefined || wanted === last) return partitionSteps(last, partitions);
  const what = last.typeName ?? last.fileSystem?.type ?? last.type;
  const inTheWay = `partition ${last.number} (${what}) is in the way of partition ${wanted.number}: move it to the end, or remove it and make it anew there`;
  return [inTheWay, ...partitionSteps(wanted, partitions)];
}

function isAuxiliary({ type, fileSystem }: Partition): boolean {
  return AUXILIARY_TYPES.includes(type) || fileSystem?.type === 'swap';
}

function partitionSteps({ number, start, fileSystem }: Partition, partitions: readonly Partition[]): string[] {
  if (fileSystem !== null && OF_WINDOWS.includes(fileSystem.type)) {
    return [`extend partition ${number} (${fileSystem.type}): Disk Management, Extend Volume; or diskpart, extend`];
  }
  const around = partitions.find(
    (each) => EXTENDED_TYPES.includes(each.type) && each.start <= start && start < each.start + each.length,
  );
  // Windows does that by itself.
  const first = around === undefined ? [] : [extendedStep(around.number, number)];
  const grow = `make partition ${number} larger: growpart /dev/sdX ${number}`;
  if (fileSystem === null) return [...first, `${grow}; then what is in it`];
  return [...first, grow, stepFor(fileSystem, `/dev/sdX${number}`)];
}

function extendedStep(number: number, inner: number): string {
  return `first the extended partition ${number} around partition ${inner}: parted /dev/sdX resizepart ${number} 100%`;
}

function wholeDiskStep({ type }: FileSystem): string {
  if (OF_WINDOWS.includes(type)) return `make the ${type} on it larger: diskpart, extend filesystem`;
  const grower = growerFor(type, '/dev/sdX');
  return grower === undefined ? noGrower(type, 'on') : `make the ${type} on it larger: ${grower}`;
}

function stepFor({ type }: FileSystem, place: string): string {
  const grower = growerFor(type, place);
  return grower === undefined ? noGrower(type, 'in') : `then the ${type} in it: ${grower}`;
}

function growerFor(type: string, place: string): string | undefined {
  return Object.hasOwn(GROWERS, type) ? GROWERS[type]?.replace('PLACE', place) : undefined;
}

function noGrower(type: string, where: 'in' | 'on'): string {
  return `the ${type} ${where} it does not become larger by a command known here`;
}

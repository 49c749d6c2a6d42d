import { describe, expect, it } from 'vitest';
import { guestSteps, lastPartition } from '../../../src/inspect/guest-steps.ts';
import type { DiskContents, FileSystem, Partition } from '../../../src/inspect/partition-table.ts';

const GIB = 1024 ** 3;

function fileSystem(type: string): FileSystem {
  return { type, version: null, label: null, uuid: null };
}

function partition(number: number, start: number, type: string | null, code = '0x83'): Partition {
  const facts = { typeName: null, name: null, uuid: null, flags: [], alignment: 512 };
  const inside = type === null ? null : fileSystem(type);
  return { number, start, length: GIB, type: code, ...facts, fileSystem: inside };
}

function disk(scheme: DiskContents['scheme'], partitions: readonly Partition[], whole?: string): DiskContents {
  return { scheme, diskId: null, partitions, fileSystem: whole === undefined ? null : fileSystem(whole), findings: [] };
}

describe('what is left to do inside the guest', () => {
  it.each([
    ['ext4', 'resize2fs /dev/sdX2'],
    ['xfs', 'xfs_growfs'],
    ['btrfs', 'btrfs filesystem resize max'],
    ['LVM2_member', 'pvresize /dev/sdX2'],
    ['vfat', 'the vfat in it does not become larger by a command known here'],
  ])('partition and %s', (type, command) => {
    const partitions = [partition(2, 4 * GIB, type), partition(1, GIB, 'ext4')];
    const steps = guestSteps(disk('gpt', partitions), 8 * GIB, 9 * GIB);
    expect(steps).toEqual(['make partition 2 larger: growpart /dev/sdX 2', expect.stringContaining(command)]);
  });

  it('NTFS, by Windows in one step; on a disk of its own without a partition', () => {
    expect(guestSteps(disk('mbr', [partition(1, GIB, 'ntfs')]), GIB, 9 * GIB)).toEqual([
      expect.stringContaining('Disk Management'),
    ]);
    expect(guestSteps(disk('none', [], 'ntfs'), GIB, 9 * GIB)).toEqual([expect.stringContaining('extend filesystem')]);
    expect(guestSteps(disk('none', [], 'ext4'), GIB, 9 * GIB)).toEqual([expect.stringContaining('resize2fs /dev/sdX')]);
  });

  it('nothing on an empty disk or one that became smaller, and something where there is no partition yet', () => {
    expect(guestSteps(disk('none', []), GIB, 2 * GIB)).toEqual([]);
    expect(guestSteps(disk('gpt', [partition(1, GIB, 'ext4')]), 2 * GIB, GIB)).toEqual([]);
    expect(guestSteps(disk('gpt', []), GIB, 2 * GIB)).toEqual(['make a partition in the new space']);
  });

  it.each([
    ['recovery', partition(3, 6 * GIB, 'ntfs', 'DE94BBA4-06D1-4D40-A16A-BFD50179D6AC')],
    ['EFI', partition(3, 6 * GIB, 'vfat', 'C12A7328-F81F-11D2-BA4B-00A0C93EC93B')],
    ['swap', partition(3, 6 * GIB, 'swap', '0x82')],
  ])('a partition for %s is in the way of the one before it', (_name, last) => {
    const partitions = [partition(1, GIB, 'ext4'), partition(2, 4 * GIB, 'ntfs'), last];
    expect(guestSteps(disk('gpt', partitions), 8 * GIB, 9 * GIB)).toEqual([
      expect.stringMatching(/^partition 3 \(.+\) is in the way of partition 2/),
      expect.stringContaining('extend partition 2 (ntfs)'),
    ]);
    expect(guestSteps(disk('gpt', [last]), 8 * GIB, 9 * GIB)[0]).not.toContain('in the way');
  });

  it('of a logical partition, the extended one around it first', () => {
    const partitions = [partition(2, 2 * GIB, null, '0x05'), partition(5, 2 * GIB + 512, 'ext4')];
    expect(guestSteps(disk('mbr', partitions), 8 * GIB, 9 * GIB)).toEqual([
      'first the extended partition 2 around partition 5: parted /dev/sdX resizepart 2 100%',
      'make partition 5 larger: growpart /dev/sdX 5',
      'then the ext4 in it: resize2fs /dev/sdX5',
    ]);
  });

  it('an MBR reaches no further than 2 TiB', () => {
    expect(guestSteps(disk('mbr', [partition(1, GIB, null)]), GIB, 3000 * GIB)).toEqual([
      expect.stringContaining('growpart'),
      expect.stringContaining('2 TiB'),
    ]);
  });

  it('of an extended partition the last one inside', () => {
    const partitions = [
      partition(1, 1, 'ext4'),
      partition(2, 2 * GIB, null, '0x05'),
      partition(5, 2 * GIB + 512, 'xfs'),
    ];
    expect(lastPartition(partitions)?.number).toBe(5);
  });
});

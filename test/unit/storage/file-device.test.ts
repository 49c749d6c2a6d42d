// What the system tells about block devices, out of folders made to look like those of Linux.
import { mkdir, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import {
  deviceNumber,
  deviceSize,
  fileState,
  probeSize,
  type SystemFolders,
} from '../../../src/storage/file-device.ts';
import { type FileIdentity, holdSameBytes } from '../../../src/storage/file-device-bytes.ts';
import { checkDeviceWritable, deviceUsers } from '../../../src/storage/file-device-use.ts';
import { useTempFolder } from '../../support/temp.ts';

const folder = useTempFolder('file-device');

/** A probe of something of `size` bytes, counting its calls. */
function probeOf(
  size: number,
  behind: () => number = () => 0,
): { probe: (position: number) => Promise<number>; calls: () => number } {
  let calls = 0;
  return {
    probe: async (position) => {
      calls++;
      return position < size ? 1 : behind();
    },
    calls: () => calls,
  };
}

function failure(code: string): () => never {
  return () => {
    throw Object.assign(new Error(code), { code });
  };
}

describe('deviceNumber', () => {
  it.each([
    [0x0801, '8:1'],
    [1792, '7:0'],
    [0x10300, '259:0'],
    [4295033788, '259:1048764'],
    [17592205967752, '4097:5000'],
  ])('%d is %s', (rdev, number) => expect(deviceNumber(rdev)).toBe(number));
});

describe('probeSize', () => {
  it.each([0, 1, 511, 512, 4097 * 512, 2 ** 41 + 512, Number.MAX_SAFE_INTEGER])(
    'finds %d in 53 reads',
    async (size) => {
      const { probe, calls } = probeOf(size);
      expect(await probeSize(probe)).toBe(size);
      expect(calls()).toBeLessThanOrEqual(53);
    },
  );

  it.each(['ENXIO', 'EINVAL'])('takes %s for the end', async (code) => {
    expect(await probeSize(probeOf(1_000_448, failure(code)).probe)).toBe(1_000_448);
  });

  it('passes on that a sector cannot be read, which is no end', async () => {
    await expect(probeSize(probeOf(1_000_448, failure('EIO')).probe)).rejects.toMatchObject({ code: 'EIO' });
  });
});

describe('deviceSize', () => {
  const sizeWith = async (text: string): Promise<{ size: number; calls: number }> => {
    const sys = folder.file(`size-${text.length}`);
    await mkdir(join(sys, 'dev/block/8:1'), { recursive: true });
    await writeFile(join(sys, 'dev/block/8:1/size'), text);
    const { probe, calls } = probeOf(5120);
    return { size: await deviceSize(0x801, probe, { sys, proc: sys }), calls: calls() };
  };

  it('is what the system says, in sectors of 512 bytes', async () => {
    expect(await sizeWith('4097\n')).toEqual({ size: 4097 * 512, calls: 0 });
  });

  it.each(['', '-5\n', '99999999999999999\n'])('is found by reading where the system says %j', async (text) => {
    expect(await sizeWith(text)).toMatchObject({ size: 5120 });
  });

  it('is found by reading where the system says nothing', async () => {
    const nowhere = { sys: folder.file('none'), proc: folder.file('none') };
    expect(await deviceSize(0x801, probeOf(512).probe, nowhere)).toBe(512);
  });
});

describe('fileState', () => {
  it('is size and time of a file, and no folder has one', async () => {
    await writeFile(folder.file('plain'), 'abc');
    expect(await fileState(folder.file('plain'))).toEqual({ size: 3, isDevice: false });
    await expect(fileState(folder.path)).rejects.toMatchObject({ code: 'EISDIR' });
  });
});

/** A disk `sda` with two partitions, the second part of a volume; `sdb` in a RAID; `sdc` that can only be read. */
const TREE: Readonly<Record<string, string>> = {
  'devices/sda/dev': '8:0',
  'devices/sda/size': '40000',
  'devices/sda/sda1/dev': '8:1',
  'devices/sda/sda1/partition': '1',
  'devices/sda/sda1/start': '2048',
  'devices/sda/sda1/size': '10000',
  'devices/sda/sda2/dev': '8:2',
  'devices/sda/sda2/partition': '2',
  'devices/sda/sda2/start': '20000',
  'devices/sda/sda2/size': '20000',
  'devices/sda/sda2/holders/dm-0/dev': '253:0',
  'devices/sdb/dev': '8:16',
  'devices/sdb/size': '100',
  'devices/sdb/holders/md127/dev': '9:127',
  'devices/sdc/dev': '8:32',
  'devices/sdc/ro': '1',
  'devices/c!d0/dev': '104:0',
  'devices/dm-0/dev': '253:0',
  'devices/dm-0/slaves/sda2/dev': '8:2',
  'devices/dm-1/dev': '253:1',
  'devices/dm-1/slaves/sda2/dev': '8:2',
  'block/dm-0/dm/name': 'vg-home',
  'proc/self/mountinfo': [
    '36 35 8:1 / /mnt/a\\040b rw,noatime shared:1 - ext4 /dev/sda1 rw',
    '37 35 0:24 / /dev/shm rw - tmpfs tmpfs rw',
    '38 35 104:0 / /raid rw - xfs /dev/c/d0 rw',
    'half a line',
  ].join('\n'),
  'proc/swaps': 'Filename\tType\tSize\n/no/such/file partition 100\n',
};
const LINKS = { '8:0': 'sda', '8:1': 'sda/sda1', '8:2': 'sda/sda2', '8:16': 'sdb', '8:32': 'sdc', '104:0': 'c!d0' };

describe('a device', () => {
  let folders: SystemFolders;

  beforeAll(async () => {
    const sys = folder.file('sys');
    folders = { sys, proc: join(sys, 'proc') };
    for (const [name, text] of Object.entries(TREE)) {
      await mkdir(dirname(join(sys, name)), { recursive: true });
      await writeFile(join(sys, name), `${text}\n`);
    }
    await mkdir(join(sys, 'dev/block'), { recursive: true });
    for (const [number, name] of Object.entries({ ...LINKS, '253:0': 'dm-0', '253:1': 'dm-1' })) {
      await symlink(join(sys, 'devices', name), join(sys, 'dev/block', number));
    }
  });

  it.each([
    ['8:0', ['/dev/sda1 is mounted on /mnt/a b', '/dev/sda2 is part of /dev/dm-0 (vg-home)']],
    ['8:1', ['/dev/sda1 is mounted on /mnt/a b']],
    ['8:2', ['/dev/sda2 is part of /dev/dm-0 (vg-home)']],
    ['8:16', ['/dev/sdb is part of /dev/md127']],
    ['8:32', []],
    ['104:0', ['/dev/c/d0 is mounted on /raid']],
    ['9:9', []],
  ])('%s is used by %j', async (number, uses) => {
    expect((await deviceUsers(number, folders)).map((user) => user.what)).toEqual(uses);
  });

  it('is let go by commands', async () => {
    const ends = [...(await deviceUsers('8:0', folders)), ...(await deviceUsers('8:16', folders))].map(
      (user) => user.end,
    );
    expect(ends).toEqual(['umount /mnt/a b', 'dmsetup remove vg-home', 'mdadm --stop /dev/md127']);
  });

  it('that can only be read is not written to', async () => {
    await expect(checkDeviceWritable(0x820, '/dev/sdc', folders)).rejects.toMatchObject({
      code: 'EROFS',
      path: '/dev/sdc',
    });
    await expect(checkDeviceWritable(0x800, '/dev/sda', folders)).resolves.toBeUndefined();
  });

  const device = (rdev: number, ino = rdev): FileIdentity => ({ isBlockDevice: () => true, dev: 6, ino, rdev });
  const file = (ino: number): FileIdentity => ({ isBlockDevice: () => false, dev: 1, ino, rdev: 0 });
  const [sda, sda1, sda2, sdb] = [device(0x800), device(0x801), device(0x802), device(0x810)];
  const [home, other] = [device(0xfd00), device(0xfd01)];

  it.each([
    ['a disk and itself', sda, device(0x800, 99), true],
    ['a disk and its partition', sda, sda1, true],
    ['a partition and its disk', sda2, sda, true],
    ['two partitions', sda1, sda2, false],
    ['two disks', sda, sdb, false],
    ['a volume and the partition under it', home, sda2, true],
    ['the disk and a volume on it', sda, home, true],
    ['a volume and another partition', home, sda1, false],
    ['two volumes on one partition', home, other, false],
    ['a file and a disk', file(1), sda, false],
    ['two files', file(1), file(2), false],
    ['a file and itself', file(1), file(1), true],
  ])('%s', async (_what, first, second, isShared) => {
    expect(await holdSameBytes(first, second, folders)).toBe(isShared);
    expect(await holdSameBytes(second, first, folders)).toBe(isShared);
  });
});

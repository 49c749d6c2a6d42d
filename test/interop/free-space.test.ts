// What a file system says is free, held against what its own programs say of it.
import { truncate, writeFile } from 'node:fs/promises';
import { expect } from 'vitest';
import { freeSpaceOn } from '../../src/inspect/free-space.ts';
import { openRaw } from '../../src/open.ts';
import { describeWithPeers, type PeerName, runPeer, testWithPeers } from '../support/peers.ts';
import { useTempFolder } from '../support/temp.ts';

const MIB = 1024 * 1024;
const temp = useTempFolder('free-space');

async function told(name: string, size: number, peer: PeerName, args: readonly string[]) {
  const path = temp.file(name);
  await writeFile(path, '');
  await truncate(path, size);
  await runPeer(peer, [...args, path]);
  await using disk = await openRaw(path);
  const [found, ...others] = await freeSpaceOn(disk);
  expect(others).toEqual([]);
  expect(found).toMatchObject({ partition: null, start: 0, length: size });
  return { path, found };
}

describeWithPeers(['mkfs.ext4', 'mkfs.fat'], 'free space', () => {
  testWithPeers(['mkfs.ext4', 'dumpe2fs'], 'of ext4 is what dumpe2fs says', async () => {
    for (const bits of ['64bit', '^64bit']) {
      const { path, found } = await told(`${bits}.img`, 20 * MIB, 'mkfs.ext4', ['-q', '-O', bits, '-b', '1024']);
      const { stdout } = await runPeer('dumpe2fs', ['-h', path]);
      const blocks = Number(/^Free blocks:\s*(\d+)$/m.exec(stdout)?.[1]);
      expect(found).toMatchObject({ fileSystem: 'ext4', freeBytes: blocks * 1024, unknown: null });
      expect(found?.command).toMatch(/^zerofree /);
    }
  });

  testWithPeers(['mkfs.fat'], 'of FAT32 is in FSInfo, of FAT16 nowhere', async () => {
    const { found } = await told('fat32.img', 40 * MIB, 'mkfs.fat', ['-F', '32', '-s', '1']);
    // All but the root directory, reserved sectors and two tables.
    expect(found?.freeBytes).toBeGreaterThan(39 * MIB);
    expect(found?.freeBytes).toBeLessThan(40 * MIB);
    const fat16 = await told('fat16.img', 16 * MIB, 'mkfs.fat', ['-F', '16']);
    expect(fat16.found).toMatchObject({ fileSystem: 'vfat', freeBytes: null, unknown: 'its superblock does not tell' });
  });

  testWithPeers(['mkfs.ntfs'], 'of NTFS is not in its boot sector', async () => {
    const { found } = await told('ntfs.img', 2 * MIB, 'mkfs.ntfs', ['-Q', '-F', '-q']);
    expect(found).toMatchObject({ fileSystem: 'ntfs', freeBytes: null, command: 'sdelete -z DRIVE:' });
    expect(found?.unknown).toMatch(/\$Bitmap/);
  });

  testWithPeers(['mkfs.xfs'], 'of XFS is most of an empty one', async () => {
    const { found } = await told('xfs.img', 300 * MIB, 'mkfs.xfs', ['-q']);
    expect(found?.fileSystem).toBe('xfs');
    expect(found?.freeBytes).toBeGreaterThan(200 * MIB);
    expect(found?.freeBytes).toBeLessThan(300 * MIB);
  });

  testWithPeers(['mkfs.btrfs'], 'of Btrfs is what its superblock leaves', async () => {
    const { found } = await told('btrfs.img', 110 * MIB, 'mkfs.btrfs', ['-q']);
    expect(found?.fileSystem).toBe('btrfs');
    expect(found?.freeBytes).toBeGreaterThan(105 * MIB);
    expect(found?.freeBytes).toBeLessThan(110 * MIB);
  });
});

// A disk without a partition table is cut down to what its file system takes, as the programs that make one see it.
import { open } from 'node:fs/promises';
import { describe, expect } from 'vitest';
import { fileSystemSize } from '../../src/inspect/file-system-size.ts';
import { identifyFileSystem } from '../../src/inspect/file-systems.ts';
import { openRaw } from '../../src/open.ts';
import { convert } from '../../src/ops/convert.ts';
import { resize } from '../../src/ops/resize.ts';
import { type FormatTool, runPeer, testWithPeers } from '../support/peers.ts';
import { useTempFolder } from '../support/temp.ts';

const MIB = 1024 ** 2;
const folder = useTempFolder('resize-file-systems');

/** Each takes all of a disk of so many MiB. */
const TOOLS: readonly (readonly [tool: FormatTool, args: readonly string[], mib: number])[] = [
  ['mkfs.ext4', ['-q', '-F'], 32],
  ['mkfs.ext4', ['-q', '-F', '-O', '64bit', '-b', '1024'], 32],
  ['mkfs.xfs', ['-q', '-f'], 320],
  ['mkfs.btrfs', ['-q', '-f'], 128],
  ['mkfs.ntfs', ['-q', '-F', '-f'], 32],
  ['mkfs.exfat', [], 32],
  ['mkfs.fat', ['-F', '16'], 32],
  ['mkfs.fat', ['-F', '32'], 64],
];

async function sparse(name: string, size: number): Promise<string> {
  const path = folder.file(name);
  const file = await open(path, 'w');
  await file.truncate(size);
  await file.close();
  return path;
}

describe('the size that a superblock tells', () => {
  for (const [index, [tool, args, mib]] of TOOLS.entries()) {
    testWithPeers([tool], `${tool} ${args.join(' ')}`, async () => {
      const path = await sparse(`${index}.raw`, mib * MIB);
      await runPeer(tool, [...args, path]);
      await using disk = await openRaw(path);
      const found = await identifyFileSystem(disk, 0, disk.size);
      const size = await fileSystemSize(disk, found?.type ?? '');
      expect(size).toBeLessThanOrEqual(mib * MIB);
      // Less than a cluster is left over.
      expect(size).toBeGreaterThan(mib * MIB - 64 * 1024);
    });
  }
});

testWithPeers(['mkfs.ext4'], 'a disk is cut behind its file system and no further', async () => {
  const [raw, path] = [await sparse('cut.raw', 16 * MIB), folder.file('cut.vhd')];
  await runPeer('mkfs.ext4', ['-q', '-F', raw, '10m']);
  const file = await open(raw, 'r+');
  await file.write(Buffer.alloc(4096, 7), 0, 4096, 14 * MIB);
  await file.close();
  await convert(raw, path, { to: 'dynamic', from: 'raw' });
  await expect(resize(path, { size: 10 * MIB - 512, shrink: true })).rejects.toMatchObject({
    code: 'ERR_VHD_SHRINK',
    message: expect.stringContaining(`the ext4 on it ends at ${10 * MIB}`) as string,
  });
  expect(await resize(path, { size: 10 * MIB, shrink: true })).toMatchObject({ virtualSize: 10 * MIB, warnings: [] });
  expect((await resize(path, { size: 12 * MIB })).guestSteps).toEqual([
    'make the ext4 on it larger: resize2fs /dev/sdX',
  ]);
});

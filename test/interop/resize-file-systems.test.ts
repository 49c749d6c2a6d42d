// A disk without a partition table is cut down to what its file system takes, as the programs that make one see it.
import { open } from 'node:fs/promises';
import { expect } from 'vitest';
import { convert } from '../../src/ops/convert.ts';
import { resize } from '../../src/ops/resize.ts';
import { runPeer, testWithPeers } from '../support/peers.ts';
import { useTempFolder } from '../support/temp.ts';

const MIB = 1024 ** 2;
const folder = useTempFolder('resize-file-systems');

async function sparse(name: string, size: number): Promise<string> {
  const path = folder.file(name);
  const file = await open(path, 'w');
  await file.truncate(size);
  await file.close();
  return path;
}

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
  expect(await resize(path, { size: 10 * MIB, shrink: true })).toMatchObject({
    virtualSize: 10 * MIB,
    // What stands behind the file system is nobody's, and told.
    warnings: [expect.stringContaining(`${14 * MIB + 4096}`)],
  });
  expect((await resize(path, { size: 12 * MIB })).guestSteps).toEqual([
    'make the ext4 on it larger: resize2fs /dev/sdX',
  ]);
});

// Disks of another size, judged by others: qemu-img, 7-Zip and libvhdi read all of them, sgdisk and sfdisk have nothing to
// say against their tables, and a file system is there.
import { open, rm, writeFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { openVhd } from '../../src/open.ts';
import { convert } from '../../src/ops/convert.ts';
import { createImage } from '../../src/ops/create.ts';
import { resize } from '../../src/ops/resize.ts';
import { buildImage } from '../support/build-image.ts';
import { pattern } from '../support/bytes.ts';
import { describeWithPeers, runPeer, testWithPeers } from '../support/peers.ts';
import { useTempFolder } from '../support/temp.ts';
import { Contents } from './contents.ts';
import { expectFileHolds, expectQemuSame, expectSevenZipHolds, vhdiSize, withVhdiMount } from './readers.ts';

const MIB = 1024 ** 2;
const folder = useTempFolder('interop-resize');

/** Larger by so much that a table in front of its blocks has to move, smaller in the middle of a block, larger by a sector. */
const SIZES = [40 * MIB + 512, 5 * MIB - 1024, 5 * MIB - 512];
const BLOCK = 64 * 1024;

async function packedImage(path: string): Promise<void> {
  await writeFile(path, buildImage({ size: 8 * MIB, blockSize: BLOCK, blocks: [{ index: 100 }, { index: 3 }] }));
}

const IMAGES: readonly (readonly [string, (path: string) => Promise<unknown>])[] = [
  ['fixed', (path) => createImage(path, { type: 'fixed', size: 8 * MIB })],
  ['dynamic', (path) => createImage(path, { size: 8 * MIB, blockSize: 512 * 1024, creator: 'vbox' })],
  ['dynamic and packed', packedImage],
];

describe.each(IMAGES)('a %s image', (name, make) => {
  testWithPeers(['qemu-img', '7z', 'vhdiinfo'], 'is read in full after every resize', async () => {
    const path = folder.file(`${name}.vhd`);
    await make(path);
    await using disk = await openVhd(path, { writable: true });
    let content = new Uint8Array(8 * MIB);
    if (name.endsWith('packed')) for (const index of [3, 100]) content.fill(0xb0, index * BLOCK, (index + 1) * BLOCK);
    const put = async (bytes: Uint8Array, position: number): Promise<void> => {
      content.set(bytes, position);
      await disk.write(bytes, position);
    };
    for (const [index, position] of [0, 3 * MIB - 512, 5 * MIB - 1536].entries()) {
      await put(pattern(1024, index + 1), position);
    }
    await put(pattern(2 * MIB, 9), 6 * MIB);
    await disk.close();
    for (const size of SIZES) {
      // What lies behind 5 MiB goes with the second of them, and stays away.
      const { tableMoved } = await resize(path, { size, allowDataLoss: true });
      expect(tableMoved).toBe(name.endsWith('packed') && size === SIZES[0]);
      const before = content;
      content = new Uint8Array(size);
      content.set(before.subarray(0, size));
      await expectRead(path, content);
    }
  });
});

async function expectRead(image: string, bytes: Uint8Array): Promise<void> {
  const size = bytes.length;
  const places = [];
  for (let position = 0; position < size; position += 65_536) {
    const piece = bytes.subarray(position, position + 65_536);
    if (piece.some((byte) => byte !== 0)) places.push({ position, bytes: piece });
  }
  const contents = new Contents(size, places);
  const raw = `${image}.raw`;
  await contents.writeRaw(raw);
  await expectQemuSame(image, raw);
  await rm(raw);
  expect(await vhdiSize(image)).toBe(size);
  await expectSevenZipHolds(image, contents);
}

describeWithPeers(['vhdimount'], 'libvhdi', () => {
  it('reads what a larger disk holds, its table behind the blocks', async () => {
    const path = folder.file('mounted.vhd');
    await packedImage(path);
    expect((await resize(path, { size: 600 * MIB })).tableMoved).toBe(true);
    const bytes = new Uint8Array(BLOCK).fill(0xb0);
    const places = [3, 100].map((index) => ({ position: index * BLOCK, bytes }));
    const contents = new Contents(600 * MIB, places);
    const ranges = [0, 300, 592].map((start) => ({ position: start * MIB, length: 8 * MIB }));
    await withVhdiMount(path, folder.file('mount'), (file) => expectFileHolds(file, contents, ranges));
  });
});

describeWithPeers(['sgdisk', 'sfdisk', 'mkfs.ext4'], 'the GPT of a disk with a file system', () => {
  it.each(['fixed', 'dynamic'] as const)('of a %s image is sound after it grew and after it shrank', async (to) => {
    const [raw, path] = [folder.file(`${to}.raw`), folder.file(`${to}-gpt.vhd`)];
    const file = await open(raw, 'w');
    await file.truncate(16 * MIB);
    await file.close();
    await runPeer('sfdisk', ['--quiet', '--no-tell-kernel', raw], { input: 'label: gpt\nsize=12MiB\n' });
    await runPeer('mkfs.ext4', ['-q', '-F', '-E', `offset=${MIB}`, raw, '12288k']);
    await convert(raw, path, { to, from: 'raw' });
    await expectSound(path, raw);
    expect(await resize(path, { size: 1024 * MIB })).toMatchObject({
      gpt: 'moved',
      guestSteps: ['make partition 1 larger: growpart /dev/sdX 1', 'then the ext4 in it: resize2fs /dev/sdX1'],
    });
    await expectSound(path, raw);
    // As small as it can be: the partition, the entries, the header.
    expect((await resize(path, { size: 13 * MIB + 33 * 512, shrink: true })).gpt).toBe('moved');
    await expectSound(path, raw);
    await resize(path, { size: 20 * MIB, output: folder.file(`${to}-new.vhd`) });
    await expectSound(folder.file(`${to}-new.vhd`), raw);
  });
});

async function expectSound(path: string, raw: string): Promise<void> {
  await convert(path, raw, { to: 'raw', force: true });
  expect((await runPeer('sgdisk', ['-v', raw])).stdout).toContain('No problems found');
  const said = await Promise.all([
    runPeer('sfdisk', ['--verify', raw], { anyCode: true }),
    runPeer('sfdisk', ['-l', raw], { anyCode: true }),
  ]);
  const complaints = said
    .flatMap(({ stdout, stderr }) => `${stdout}\n${stderr}`.split('\n'))
    .filter((line) => /warning|problem|corrupt|error|mismatch|not the size|PMBR/i.test(line))
    .filter((line) => !line.startsWith('No errors detected'));
  expect(complaints).toEqual([]);
}

// What is done about a footer that is not at the end: every command that is named is typed here, and nothing may be lost.
import { execFileSync } from 'node:child_process';
import { readdir, readFile, rename, rm, truncate, writeFile } from 'node:fs/promises';
import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { encodeFooter } from '../../../src/format/footer.ts';
import { newFooter } from '../../../src/format/new-footer.ts';
import type { Identification } from '../../../src/ops/identification.ts';
import { identify } from '../../../src/ops/identify.ts';
import { buildImage, IMAGE_UUID } from '../../support/build-image.ts';
import { pattern } from '../../support/bytes.ts';
import { runPeer, testWithPeers } from '../../support/peers.ts';
import { checkParameters, Random } from '../../support/seed.ts';
import { gptDisk, LINUX } from '../../support/tables.ts';
import { useTempFolder } from '../../support/temp.ts';

const folder = useTempFolder('identify-displaced');
const MIB = 1024 ** 2;
const made: string[] = [];

afterEach(async () => {
  for (const path of made.splice(0)) await rm(path, { force: true });
});

/** A file of the folder, removed with what is named like its copies after the test. */
function fresh(name: string): string {
  const path = folder.file(name);
  for (const ending of ['', '.vhd', '.cut.vhd']) made.push(path + ending);
  return path;
}

function fixedImage(disk: Uint8Array): Uint8Array {
  const footer = newFooter({ type: 'fixed', size: disk.length, uniqueId: IMAGE_UUID, timestamp: 724_000_000 });
  return Buffer.concat([disk, encodeFooter(footer)]);
}

/** Types the command: the image opens then, and has the bytes it had; a copy leaves the file as it was. */
async function follow(found: Identification, image: Uint8Array): Promise<'cut' | 'copy'> {
  const { path, remedy } = found;
  if (remedy === null) throw new Error(`no remedy: ${found.detail}`);
  expect(found.detail).toContain(remedy);
  const before = await readFile(path);
  const names = await readdir(folder.path);
  execFileSync('sh', ['-c', remedy]);
  const [added, ...others] = (await readdir(folder.path)).filter((name) => !names.includes(name));
  const isCopy = added !== undefined;
  expect(others).toEqual([]);
  const output = isCopy ? folder.file(added) : path;
  if (isCopy) expect((await readFile(path)).equals(before)).toBe(true);
  expect((await readFile(output)).equals(image)).toBe(true);
  expect(await identify(output)).toMatchObject({ kind: `vhd-${found.type ?? ''}`, footerOffset: image.length - 512 });
  if (isCopy) await rm(output);
  return isCopy ? 'copy' : 'cut';
}

async function written(name: string, ...parts: Uint8Array[]): Promise<Identification> {
  const path = fresh(name);
  await writeFile(path, Buffer.concat(parts));
  const found = await identify(path);
  expect(found.kind).toBe('vhd-displaced-footer');
  return found;
}

const emptyDisk = new Uint8Array(MIB);
const withGpt = (sectorCount: number): Uint8Array =>
  gptDisk({ sectorCount, entries: [{ type: LINUX, first: 34, last: sectorCount - 34 }] });

/** The superblock of an ext2 of 1 KiB blocks, all that tells it. */
function extDisk(byteLength: number, blocks: number): Uint8Array {
  const disk = new Uint8Array(byteLength);
  const view = new DataView(disk.buffer);
  view.setUint32(1024, 64, true);
  view.setUint32(1028, blocks, true);
  view.setUint32(1056, 8192, true);
  view.setUint16(1080, 0xef53, true);
  return disk;
}

describe('what follows a displaced footer', () => {
  const dynamic = buildImage({ size: 6 * MIB, blockSize: 65_536, blocks: [{ index: 3 }] });

  it.each([
    ['zeros', new Uint8Array(5000), 'cut'],
    ['an odd tail', pattern(511), 'cut'],
    ['a sector of data', pattern(512), 'copy'],
    ['one byte among zeros', Uint8Array.from({ length: 5000 }, (_, index) => (index === 4999 ? 1 : 0)), 'copy'],
  ])('%s', async (_what, excess, expected) => {
    for (const image of [fixedImage(emptyDisk), fixedImage(withGpt(2048)), fixedImage(extDisk(MIB, 1024)), dynamic]) {
      expect(await follow(await written("it's grown.vhd", image, excess), image)).toBe(expected);
    }
  });

  it.each(['old.raw', 'old.IMG', 'old.dd'])('is not cut off a file named %s, even if it is zero', async (name) => {
    const image = fixedImage(emptyDisk);
    const found = await written(name, image, new Uint8Array(4096));
    expect(found.problems[0]).toMatch(/^4 KiB follow its footer .* perhaps it is one that once was a VHD; look at it/);
    expect(await follow(found, image)).toBe('copy');
  });

  it('is in use where a file system reaches over it, though it is zero', async () => {
    const image = fixedImage(extDisk(MIB, 1025));
    const found = await written('ext.vhd', image, new Uint8Array(8192));
    expect(found.problems[0]).toContain('ext2, read as a raw disk, reaches up to byte 1049600');
    expect(await follow(found, image)).toBe('copy');
  });

  it('is in use where a GPT or one of its partitions reaches over it, though it is zero', async () => {
    const image = fixedImage(withGpt(4096).subarray(0, MIB));
    const found = await written('gpt.vhd', image, new Uint8Array(MIB - 512));
    expect(found.problems[0]).toContain('the GPT, read as a raw disk, reaches up to byte 2097152');
    expect(await follow(found, image)).toBe('copy');
  });

  it('is not overwritten by a copy: a name that is taken is not named', async () => {
    const image = fixedImage(emptyDisk);
    const path = fresh('FILE.vhd');
    for (const ending of ['.vhd', '.cut.vhd']) await writeFile(path + ending, 'precious');
    const found = await written('FILE.vhd', image, pattern(1000));
    expect(found.remedy).toBe(`head -c ${image.length} ${path} > ${path}.cut2.vhd`);
    expect(await follow(found, image)).toBe('copy');
    expect(await readFile(`${path}.vhd`, 'utf8')).toBe('precious');
  });

  it('is unknown where there is too much of it to read', async () => {
    const image = fixedImage(withGpt(2048));
    const path = fresh('large.vhd');
    await writeFile(path, image);
    await truncate(path, image.length + 65 * MIB);
    expect((await identify(path)).remedy).toMatch(/^head -c /);
    await truncate(path, image.length + 64 * MIB);
    expect(await follow(await identify(path), image)).toBe('cut');
  });

  it('is never cut where it is a sector or more that is not all zero', async () => {
    const image = fixedImage(emptyDisk);
    await fc.assert(
      fc.asyncProperty(fc.integer(), fc.integer({ min: 1, max: 9000 }), async (seed, length) => {
        const random = new Random(seed);
        const excess = new Uint8Array(length);
        if (!random.oneIn(3)) excess[random.below(length)] = 1 + random.below(255);
        const isNothing = length < 512 || excess.every((byte) => byte === 0);
        const found = await written(random.pick(['a.vhd', 'b', "c d'.vpc"]), image, excess);
        expect(await follow(found, image)).toBe(isNothing ? 'cut' : 'copy');
        for (const path of made.splice(0)) await rm(path, { force: true });
      }),
      checkParameters(20),
    );
  });
});

describe('a raw disk that once was a VHD', () => {
  testWithPeers(['mkfs.ext4'], 'and has a larger file system now is not cut', async () => {
    const path = fresh('e2.vhd');
    await writeFile(path, new Uint8Array(20 * MIB));
    await runPeer('mkfs.ext4', ['-q', '-F', path]);
    const image = fixedImage(await readFile(path));
    await writeFile(path, image);
    await truncate(path, 21 * MIB);
    await runPeer('resize2fs', ['-f', path]);
    // The footer is a block that the file system has not written to yet.
    const grown = Uint8Array.from(await readFile(path));
    const found = await identify(path);
    expect(found.problems[0]).toContain(`ext4, read as a raw disk, reaches up to byte ${21 * MIB}`);
    expect(await follow(found, grown.subarray(0, image.length))).toBe('copy');
    const raw = fresh('e2.raw');
    await rename(path, raw);
    expect((await identify(raw)).remedy).toMatch(/^head -c /);
  });

  testWithPeers(['mkfs.ext4', 'mkfs.xfs', 'mkfs.ntfs', 'mkfs.fat', 'mkfs.exfat'], 'of any kind', async () => {
    for (const [kind, size, ...args] of [
      ['ext4', 20, '-q', '-F'],
      ['xfs', 320, '-q', '-f'],
      ['ntfs', 20, '-q', '-F', '-f'],
      ['fat', 20],
      ['exfat', 20],
    ] as const) {
      const path = fresh(`${kind}.vhd`);
      await writeFile(path, '');
      await truncate(path, size * MIB);
      await runPeer(`mkfs.${kind}`, [...args, path]);
      const footer = encodeFooter(
        newFooter({ type: 'fixed', size: size * MIB, uniqueId: IMAGE_UUID, timestamp: 724_000_000 }),
      );
      await writeFile(path, footer, { flag: 'a' });
      await truncate(path, (size + 1) * MIB);
      expect((await identify(path)).remedy).toBe(`truncate -s ${size * MIB + 512} ${path}`);
    }
  });

  it('with data behind the end of its GPT keeps them', async () => {
    const image = fixedImage(withGpt(2048));
    const found = await written('appended.vhd', image, pattern(5 * MIB));
    expect(found.problems[0]).toContain('they are not all zero');
    expect(await follow(found, image)).toBe('copy');
  });
});

import { readFileSync, statSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { openVhd } from '../../../src/open.ts';
import { createImage } from '../../../src/ops/create.ts';
import { readInfo } from '../../../src/ops/info.ts';
import { MemoryStorage } from '../../../src/storage/memory.ts';
import { buildImage } from '../../support/build-image.ts';
import { firstDifference, pattern } from '../../support/bytes.ts';
import { IDENTITY, imageWith } from '../../support/streams-disks.ts';
import { WorkFolder } from '../../support/streams-files.ts';
import { outcomeOf } from '../../support/streams-sources.ts';

const MiB = 1024 * 1024;
const folder = new WorkFolder();

describe('createImage', () => {
  it.each([
    ['fixed', 3 * MiB + 512],
    ['dynamic', 3 * MiB + 512],
    ['dynamic', 2040 * 1024 * MiB],
    ['fixed', 2041 * 1024 * MiB],
  ] as const)('makes an empty %s image of %i bytes', async (type, size) => {
    const path = folder.fresh('made.vhd');
    const result = await createImage(path, { size, type });
    const { seconds, ...rest } = result;
    expect(rest).toEqual({
      ...{ path, type, virtualSize: size, copiedBytes: 0, skippedBytes: size, warnings: [] },
      fileSize: statSync(path).size,
    });
    expect(seconds).toBeGreaterThan(0);
    expect(statSync(path).blocks * 512).toBeLessThan(5 * MiB);
    const disk = await openVhd(path);
    expect(disk).toMatchObject({ size, type });
    expect(await disk.readBytes(size - 512, 512)).toEqual(new Uint8Array(512));
    await disk.close();
  });

  it('makes the same file twice for the same identity', async () => {
    const paths = [folder.fresh('one.vhd'), folder.fresh('two.vhd')] as const;
    for (const path of paths) await createImage(path, { size: MiB, ...IDENTITY });
    expect(firstDifference(readFileSync(paths[0]), readFileSync(paths[1]))).toBe(-1);
  });

  it('replaces a file only by force', async () => {
    const path = folder.file('old.vhd', pattern(10));
    expect(await outcomeOf(createImage(path, { size: MiB }))).toBe('ERR_VHD_EXISTS');
    expect(statSync(path).size).toBe(10);
    await createImage(path, { size: MiB, force: true });
    expect((await readInfo(path)).virtualSize).toBe(MiB);
  });

  it.each<[string, object, string]>([
    ['a size of no whole sectors', { size: 100 }, 'RangeError'],
    ['no size', {}, 'TypeError'],
    ['too large a size', { size: 2041 * 1024 * MiB }, 'ERR_VHD_LIMIT'],
    ['blocks of 1 MiB', { size: MiB, blockSize: MiB }, 'RangeError'],
    ['a creator of five letters', { size: MiB, creator: 'fives' }, 'RangeError'],
    ['an unknown option', { size: MiB, sizes: 1 }, 'TypeError'],
  ])('refuses %s and leaves nothing', async (_what, options, code) => {
    expect(await outcomeOf(createImage(folder.fresh('refused.vhd'), options as never))).toBe(code);
    expect(folder.namesWith('refused.vhd')).toEqual([]);
    expect(folder.openPaths()).toEqual([]);
  });
});

describe('readInfo', () => {
  it('tells everything of a dynamic image', async () => {
    const patches = [{ position: 3 * MiB, bytes: pattern(10) }];
    const image = await imageWith('dynamic', 10 * MiB, patches);
    const path = folder.file('info.vhd', image);
    expect(await readInfo(path)).toMatchObject({
      ...{ path, type: 'dynamic', virtualSize: 10 * MiB, fileSize: image.length },
      ...{ fileAllocatedBytes: statSync(path).blocks * 512, allocatedBytes: 2 * MiB, allocatedBlocks: 1 },
      ...{ blockSize: 2 * MiB, creator: 'win ', creatorVersion: '10.0', creatorHostOs: 'Wi2k' },
      ...{ uuid: IDENTITY.uuid, created: '2024-02-29T12:34:56Z', savedState: false, parent: null },
      ...{ uuidMixedEndian: '33221100-5544-7766-8899-aabbccddeeff', readable: true, refusal: null },
    });
    expect((await readInfo(path)).dataAlignment).toBeGreaterThanOrEqual(4096);
    expect(folder.openPaths()).toEqual([]);
  });

  it('tells what it can of images that cannot be opened', async () => {
    const broken = buildImage({ size: MiB, header: { blockSize: 1000 } });
    expect(await readInfo(new MemoryStorage(broken))).toMatchObject({
      ...{
        type: 'dynamic',
        virtualSize: MiB,
        readable: false,
        refusal: expect.stringContaining('block size') as string,
      },
      ...{ allocatedBlocks: null, fileAllocatedBytes: null },
    });
    const child = buildImage({ size: MiB, footer: { diskType: 4 } });
    expect(await readInfo(new MemoryStorage(child))).toMatchObject({ type: 'differencing', readable: false });
    for (const bytes of [new Uint8Array(0), pattern(100), pattern(5000)]) {
      expect(await readInfo(new MemoryStorage(bytes))).toMatchObject({
        ...{ type: null, virtualSize: null, uuid: null, readable: false, fileSize: bytes.length },
        refusal: expect.stringContaining('footer') as string,
      });
    }
  });

  it('names the programs that see another size', async () => {
    const geometry = { cylinders: 10, heads: 4, sectorsPerTrack: 17 };
    const image = buildImage({ size: MiB, footer: { creatorApplication: 'vbox', geometry } });
    const { chsSize, otherSizes } = await readInfo(new MemoryStorage(image));
    expect(chsSize).toBe(10 * 4 * 17 * 512);
    expect(otherSizes).toEqual([
      { program: 'qemu before 10', size: chsSize },
      { program: 'Virtual PC', size: chsSize },
    ]);
  });

  it('leaves a storage open, and passes what the system says', async () => {
    const storage = new MemoryStorage(await imageWith('fixed', MiB, []));
    await readInfo(storage);
    expect(await storage.size()).toBe(MiB + 512);
    expect(await outcomeOf(readInfo(folder.fresh('missing')))).toBe('ENOENT');
    // In memory a directory is so small that nothing of it would be read.
    expect(await outcomeOf(readInfo(folder.path))).toBe('EISDIR');
    expect(await outcomeOf(readInfo(storage, { from: 'vhd' } as never))).toBe('TypeError');
    expect(folder.openPaths()).toEqual([]);
  });
});

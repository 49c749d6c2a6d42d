import { describe, expect, it } from 'vitest';
import type { BitmapPolicy } from '../../../src/disk/bitmap-rule.ts';
import { openVhdStorage } from '../../../src/disk/open-storage.ts';
import { MemoryStorage } from '../../../src/storage/memory.ts';
import { buildImage, contentOf, type ImageShape } from '../../support/build-image.ts';
import { pattern } from '../../support/bytes.ts';
import { collect } from '../../support/collect.ts';

const DATA = pattern(4096, 5);
// Block 2: bytes everywhere, the bits of sectors 1, 4 and 5 set.
const DIRTY: ImageShape = { size: 16_384, blockSize: 4096, blocks: [{ index: 2, data: DATA, sectors: [1, 4, 5] }] };
const BLOCK = 8192;

function open(shape: ImageShape, bitmap?: BitmapPolicy) {
  return openVhdStorage(new MemoryStorage(buildImage(shape)), { bitmap });
}

describe('bytes under clear bits', () => {
  it('are an error that names block and sector', async () => {
    const disk = await open(DIRTY);
    await expect(disk.readBytes(BLOCK + 1000, 500)).rejects.toMatchObject({
      code: 'ERR_VHD_BITMAP',
      rule: 'bitmap.data-under-clear-bit',
      found: 'other bytes in block 2, sector 2 of the block',
      offset: 2048 + 512 + 1024,
    });
  });

  it('are no error where they are zero', async () => {
    const data = new Uint8Array(4096).fill(9, 512, 1024);
    const shape = { ...DIRTY, blocks: [{ index: 2, data, sectors: [1] }] };
    expect(await (await open(shape)).readBytes(BLOCK, 4096)).toEqual(data);
  });

  it('do not matter to a read that touches only sectors whose bits are set', async () => {
    const disk = await open(DIRTY);
    expect(await disk.readBytes(BLOCK + 512, 512)).toEqual(DATA.subarray(512, 1024));
    expect(await disk.readBytes(BLOCK + 2048, 1024)).toEqual(DATA.subarray(2048, 3072));
    expect(await disk.readBytes(0, BLOCK)).toEqual(new Uint8Array(BLOCK));
  });

  it('are zeros for who honours the bitmap', async () => {
    const disk = await open(DIRTY, 'honour');
    expect(await disk.readBytes(0, 16_384)).toEqual(contentOf(DIRTY));
    expect(await disk.readBytes(BLOCK + 510, 5)).toEqual(Uint8Array.of(0, 0, ...DATA.subarray(512, 515)));
  });

  it('are the bytes for who ignores the bitmap', async () => {
    const disk = await open(DIRTY, 'ignore');
    expect(await disk.readBytes(BLOCK, 4096)).toEqual(DATA);
  });

  it('are zeros where blktap made the image, which leaves old volume contents there', async () => {
    const shape = { ...DIRTY, footer: { creatorApplication: 'tap\0' } };
    expect(await (await open(shape)).readBytes(BLOCK, 4096)).toEqual(contentOf(DIRTY).subarray(BLOCK, BLOCK + 4096));
    await expect((await open(shape, 'strict')).readBytes(BLOCK, 512)).rejects.toMatchObject({ code: 'ERR_VHD_BITMAP' });
  });
});

describe('extents of a block whose bitmap is not all ones', () => {
  const whole = { start: BLOCK, length: 4096 };
  const runs = (starts: readonly (readonly [number, number, 'data' | 'zero'])[]) =>
    starts.map(([start, length, kind]) => ({ start: BLOCK + start, length, kind, depth: 0 }));

  it('follow the bits', async () => {
    const data = new Uint8Array(4096).fill(1, 512, 1024);
    const disk = await open({ ...DIRTY, blocks: [{ index: 2, data, sectors: [1, 4, 5] }] });
    const expected = runs([
      [0, 512, 'zero'],
      [512, 512, 'data'],
      [1024, 1024, 'zero'],
      [2048, 1024, 'data'],
      [3072, 1024, 'zero'],
    ]);
    expect(await collect(disk.extents(whole))).toEqual(expected);
    expect(await collect((await open(DIRTY, 'honour')).extents(whole))).toEqual(expected);
  });

  it('are an error where the bytes contradict the bits', async () => {
    const disk = await open(DIRTY);
    await expect(collect(disk.extents(whole))).rejects.toMatchObject({ code: 'ERR_VHD_BITMAP' });
    expect(await collect(disk.extents({ length: BLOCK }))).toHaveLength(1);
  });

  it('are data where the bitmap is ignored', async () => {
    expect(await collect((await open(DIRTY, 'ignore')).extents(whole))).toEqual(runs([[0, 4096, 'data']]));
  });
});

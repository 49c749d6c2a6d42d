// Images whose repair is not certain: they stay as they are, and the reason says why.
import { describe, expect, it } from 'vitest';
import { openVhdStorage } from '../../../src/disk/open-storage.ts';
import { planRepair, type RepairPlan } from '../../../src/ops/repair-plan.ts';
import { MemoryStorage } from '../../../src/storage/memory.ts';
import { buildImage, contentOf, type ImageShape } from '../../support/build-image.ts';
import { pattern } from '../../support/bytes.ts';
import { baseOf } from '../../support/defects-bases.ts';
import { type Change, entryOf, u8, u32, u64, withEntry, withFooters, withHeader } from '../../support/defects-edits.ts';

const NOTHING = {
  cut: false,
  dropBlocks: false,
  zeroFill: false,
  setBits: false,
  rebuildBat: false,
  footer: undefined as 'start' | 'end' | undefined,
};
const BLOCK = 8192;
const COUNT = 10;
const SHAPE: ImageShape = {
  ...{ size: COUNT * BLOCK, blockSize: BLOCK },
  blocks: Array.from({ length: COUNT }, (_, index) => ({ index, data: pattern(BLOCK, index + 1) })),
};
const IMAGE = buildImage(SHAPE);

function plan(image: Uint8Array, permits: Partial<typeof NOTHING> = {}): Promise<RepairPlan> {
  const storage = new MemoryStorage(Uint8Array.from(image));
  return planRepair(storage, { permits: { ...NOTHING, ...permits }, nowMilliseconds: 1.6e12 });
}

async function expectUnchanged({ draft }: RepairPlan): Promise<void> {
  const { writes, fileSizeAfter } = await draft.changes();
  expect({ writes, fileSizeAfter }).toEqual({ writes: [], fileSizeAfter: await draft.size() });
}

describe('a header that is gone', () => {
  const SMALL = 4096;
  it.each([0, 1, 5])('is found again where the only block, %d, is smaller than a gap may be', async (index) => {
    const shape: ImageShape = {
      ...{ size: 32 * SMALL, blockSize: SMALL },
      blocks: [{ index, data: pattern(SMALL, 3) }],
    };
    const image = buildImage(shape);
    image.fill(0, 512, 1536);
    const { draft } = await plan(image, { rebuildBat: true });
    const disk = await openVhdStorage(draft);
    expect(Buffer.compare(await disk.readBytes(0, disk.size), contentOf(shape))).toBe(0);
  });
});

describe('half the block size, with the checksum right', () => {
  const image = withHeader(IMAGE, u32(32, BLOCK / 2));

  it('is not taken for a table that is too short', async () => {
    const refused = await plan(image);
    await expectUnchanged(refused);
    expect(refused.reasons.get('bat.short')?.why).toMatch(/rebuild-bat/);
    expect(refused.reasons.get('bat.short')?.option).toBe('rebuildBat');
  });

  it('is put right by the blocks where that is asked for', async () => {
    const disk = await openVhdStorage((await plan(image, { rebuildBat: true })).draft);
    expect(Buffer.compare(await disk.readBytes(0, disk.size), contentOf(SHAPE))).toBe(0);
  });
});

describe('blocks that the table has behind the end of the disk', () => {
  it('are not cut off as space that nothing refers to', async () => {
    const image = withFooters(IMAGE, u64(48, 5 * BLOCK));
    const refused = await plan(image, { cut: true });
    await expectUnchanged(refused);
    expect(refused.reasons.get('file.leaked')?.why).toMatch(/entries behind the end/);
    expect(refused.needed).toMatchObject([{ rule: 'bat.long', option: 'dropBlocks' }]);
  });
});

describe('blocks that the table has lost', () => {
  const image = [7, 8, 9].reduce((bytes, index) => withEntry(bytes, index, 0xffff_ffff), IMAGE);

  it('are not cut off unless dropping blocks is permitted too', async () => {
    const refused = await plan(image, { cut: true });
    await expectUnchanged(refused);
    expect(refused.needed).toMatchObject([{ rule: 'file.leaked', option: 'dropBlocks' }]);
    expect(refused.needed[0]?.message).toMatch(/3 stretches look like blocks/);
    expect((await plan(image, { cut: true, dropBlocks: true })).mended).toHaveLength(1);
  });
});

describe('a damaged footer at the end', () => {
  function withEnd(...changes: Change[]): Uint8Array {
    const image = Uint8Array.from(IMAGE);
    const end = image.subarray(-512);
    for (const change of changes) change(end, new DataView(end.buffer, end.byteOffset, 512));
    return image;
  }

  it('in which one byte of the identifier is wrong is replaced by the one at offset 0', async () => {
    const { draft, mended } = await plan(withEnd(u8(68, 0x99)));
    expect(mended).toMatchObject([{ rule: 'footer.end-missing' }]);
    const repaired = new Uint8Array(IMAGE.length);
    await draft.read(repaired, 0);
    expect(Buffer.compare(repaired, IMAGE)).toBe(0);
  });

  it('of another disk is not replaced by the one at offset 0, unless that is said to be right', async () => {
    const image = withEnd(u8(68, 0x99), u32(60, 4));
    const refused = await plan(image);
    await expectUnchanged(refused);
    expect((await plan(image, { footer: 'start' } as never)).mended.length).toBeGreaterThan(0);
  });
});

describe('a file that was cut within a block', () => {
  it('is said to be that, and not to be another disk', async () => {
    const { reasons } = await plan(IMAGE.subarray(0, IMAGE.length - 512 - BLOCK / 2));
    expect(reasons.get('footer.end-missing')?.why).toMatch(/blocks reach past the end of the file/);
  });
});

describe('a table offset that leads over the name of the parent', () => {
  it('sets no blocks aside, which would write over the name', async () => {
    const { image } = baseOf('differencing');
    const locator = Number(new DataView(image.buffer, image.byteOffset).getBigUint64(512 + 576 + 16));
    const refused = await plan(withHeader(image, u64(16, locator)), { dropBlocks: true });
    await expectUnchanged(refused);
    expect(refused.reasons.get('bat.out-of-file')?.why ?? refused.reasons.get('bat.in-metadata')?.why).toMatch(
      /name of the parent/,
    );
  });
});

describe('many blocks that are set aside', () => {
  it('are told as stretches, neighbours joined', async () => {
    const image = [0, 1, 2, 5].reduce((bytes, index) => withEntry(bytes, index, 1_000_000), IMAGE);
    const { needed } = await plan(image);
    expect(needed[0]?.ranges).toEqual([
      { start: 0, length: 3 * BLOCK, fileOffset: null },
      { start: 5 * BLOCK, length: BLOCK, fileOffset: null },
    ]);
  });
});

describe('a block on another alignment than the others', () => {
  it('has no bits set, for want of a bitmap that can be believed', async () => {
    const shape: ImageShape = { ...SHAPE, alignment: 'aligned' };
    const sound = buildImage(shape);
    const moved = withEntry(sound, 4, entryOf(sound, 4) - 1);
    const storage = new MemoryStorage(moved);
    const permits = { ...NOTHING, setBits: true };
    const { draft, reasons } = await planRepair(storage, { permits, nowMilliseconds: 1.6e12 });
    expect((await draft.changes()).writes).toEqual([]);
    expect(Array.from(reasons.values(), ({ why }) => why).join()).toMatch(/another alignment/);
  });
});

describe('other bytes where the footer belongs', () => {
  // As when a fixed disk that holds this image lost its own footer.
  const image = Uint8Array.from(IMAGE);
  image.set(pattern(512, 99), image.length - 512);

  it('are not written over', async () => {
    const refused = await plan(image);
    await expectUnchanged(refused);
    expect(refused.reasons.get('footer.end-missing')?.why).toMatch(/--footer start/);
  });

  it('are where that is asked for', async () => {
    const { draft } = await plan(image, { footer: 'start' });
    expect(await draft.size()).toBe(IMAGE.length);
    const whole = new Uint8Array(IMAGE.length);
    await draft.read(whole, 0);
    expect(Buffer.compare(whole, IMAGE)).toBe(0);
  });
});

describe('a header that is gone, before what is no table', () => {
  it('is not looked for in all of the file with every block size', async () => {
    let readBytes = 0;
    class CountedStorage extends MemoryStorage {
      override async read(target: Uint8Array, position: number): Promise<void> {
        readBytes += target.length;
        await super.read(target, position);
      }
    }
    const zeroed = withFooters(IMAGE, u64(48, 2 ** 42)).fill(0, 512, 1536);
    const storage = new CountedStorage(zeroed.subarray(0, zeroed.length - 512));
    // A sparse disk behind it: the tables that 4 TiB want have room.
    await storage.truncate(256 * 1024 * 1024);
    await storage.write(zeroed.subarray(-512), 256 * 1024 * 1024);
    const permits = { ...NOTHING, rebuildBat: true };
    const refused = await planRepair(storage, { permits, nowMilliseconds: 1.6e12 });
    expect(refused.reasons.get('header.cookie')?.why).toMatch(/no block size/);
    expect(readBytes).toBeLessThan(16 * 1024 * 1024);
  });
});

import { describe, expect, it } from 'vitest';
import { openVhdStorage } from '../../../src/disk/open-storage.ts';
import { encodeFooter } from '../../../src/format/footer.ts';
import { MemoryStorage } from '../../../src/storage/memory.ts';
import { buildImage, footerOf, type ImageShape } from '../../support/build-image.ts';
import { firstDifference, pattern } from '../../support/bytes.ts';
import { collect } from '../../support/collect.ts';
import { ProbeStorage } from '../../support/probe-storage.ts';

const BASE: ImageShape = {
  size: 10 * 4096,
  blockSize: 4096,
  blocks: [
    { index: 3, data: pattern(4096, 1) },
    { index: 7, data: 0, sectors: [2] },
  ],
};
const SHAPES: Record<string, ImageShape> = {
  'a packed image': BASE,
  'an aligned image': { ...BASE, alignment: 'aligned' },
  'an image with slack': { ...BASE, slackBytes: 3584 },
  'an image with a longer table': { ...BASE, maxTableEntries: 500 },
  'an image without blocks': { ...BASE, blocks: [] },
};

async function changesOf(image: Uint8Array, writable: boolean): Promise<{ changes: string[]; bytes: Uint8Array }> {
  const memory = new MemoryStorage(image);
  const probe = new ProbeStorage(memory);
  const disk = await openVhdStorage(probe, { writable });
  await disk.readBytes(0, disk.size);
  await collect(disk.extents());
  await disk.flush();
  await disk.close();
  return { changes: probe.changes(), bytes: memory.toBytes() };
}

describe('opening', () => {
  it.each(Object.entries(SHAPES))('and closing %s changes nothing, for writing either', async (_name, shape) => {
    const image = buildImage(shape);
    for (const writable of [false, true]) {
      const { changes, bytes } = await changesOf(image, writable);
      expect(changes).toEqual([]);
      expect(firstDifference(bytes, image)).toBe(-1);
    }
  });

  it('for reading changes nothing where footers are missing', async () => {
    for (const shape of [{ endFooter: 'none' }, { startFooter: 'none' }, { isLegacyEnd: true }] as const) {
      expect((await changesOf(buildImage({ ...BASE, ...shape }), false)).changes).toEqual([]);
    }
  });

  it('closes the storage when it fails', async () => {
    const probe = new ProbeStorage(new MemoryStorage(pattern(4096)));
    await expect(openVhdStorage(probe)).rejects.toMatchObject({ code: 'ERR_VHD_NOT_VHD' });
    expect(probe.count('close')).toBe(1);
  });

  it('refuses unknown options', async () => {
    const call = openVhdStorage(new MemoryStorage(buildImage(BASE)), Object.assign({ writable: true }, { fast: true }));
    await expect(call).rejects.toThrow(TypeError);
  });

  it('for writing refuses a storage that cannot be written to', async () => {
    const storage = new MemoryStorage(buildImage(BASE), { writable: false });
    await expect(openVhdStorage(storage, { writable: true })).rejects.toMatchObject({ code: 'ERR_VHD_READ_ONLY' });
  });
});

describe('opening for writing restores', () => {
  const footer = encodeFooter(footerOf(BASE));

  it('the footer at the end, durably', async () => {
    const { changes, bytes } = await changesOf(buildImage({ ...BASE, endFooter: 'none' }), true);
    expect(changes).toEqual([`write ${bytes.length - 512}+512`, 'flush']);
    expect(firstDifference(bytes, buildImage(BASE))).toBe(-1);
  });

  it('the footer at the start, after the one at the end is durable', async () => {
    const { changes, bytes } = await changesOf(buildImage({ ...BASE, startFooter: 'none' }), true);
    expect(changes.slice(-2)).toEqual(['write 0+512', 'flush']);
    expect(firstDifference(bytes, buildImage(BASE))).toBe(-1);
  });

  it('a broken footer at the end, behind everything that is there', async () => {
    const broken = buildImage({ ...BASE, endFooter: pattern(512, 9) });
    const { bytes } = await changesOf(broken, true);
    expect(bytes.subarray(-512)).toEqual(footer);
    expect(firstDifference(bytes.subarray(0, broken.length), broken)).toBe(-1);
  });

  it('512 bytes where 511 were', async () => {
    const { bytes } = await changesOf(buildImage({ ...BASE, isLegacyEnd: true }), true);
    expect(firstDifference(bytes, buildImage(BASE))).toBe(-1);
  });

  it('a copy that differs, so that both ends tell the same size after a crash', async () => {
    const image = buildImage({ ...BASE, startFooter: { currentSize: 4096, originalSize: 4096 } });
    const memory = new MemoryStorage(image);
    const disk = await openVhdStorage(memory, { writable: true });
    await disk.write(pattern(4096, 2), 9 * 4096);
    await disk.close();
    expect(firstDifference(memory.toBytes().subarray(0, 512), footer)).toBe(-1);
  });
});

describe('opening for writing is refused, opening for reading is not,', () => {
  const hidden = new Uint8Array(427).fill(1, 0, 1);
  it.each<[string, Partial<ImageShape>]>([
    ['if another program has the image open', { endFooter: new Uint8Array(512).fill(0xc7) }],
    ['if the footer at its end is disabled', { endFooter: disabled() }],
    ['if it is hidden', { footer: { reserved: hidden } }],
    ['if a virtual machine is saved with it', { footer: { savedState: 1 } }],
  ])('%s', async (_name, shape) => {
    const image = buildImage({ ...BASE, ...shape });
    const memory = new MemoryStorage(image);
    await expect(openVhdStorage(memory, { writable: true })).rejects.toMatchObject({ code: 'ERR_VHD_IN_USE' });
    expect(firstDifference(memory.toBytes(), image)).toBe(-1);
    const disk = await openVhdStorage(new MemoryStorage(image));
    expect(await disk.readBytes(3 * 4096, 4096)).toEqual(pattern(4096, 1));
  });

  it('if another program has it open, whichever footer is asked for', async () => {
    const image = buildImage({ ...BASE, endFooter: new Uint8Array(512).fill(0xc7) });
    const call = openVhdStorage(new MemoryStorage(image), { writable: true, footer: 'start' });
    await expect(call).rejects.toMatchObject({ code: 'ERR_VHD_IN_USE' });
  });

  it('if the copy at its start is disabled', async () => {
    const image = buildImage({ ...BASE, startFooter: disabled() });
    const call = openVhdStorage(new MemoryStorage(image), { writable: true });
    await expect(call).rejects.toMatchObject({ code: 'ERR_VHD_IN_USE' });
  });

  it('and both are if both footers are disabled', async () => {
    const image = buildImage({ ...BASE, startFooter: disabled(), endFooter: disabled() });
    const call = openVhdStorage(new MemoryStorage(image));
    await expect(call).rejects.toMatchObject({ code: 'ERR_VHD_IN_USE' });
  });
});

function disabled(): Uint8Array {
  const bytes = encodeFooter(footerOf(BASE));
  bytes.set(new TextEncoder().encode('v_poison'));
  return bytes;
}

describe('what an image keeps in front of its blocks', () => {
  async function bytesAfterUse(shape: ImageShape): Promise<Uint8Array> {
    const memory = new MemoryStorage(buildImage(shape));
    const disk = await openVhdStorage(memory, { writable: true });
    await disk.write(pattern(4096, 3), 0);
    await disk.flush();
    await disk.discard(0, disk.size);
    await disk.close();
    return memory.toBytes();
  }

  it('is left alone: the rest of a table longer than needed, which other programs read', async () => {
    const shape = { ...BASE, blocks: [], maxTableEntries: 4000 };
    const image = buildImage(shape);
    const bytes = await bytesAfterUse(shape);
    expect(firstDifference(bytes.subarray(1536, 17_536), image.subarray(1536, 17_536))).toBe(-1);
  });

  it('is left alone: the batmap of blktap', async () => {
    const batmap = new Uint8Array(1024);
    batmap.set(new TextEncoder().encode('tdbatmap'));
    const view = new DataView(batmap.buffer);
    view.setBigUint64(8, 2560n);
    view.setUint32(16, 1);
    view.setUint32(20, 0x0001_0002);
    view.setUint32(24, 0xffff_ffff);
    const shape = {
      ...BASE,
      blocks: [],
      blocksFrom: 3072,
      footer: { creatorApplication: 'tap\0', creatorVersion: 0x0001_0003 },
      patches: [{ offset: 2048, bytes: batmap }],
    };
    const bytes = await bytesAfterUse(shape);
    expect(firstDifference(bytes.subarray(2048, 3072), batmap)).toBe(-1);
  });

  it('is left alone: the name of a parent', async () => {
    const locator = { platformCode: 'W2ku', dataSpace: 1024, dataByteLength: 20, dataOffset: 2048 };
    const unused = { platformCode: '\0\0\0\0', dataSpace: 0, dataByteLength: 0, dataOffset: 0 };
    const name = pattern(1024, 8);
    const shape = {
      ...BASE,
      blocks: [],
      blocksFrom: 3072,
      header: { parentLocators: [locator, ...Array.from({ length: 7 }, () => unused)] },
      patches: [{ offset: 2048, bytes: name }],
    };
    const bytes = await bytesAfterUse(shape);
    expect(firstDifference(bytes.subarray(2048, 3072), name)).toBe(-1);
  });
});

import { describe, expect, it } from 'vitest';
import { openVhdStorage } from '../../../src/disk/open-storage.ts';
import { MemoryStorage } from '../../../src/storage/memory.ts';
import { buildImage, type ImageShape } from '../../support/build-image.ts';
import { firstDifference, pattern } from '../../support/bytes.ts';

const BASE: ImageShape = { size: 5 * 4096, blockSize: 4096, blocks: [{ index: 1, data: pattern(4096) }] };

function open(shape: Partial<ImageShape>, writable = false) {
  return openVhdStorage(new MemoryStorage(buildImage({ ...BASE, ...shape })), { writable });
}

describe('an image is refused', () => {
  const cases: readonly (readonly [string, Partial<ImageShape>, object])[] = [
    ['with a parent', { footer: { diskType: 4 } }, { code: 'ERR_VHD_PARENT_MISSING' }],
    ['of an unknown type', { footer: { diskType: 9 } }, { code: 'ERR_VHD_UNSUPPORTED', rule: 'footer.type' }],
    ['of version 2', { footer: { formatVersion: 0x20000 } }, { code: 'ERR_VHD_UNSUPPORTED', rule: 'footer.version' }],
    ['whose header has version 2', { header: { headerVersion: 0x20000 } }, { code: 'ERR_VHD_UNSUPPORTED' }],
    ['whose blocks are no power of two', { header: { blockSize: 3 * 2 ** 20 } }, { rule: 'header.block-size' }],
    ['whose blocks have no bytes', { header: { blockSize: 0 } }, { rule: 'header.block-size' }],
    ['whose table is too short', { header: { maxTableEntries: 4 } }, { code: 'ERR_VHD_CORRUPT', rule: 'bat.short' }],
    ['whose table lies behind the file', { header: { tableOffset: 2 ** 40 } }, { rule: 'header.table-offset' }],
    [
      'whose header lies behind the file',
      { startFooter: { dataOffset: 2 ** 40 }, endFooter: { dataOffset: 2 ** 40 } },
      { rule: 'footer.data-offset' },
    ],
    ['without a header', { patches: [{ offset: 512, bytes: new Uint8Array(1024) }] }, { rule: 'header.cookie' }],
    ['with a broken header', { patches: [{ offset: 1400, bytes: Uint8Array.of(1) }] }, { rule: 'header.checksum' }],
    ['that says fixed but has a header', { footer: { diskType: 2 } }, { rule: 'footer.type' }],
  ];

  it.each(cases)('%s', async (_name, shape, expected) => {
    await expect(open(shape)).rejects.toMatchObject(expected);
    await expect(open(shape, true)).rejects.toMatchObject(expected);
  });

  it('that says fixed but has a header, even if the header is not perfect', async () => {
    const blocks = [0, 1, 2, 3, 4].map((index) => ({ index }));
    const shape = { footer: { diskType: 2 }, header: { dataOffset: 0 }, blocks };
    await expect(open(shape)).rejects.toMatchObject({ rule: 'footer.type' });
  });

  it('whose size no number holds', async () => {
    const image = buildImage(BASE);
    for (const offset of [48, image.length - 512 + 48]) {
      image[offset] = 0x7f;
      const view = new DataView(image.buffer, offset - 48);
      view.setUint32(64, view.getUint32(64) - 0x7f);
    }
    const call = openVhdStorage(new MemoryStorage(image));
    await expect(call).rejects.toMatchObject({ code: 'ERR_VHD_LIMIT', rule: 'footer.size' });
  });
});

describe('the table', () => {
  it('of 32 MiB is taken, a larger one is not', async () => {
    const entries = (32 * 2 ** 20) / 4;
    const shape = { blockSize: 512, blocks: [] };
    const largest = await open({ ...shape, size: entries * 512 });
    expect(await largest.readBytes(largest.size - 10, 10)).toEqual(new Uint8Array(10));
    await largest.close();
    const call = open({ ...shape, size: entries * 512 + 512 });
    await expect(call).rejects.toMatchObject({ code: 'ERR_VHD_LIMIT', rule: 'bat.limit' });
  });

  it('is taken at its needed length, whatever the header claims', async () => {
    const disk = await open({ header: { maxTableEntries: 0xffff_ffff } });
    expect(disk.findings.map((item) => item.rule)).toContain('bat.long');
    expect(await disk.readBytes(4096, 4096)).toEqual(pattern(4096));
  });

  it.each([512, 600, 100, 0, 1500])(
    'at offset %d would lie over footer or header: not written to',
    async (tableOffset) => {
      const image = buildImage({ ...BASE, size: 4096, blocks: [], footer: blankEnd(), header: { tableOffset } });
      const memory = new MemoryStorage(image);
      const disk = await openVhdStorage(memory, { writable: true }).catch(() => undefined);
      await disk?.write(pattern(10), 0).catch(() => undefined);
      await disk?.close().catch(() => undefined);
      expect(firstDifference(memory.toBytes().subarray(0, 1536), image.subarray(0, 1536))).toBe(-1);
    },
  );
});

/** Reserved bytes of a footer that read as an unused table entry wherever one looks. */
function blankEnd(): { reserved: Uint8Array } {
  return { reserved: new Uint8Array(427).fill(0xff, 8) };
}

describe('a block that lies where none may', () => {
  const two = (entry: number): Partial<ImageShape> => ({
    blocksFrom: 8192,
    blocks: [
      { index: 1, data: pattern(4096, 1) },
      { index: 2, data: pattern(4096, 2), entry },
    ],
  });

  it.each<[string, Partial<ImageShape>, string]>([
    ['past the end', two(1000), 'bat.out-of-file'],
    ['past what a file can be', two(0xffff_fffe), 'bat.out-of-file'],
    ['over the footer at the end', two(34), 'bat.out-of-file'],
    ['over the footer at the start', two(0), 'bat.in-metadata'],
    ['over the header', two(1), 'bat.in-metadata'],
    ['over the table', two(3), 'bat.in-metadata'],
  ])(
    '%s does not keep the others from being read, and keeps the image from being written',
    async (_name, shape, rule) => {
      const disk = await open(shape);
      expect(disk.findings).toContainEqual(expect.objectContaining({ rule, severity: 'error' }));
      expect(await disk.readBytes(4096, 4096)).toEqual(pattern(4096, 1));
      expect(await disk.readBytes(0, 4096)).toEqual(new Uint8Array(4096));
      const error = { code: 'ERR_VHD_CORRUPT', rule, offset: 1536 + 8 };
      await expect(disk.readBytes(8192, 1)).rejects.toMatchObject(error);
      await expect(disk.readBytes(0, disk.size)).rejects.toMatchObject(error);
      await expect(open(shape, true)).rejects.toMatchObject({ code: 'ERR_VHD_CORRUPT', rule });
    },
  );

  it.each([16, 17, 24])('at sector %d, where another one is, makes both unreadable', async (entry) => {
    const disk = await open(two(entry));
    for (const position of [4096, 8192]) {
      await expect(disk.readBytes(position, 1)).rejects.toMatchObject({ code: 'ERR_VHD_CORRUPT', rule: 'bat.overlap' });
    }
    expect(await disk.readBytes(0, 4096)).toEqual(new Uint8Array(4096));
    await expect(open(two(entry), true)).rejects.toMatchObject({ code: 'ERR_VHD_CORRUPT', rule: 'bat.overlap' });
  });
});

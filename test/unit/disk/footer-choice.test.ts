import { describe, expect, it } from 'vitest';
import { openVhdStorage } from '../../../src/disk/open-storage.ts';
import { examine } from '../../../src/disk/recognise.ts';
import { NO_OFFSET } from '../../../src/format/bytes.ts';
import { encodeFooter, type Footer } from '../../../src/format/footer.ts';
import { MemoryStorage } from '../../../src/storage/memory.ts';
import { buildImage, footerOf, type ImageShape } from '../../support/build-image.ts';
import { pattern } from '../../support/bytes.ts';

const BASE: ImageShape = { size: 5 * 4096, blockSize: 4096, blocks: [{ index: 1, data: pattern(4096) }] };
const GARBAGE = pattern(512, 3);

function examineShape(shape: Partial<ImageShape>, footer?: 'start' | 'end') {
  return examine(new MemoryStorage(buildImage({ ...BASE, ...shape })), { footer });
}

async function rulesOf(shape: Partial<ImageShape>, footer?: 'start' | 'end'): Promise<string[]> {
  const { findings } = await examineShape(shape, footer);
  return findings.map((item) => item.rule).filter((rule) => rule !== 'geometry.size');
}

describe('with two valid footers', () => {
  it('that are the same there is nothing to say', async () => {
    expect(await rulesOf({})).toEqual([]);
  });

  it.each<[string, Partial<Footer>]>([
    ['size', { currentSize: 4 * 4096 }],
    ['time', { timestamp: 1 }],
    ['geometry', { geometry: { cylinders: 1, heads: 1, sectorsPerTrack: 1 } }],
    ['saved state', { savedState: 1 }],
    ['hidden mark', { reserved: new Uint8Array(427).fill(1, 0, 1) }],
    ['creator', { creatorApplication: 'vpc ' }],
  ])('that differ in %s the one at the end counts, with a warning', async (_name, startFooter) => {
    const examination = await examineShape({ startFooter });
    expect(examination.findings).toContainEqual(
      expect.objectContaining({ rule: 'footer.copy-differs', severity: 'warning' }),
    );
    expect(examination.footer).toEqual(footerOf(BASE));
    expect(examination.refusal).toBeUndefined();
  });

  it.each<[string, Partial<Footer>]>([
    ['identifier', { uniqueId: new Uint8Array(16).fill(9) }],
    ['type', { diskType: 4 }],
    ['header offset', { dataOffset: 1024 }],
  ])('that differ in %s nothing is right until someone says so', async (_name, startFooter) => {
    const examination = await examineShape({ startFooter });
    expect(examination.refusal).toMatchObject({ code: 'ERR_VHD_FOOTERS_DISAGREE', rule: 'footer.copy-contradicts' });
    expect(examination.refusal?.remedy).toContain('--footer');
    expect((await examineShape({ startFooter }, 'end')).footer).toEqual(footerOf(BASE));
    expect((await examineShape({ startFooter }, 'end')).refusal).toBeUndefined();
    expect((await examineShape({ startFooter }, 'start')).footer).toEqual({ ...footerOf(BASE), ...startFooter });
  });
});

describe('with one valid footer', () => {
  it.each([GARBAGE, new Uint8Array(512), 'none'] as const)(
    'at the start the image opens, with a warning',
    async (end) => {
      expect(await rulesOf({ endFooter: end })).toEqual(['footer.end-missing']);
      expect((await examineShape({ endFooter: end })).refusal).toBeUndefined();
    },
  );

  it('at the end the image opens, with a warning', async () => {
    expect(await rulesOf({ startFooter: GARBAGE })).toEqual(['footer.copy-missing']);
    expect((await examineShape({ startFooter: GARBAGE })).isCopyCurrent).toBe(false);
  });

  it('at the start and an image in use, it says that', async () => {
    expect(await rulesOf({ endFooter: new Uint8Array(512).fill(0xc7) })).toEqual(['footer.poisoned']);
  });

  it('the other one cannot be chosen', async () => {
    for (const [shape, prefer] of [
      [{ endFooter: GARBAGE }, 'end'],
      [{ startFooter: GARBAGE }, 'start'],
    ] as const) {
      const { refusal } = await examineShape(shape, prefer);
      expect(refusal).toMatchObject({ rule: 'footer.missing', message: `there is no valid footer at the ${prefer}` });
    }
  });
});

describe('without a valid footer', () => {
  it('a broken checksum is named before a missing cookie', async () => {
    const broken = encodeFooter(footerOf(BASE));
    broken[100] = 1;
    const { refusal } = await examineShape({ startFooter: GARBAGE, endFooter: broken });
    expect(refusal).toMatchObject({ code: 'ERR_VHD_CORRUPT', message: expect.stringContaining('checksum') as string });
  });

  it.each([0, 1, 510, 511, 512, 513, 4096])('%d other bytes are no VHD', async (length) => {
    const { refusal, footer } = await examine(new MemoryStorage(pattern(length)));
    expect(footer).toBeUndefined();
    expect(refusal).toMatchObject({ code: 'ERR_VHD_NOT_VHD', rule: 'footer.missing' });
  });
});

describe('a fixed image', () => {
  const fixed = (size: number): Footer => ({ ...footerOf({ size }), dataOffset: NO_OFFSET, diskType: 2 });
  const image = (data: Uint8Array): Uint8Array => Buffer.concat([data, encodeFooter(fixed(data.length))]);

  it('may hold a fixed footer in its first sector, which is the guest’s', async () => {
    const data = new Uint8Array(4096);
    data.set(encodeFooter({ ...fixed(512), uniqueId: new Uint8Array(16) }));
    const examination = await examine(new MemoryStorage(image(data)));
    expect(examination.refusal).toBeUndefined();
    expect(examination.footer?.currentSize).toBe(4096);
  });

  it('that begins with the footer of a dynamic one is refused: one of them is in the data of the other', async () => {
    const data = new Uint8Array(4096);
    data.set(buildImage({ ...BASE, blocks: [] }).subarray(0, 2048));
    const { refusal } = await examine(new MemoryStorage(image(data)));
    expect(refusal).toMatchObject({ code: 'ERR_VHD_FOOTERS_DISAGREE' });
  });

  it('whose footer stands at the start and nowhere else is none', async () => {
    const data = new Uint8Array(4096);
    data.set(encodeFooter(fixed(3584)));
    await expect(openVhdStorage(new MemoryStorage(data))).rejects.toMatchObject({ code: 'ERR_VHD_NOT_VHD' });
  });

  it('of nothing but a footer has no bytes', async () => {
    const disk = await openVhdStorage(new MemoryStorage(image(new Uint8Array(0))));
    expect(disk.size).toBe(0);
    await disk.close();
  });

  it('is refused when it holds less than its size, and only remarked upon when it holds more', async () => {
    const short = Buffer.concat([new Uint8Array(512), encodeFooter(fixed(1024))]);
    expect((await examine(new MemoryStorage(short))).refusal).toMatchObject({ code: 'ERR_VHD_TRUNCATED' });
    const long = await examine(new MemoryStorage(Buffer.concat([new Uint8Array(2048), encodeFooter(fixed(1024))])));
    expect(long.refusal).toBeUndefined();
    expect(long.findings.map((item) => item.rule)).toContain('fixed.long');
  });
});

describe('a guest that keeps the footer of another image in its last sector', () => {
  it('can be read in full when the copy at the start is chosen', async () => {
    const data = pattern(4096, 7);
    data.set(encodeFooter({ ...footerOf({ size: 512 }), dataOffset: NO_OFFSET, diskType: 2 }), 3584);
    const storage = new MemoryStorage(buildImage({ ...BASE, blocks: [{ index: 1, data }], endFooter: 'none' }));
    await expect(examine(storage)).resolves.toMatchObject({ refusal: { code: 'ERR_VHD_FOOTERS_DISAGREE' } });
    const disk = await openVhdStorage(storage, { footer: 'start' });
    expect(await disk.readBytes(4096, 4096)).toEqual(data);
  });
});

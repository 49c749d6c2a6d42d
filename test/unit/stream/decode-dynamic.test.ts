import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { NO_OFFSET } from '../../../src/format/bytes.ts';
import { type DecodedVhd, type DecodeOptions, decodeVhd } from '../../../src/stream/decode.ts';
import { type BlockShape, buildImage, contentOf, type ImageShape, layoutOf } from '../../support/build-image.ts';
import { firstDifference, pattern } from '../../support/bytes.ts';
import { checkParameters } from '../../support/seed.ts';
import { bytesOf, ChunkSource, failureOf, outcomeOf } from '../../support/streams-sources.ts';

const KiB = 1024;
const blockSize = 4096;

/** Six blocks, five of them stored, in an order that is not the disk's. */
const shuffled: ImageShape = {
  size: 5 * blockSize + 1536,
  blockSize,
  blocks: [
    { index: 4, data: pattern(blockSize, 4) },
    { index: 0, data: pattern(blockSize, 1) },
    { index: 5, data: pattern(1536, 5) },
    { index: 2, data: 0 },
    { index: 1, data: pattern(blockSize, 2), sectors: [0, 1, 2, 3, 4, 5, 6, 7] },
  ],
};
const ordered: ImageShape = {
  ...shuffled,
  blocks: [...(shuffled.blocks ?? [])].sort((first, second) => first.index - second.index),
};

async function decode(image: Uint8Array, options: DecodeOptions = {}, lengths: number | number[] = 1000) {
  return decodeVhd(new ChunkSource(image, lengths), options);
}

/** The disk that the extents describe; throws if two of them say something about the same byte. */
async function assemble(decoded: DecodedVhd): Promise<Uint8Array> {
  const content = new Uint8Array(decoded.size ?? 0);
  const told = new Uint8Array(content.length);
  for await (const { bytes, start } of decoded.extents()) {
    expect(start + bytes.length).toBeLessThanOrEqual(content.length);
    expect(told.subarray(start, start + bytes.length).every((count) => count === 0)).toBe(true);
    told.fill(1, start, start + bytes.length);
    content.set(bytes, start);
  }
  return content;
}

const drain = async (image: Uint8Array, options: DecodeOptions = {}): Promise<Uint8Array> =>
  assemble(await decode(image, options));

describe('decodeVhd of a dynamic image', () => {
  it.each([1, 3, 511, 512, 997, 65_536, 10_000_000])('gives the content from chunks of %i bytes', async (length) => {
    expect(await assemble(await decode(buildImage(shuffled), {}, length))).toEqual(contentOf(shuffled));
    expect(await bytesOf((await decode(buildImage(ordered), {}, length)).raw())).toEqual(contentOf(ordered));
  });

  it('gives the content of any image from any chunks', async () => {
    const shapes = fc
      .record({
        blockSize: fc.constantFrom(512, 4096, 64 * KiB, 2048 * KiB),
        blockCount: fc.integer({ min: 1, max: 6 }),
        tail: fc.integer({ min: 0, max: 7 }),
        order: fc.uniqueArray(fc.nat(5), { maxLength: 6 }),
        alignment: fc.constantFrom('packed' as const, 'aligned' as const),
        sectors: fc.option(fc.uniqueArray(fc.nat(200), { maxLength: 20 }), { nil: undefined }),
        blocksFrom: fc.constantFrom(0, 20_000),
        slackBytes: fc.constantFrom(0, 5000),
        isLegacyEnd: fc.boolean(),
        lengths: fc.array(fc.integer({ min: 1, max: 700_000 }), { minLength: 1, maxLength: 9 }),
      })
      .map(({ blockCount, lengths, order, sectors, tail, ...rest }) => {
        const size = Math.max(512, blockCount * rest.blockSize - tail * 512);
        const count = Math.ceil(size / rest.blockSize);
        const blocks = order
          .filter((index) => index < count)
          .map((index): BlockShape => {
            const data = pattern(rest.blockSize, index + 1);
            if (sectors === undefined) return { index, data };
            for (let sector = 0; sector * 512 < data.length; sector++) {
              if (!sectors.includes(sector)) data.fill(0, sector * 512, sector * 512 + 512);
            }
            return { index, data, sectors: sectors.filter((sector) => sector * 512 < rest.blockSize) };
          });
        return { shape: { ...rest, size, blocks }, lengths: [...lengths, 40_009] };
      });
    await fc.assert(
      fc.asyncProperty(shapes, async ({ lengths, shape }) => {
        const image = buildImage(shape);
        expect(firstDifference(await assemble(await decode(image, {}, lengths)), contentOf(shape))).toBe(-1);
        const decoded = await decode(image, {}, lengths);
        if (decoded.isAscending) {
          expect(firstDifference(await bytesOf(decoded.raw()), contentOf(shape))).toBe(-1);
        }
      }),
      checkParameters(20),
    );
  });

  it('tells type and size in front, and the footer at the end', async () => {
    const decoded = await decode(buildImage(ordered));
    expect(decoded).toMatchObject({ type: 'dynamic', size: shuffled.size, isAscending: true });
    expect(decoded.end()).toBeUndefined();
    await bytesOf(decoded.raw());
    expect(decoded.end()).toMatchObject({ type: 'dynamic', size: shuffled.size, footer: { diskType: 3 } });
  });

  it('refuses raw before any byte where blocks come in another order', async () => {
    const decoded = await decode(buildImage(shuffled));
    expect(decoded.isAscending).toBe(false);
    const chunks: Uint8Array[] = [];
    const consume = async (): Promise<void> => {
      for await (const chunk of decoded.raw()) chunks.push(chunk);
    };
    expect(await failureOf(consume())).toMatchObject({
      code: 'ERR_VHD_STREAM',
      remedy: expect.stringContaining('file') as string,
    });
    expect(chunks).toEqual([]);
  });

  it('reads images with the structures in unusual places', async () => {
    const shapes: ImageShape[] = [
      { ...ordered, tableOffset: 8192 },
      { ...ordered, tableOffset: 4096, footer: { dataOffset: 2048 } },
      { ...ordered, maxTableEntries: 5000, tablePadding: 0 },
      { ...ordered, isLegacyEnd: true },
      { ...ordered, blocks: [] },
      { ...ordered, endFooter: { savedState: 1 } },
    ];
    for (const shape of shapes) expect(await drain(buildImage(shape))).toEqual(contentOf(shape));
  });

  it('reads a last block of which the file holds only what the disk needs', async () => {
    const shape = { ...ordered, blocks: [{ index: 5, data: 7, storedBytes: 1536 }, { index: 0 }] };
    expect(await drain(buildImage(shape))).toEqual(contentOf(shape));
  });
});

describe('bytes under clear bits', () => {
  const dirty: ImageShape = { size: 2 * blockSize, blockSize, blocks: [{ index: 1, sectors: [1, 2], data: 0x77 }] };
  const whole = { ...dirty, blocks: [{ index: 1, data: 0x77 }] };

  it('are an error by default, zeros or themselves on demand', async () => {
    expect(await failureOf(drain(buildImage(dirty)))).toMatchObject({ code: 'ERR_VHD_BITMAP', offset: blockSize });
    expect(await drain(buildImage(dirty), { bitmap: 'honour' })).toEqual(contentOf(dirty));
    expect(await drain(buildImage(dirty), { bitmap: 'ignore' })).toEqual(contentOf(whole));
  });

  it('are zeros in images by blktap, unless something else is asked for', async () => {
    const byTap = { ...dirty, footer: { creatorApplication: 'tap\0' } };
    expect(await drain(buildImage(byTap))).toEqual(contentOf(dirty));
    expect(await outcomeOf(drain(buildImage(byTap), { bitmap: 'strict' }))).toBe('ERR_VHD_BITMAP');
  });
});

describe('a dynamic stream that is cut', () => {
  const image = buildImage({ ...shuffled, slackBytes: 2048 });
  const blockBytes = 512 + blockSize;
  // One byte less is a footer of 511 bytes, as before Virtual PC 2004: nothing of the disk is missing.
  const last = image.length - 2;
  const points = [0, 1, 511, 512, 513, 1535, 1536, 1537, 2047, 2048].flatMap((offset) => [
    offset,
    ...[1, 2, 3, 4, 5].map((block) => 2048 + block * blockBytes + offset - 1024),
    last - offset,
  ]);

  it('is an error at every interesting point', async () => {
    for (const point of points) {
      expect(await outcomeOf(drain(image.subarray(0, point))), `cut at ${point}`).toMatch(/^ERR_VHD_/);
    }
  });

  it('is an error at any point', async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(last), async (point) => {
        expect(await outcomeOf(drain(image.subarray(0, point)))).toMatch(/^ERR_VHD_/);
      }),
      checkParameters(150),
    );
  });

  it('says that it is truncated, and where', async () => {
    const error = await failureOf(drain(image.subarray(0, 4000)));
    expect(error).toMatchObject({ code: 'ERR_VHD_TRUNCATED', offset: 4000 });
  });

  it('without its last byte still has a footer, of 511 bytes', async () => {
    expect(await drain(image.subarray(0, -1))).toEqual(contentOf(shuffled));
  });
});

describe('dynamic streams that are refused', () => {
  const table = 1536;
  const entry = (index: number, sector: number) => {
    const bytes = new Uint8Array(4);
    new DataView(bytes.buffer).setUint32(0, sector);
    return { offset: table + index * 4, bytes };
  };
  const firstSector = layoutOf(ordered).bitmapBytes / 512 + 3;

  it.each<[string, ImageShape, string]>([
    ['other bytes behind the footer', { ...ordered, patches: [] }, 'ERR_VHD_TRUNCATED'],
    ['no footer at the end', { ...ordered, endFooter: 'none' }, 'ERR_VHD_TRUNCATED'],
    ['a broken footer at the end', { ...ordered, endFooter: new Uint8Array(512).fill(0xc7) }, 'ERR_VHD_IN_USE'],
    ['the footer of another image', { ...ordered, endFooter: { uniqueId: pattern(16) } }, 'ERR_VHD_FOOTERS_DISAGREE'],
    ['another size at the end', { ...ordered, endFooter: { currentSize: 512 } }, 'ERR_VHD_FOOTERS_DISAGREE'],
    ['another type at the end', { ...ordered, endFooter: { diskType: 4 } }, 'ERR_VHD_FOOTERS_DISAGREE'],
    ['another header offset at the end', { ...ordered, endFooter: { dataOffset: 1024 } }, 'ERR_VHD_FOOTERS_DISAGREE'],
    ['two blocks in one place', { ...ordered, patches: [entry(0, 40), entry(1, 40)] }, 'ERR_VHD_CORRUPT'],
    ['blocks that overlap', { ...ordered, patches: [entry(0, 40), entry(1, 44)] }, 'ERR_VHD_CORRUPT'],
    ['a block over the footer', { ...ordered, patches: [entry(3, 0)] }, 'ERR_VHD_CORRUPT'],
    ['a block over the header', { ...ordered, patches: [entry(3, 2)] }, 'ERR_VHD_CORRUPT'],
    ['a block over the table', { ...ordered, patches: [entry(3, firstSector - 1)] }, 'ERR_VHD_CORRUPT'],
    ['a block past the end', { ...ordered, patches: [entry(3, 0xffff_fff0)] }, 'ERR_VHD_TRUNCATED'],
    ['a table before its header', { ...ordered, footer: { dataOffset: 4096 } }, 'ERR_VHD_STREAM'],
    ['a table over the footer', { ...ordered, header: { tableOffset: 0 } }, 'ERR_VHD_STREAM'],
    ['a table behind the blocks', { ...ordered, tableOffset: 'behind-blocks' }, 'ERR_VHD_CORRUPT'],
    ['a table past the end', { ...ordered, header: { tableOffset: 2 ** 40 } }, 'ERR_VHD_TRUNCATED'],
    ['a header past the end', { ...ordered, startFooter: { dataOffset: 2 ** 50 } }, 'ERR_VHD_TRUNCATED'],
    ['a header over the footer', { ...ordered, startFooter: { dataOffset: 0 } }, 'ERR_VHD_CORRUPT'],
    ['no header', { ...ordered, startFooter: { dataOffset: NO_OFFSET } }, 'ERR_VHD_CORRUPT'],
    ['a short table', { ...ordered, header: { maxTableEntries: 5 } }, 'ERR_VHD_CORRUPT'],
    ['blocks of 1000 bytes', { ...ordered, header: { blockSize: 1000 } }, 'ERR_VHD_CORRUPT'],
    ['a damaged header', { ...ordered, patches: [{ offset: 700, bytes: pattern(4) }] }, 'ERR_VHD_CORRUPT'],
    ['a differencing disk', { ...ordered, footer: { diskType: 4 } }, 'ERR_VHD_DIFFERENCING'],
    [
      'a table beyond the limit',
      { ...ordered, header: { maxTableEntries: 0xffff_ffff, blockSize: 512 }, footer: { currentSize: 8 * 1024 ** 3 } },
      'ERR_VHD_LIMIT',
    ],
    ['another footer version', { ...ordered, footer: { formatVersion: 0x2_0000 } }, 'ERR_VHD_UNSUPPORTED'],
    ['another header version', { ...ordered, header: { headerVersion: 0x2_0000 } }, 'ERR_VHD_UNSUPPORTED'],
  ])('have %s', async (name, shape, code) => {
    const image = buildImage(shape);
    const stream = name.startsWith('other bytes') ? Buffer.concat([image, pattern(700)]) : image;
    expect(await outcomeOf(drain(stream))).toBe(code);
  });

  it('end with a footer of an unknown version, as a file does', async () => {
    const image = buildImage(ordered);
    const end = image.subarray(-512);
    const view = new DataView(end.buffer, end.byteOffset, 512);
    // Version 2.0 in place of 1.0: one more in the sum, one less in its complement.
    view.setUint32(12, 0x00020000);
    view.setUint32(64, view.getUint32(64) - 1);
    await expect(drain(image)).rejects.toMatchObject({ code: 'ERR_VHD_UNSUPPORTED', rule: 'footer.version' });
  });

  it('are misuse with unknown options', async () => {
    await expect(decode(buildImage(ordered), { from: 'vhd' } as never)).rejects.toThrow(TypeError);
  });
});

import { describe, expect, it } from 'vitest';
import { NO_OFFSET } from '../../../src/format/bytes.ts';
import { encodeFooter, type Footer } from '../../../src/format/footer.ts';
import { type DecodeOptions, decodeVhd } from '../../../src/stream/decode.ts';
import { footerOf } from '../../support/build-image.ts';
import { firstDifference, pattern } from '../../support/bytes.ts';
import { bytesOf, ChunkSource, failureOf, outcomeOf } from '../../support/streams-sources.ts';

const content = pattern(700_416);
const footerFields = { ...footerOf({ size: content.length }), dataOffset: NO_OFFSET, diskType: 2 };
const footer = (fields: Partial<Footer> = {}): Uint8Array => encodeFooter({ ...footerFields, ...fields });
const image = Buffer.concat([content, footer()]);

async function decode(bytes: Uint8Array, options: DecodeOptions = {}, lengths: number | number[] = 65_536) {
  const decoded = await decodeVhd(new ChunkSource(bytes, lengths), options);
  return { decoded, bytes: await bytesOf(decoded.raw()) };
}

describe('decodeVhd of a fixed image', () => {
  it.each([100, 511, 512, 513, 65_536, 700_415, 700_416, 700_417, 10_000_000])(
    'holds the footer back and cuts it off, from chunks of %i bytes',
    async (length) => {
      const { bytes, decoded } = await decode(image, {}, length);
      expect(firstDifference(bytes, content)).toBe(-1);
      expect(decoded.end()).toMatchObject({ type: 'fixed', size: content.length, footer: { diskType: 2 } });
    },
  );

  it('does so from single bytes', async () => {
    const small = pattern(1536);
    const { bytes } = await decode(Buffer.concat([small, footer({ currentSize: 1536 })]), {}, 1);
    expect(bytes).toEqual(small);
  });

  it('gives extents that follow each other and cover the disk', async () => {
    const decoded = await decodeVhd(new ChunkSource(image, [1, 511, 513, 100_000]));
    expect(decoded).toMatchObject({ type: undefined, size: undefined, isAscending: true });
    let position = 0;
    for await (const { bytes, start } of decoded.extents()) {
      expect(start).toBe(position);
      expect(bytes.length).toBeGreaterThan(0);
      position += bytes.length;
    }
    expect(position).toBe(content.length);
  });

  it('knows the footer of 511 bytes', async () => {
    for (const length of [1000, 65_536, 10_000_000]) {
      const { bytes, decoded } = await decode(image.subarray(0, -1), {}, length);
      expect(firstDifference(bytes, content)).toBe(-1);
      expect(decoded.end()).toMatchObject({ type: 'fixed', size: content.length });
    }
  });

  it('is not misled by a footer in the first sector of the guest', async () => {
    const nested = Buffer.concat([footer({ currentSize: 512 }), content.subarray(512), footer()]);
    const { bytes } = await decode(nested);
    expect(firstDifference(bytes, nested.subarray(0, content.length))).toBe(-1);
  });
});

describe('a stream without a mark in front', () => {
  it('is raw bytes where those are allowed', async () => {
    for (const length of [1, 511, 512, 513, 70_000]) {
      const { bytes, decoded } = await decode(content.subarray(0, length), { allowRaw: true }, 333);
      expect(bytes).toEqual(content.slice(0, length));
      expect(decoded.end()).toEqual({ type: 'raw', size: length, footer: undefined });
    }
  });

  it.each([0, 1, 511, 512, 70_000])('of %i bytes is refused where they are not', async (length) => {
    expect(await outcomeOf(decode(content.subarray(0, length)))).toBe('ERR_VHD_NOT_VHD');
  });

  it('is refused when it is cut, wherever that is', async () => {
    for (const cut of [2, 100, 511, 512, 513, 1024, 100_000]) {
      expect(await outcomeOf(decode(image.subarray(0, image.length - cut))), `cut by ${cut}`).toMatch(/^ERR_VHD_/);
    }
  });

  it.each<[string, Uint8Array, string]>([
    ['bytes missing in the middle', Buffer.concat([content.subarray(512), footer()]), 'ERR_VHD_TRUNCATED'],
    ['bytes too many', Buffer.concat([content, content.subarray(0, 512), footer()]), 'ERR_VHD_CORRUPT'],
    ['other bytes behind the footer', Buffer.concat([image, pattern(512)]), 'ERR_VHD_NOT_VHD'],
    ['a dynamic footer at its end only', Buffer.concat([content, footer({ diskType: 3 })]), 'ERR_VHD_CORRUPT'],
    ['an unknown type', Buffer.concat([content, footer({ diskType: 7 })]), 'ERR_VHD_UNSUPPORTED'],
    ['nothing but a footer', footer(), 'ERR_VHD_TRUNCATED'],
  ])('is refused with %s', async (_what, bytes, code) => {
    expect(await outcomeOf(decode(bytes))).toBe(code);
  });

  it('is refused with a footer of another version, as a file is', async () => {
    const stream = Buffer.concat([content, footer({ formatVersion: 0x2_0000 })]);
    expect(await outcomeOf(decode(stream))).toBe('ERR_VHD_UNSUPPORTED');
  });

  it.each<[string, number]>([
    ['a damaged footer', 70],
    ['an overwritten footer', -1],
  ])('is not taken for raw bytes with %s', async (_what, place) => {
    const damaged = Uint8Array.from(image);
    if (place < 0) damaged.fill(0xc7, content.length);
    else damaged[content.length + place] = 0xee;
    expect(await failureOf(decode(damaged, { allowRaw: true }))).toMatchObject({ name: 'VhdError' });
  });
});

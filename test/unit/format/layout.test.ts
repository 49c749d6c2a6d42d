import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { encodeFront } from '../../../src/format/front.ts';
import {
  type BlockAlignment,
  batByteLength,
  blockEnd,
  blockLayout,
  blockStride,
  entryCountFor,
  footerOffsetFor,
  nextBlockOffset,
} from '../../../src/format/layout.ts';
import { alignUp } from '../../../src/format/spec.ts';

const MiB = 2 ** 20;
const GiB = 2 ** 30;
const ALIGNED = blockLayout(2 * MiB, 'aligned');
const PACKED = blockLayout(2 * MiB, 'packed');

const tableEnd = (size: number): number => 1536 + batByteLength(entryCountFor(size, 2 * MiB));

describe('the layout of Windows 8 and later', () => {
  it('makes an empty image of 40 MiB 8192 bytes long, its footer at 7680', () => {
    expect(footerOffsetFor(ALIGNED, tableEnd(40 * MiB))).toBe(7680);
  });

  it('puts its first block at sector 15, where the footer of the empty image was', () => {
    expect(nextBlockOffset(ALIGNED, tableEnd(40 * MiB)) / 512).toBe(15);
  });

  it('makes an empty image of 127 GiB 266240 bytes long', () => {
    expect(footerOffsetFor(ALIGNED, tableEnd(127 * GiB)) + 512).toBe(266_240);
  });

  it('has a block every 4104 sectors', () => {
    expect(blockStride(ALIGNED) / 512).toBe(4104);
  });

  it.each([512, 4096, 512 * 1024, 2 * MiB, 16 * MiB])('puts data on 4 KiB for blocks of %d bytes', (blockSize) => {
    const layout = blockLayout(blockSize, 'aligned');
    fc.assert(
      fc.property(fc.integer({ min: 1536, max: 2 ** 40 }), (usedEnd) => {
        const offset = nextBlockOffset(layout, usedEnd);
        expect(offset).toBeGreaterThanOrEqual(usedEnd);
        expect((offset + layout.bitmapBytes) % 4096).toBe(0);
        expect((footerOffsetFor(layout, usedEnd) + 512) % 4096).toBe(0);
      }),
    );
  });
});

describe('the packed layout', () => {
  it('puts one block right behind the other: 4097 sectors', () => {
    expect(nextBlockOffset(PACKED, 2048)).toBe(2048);
    expect(blockStride(PACKED) / 512).toBe(4097);
    expect(footerOffsetFor(PACKED, blockEnd(PACKED, 2048))).toBe(2048 + 4097 * 512);
  });

  it('begins on a whole sector', () => {
    expect(nextBlockOffset(PACKED, 2049)).toBe(2560);
    expect(footerOffsetFor(PACKED, 2049)).toBe(2560);
  });
});

describe('both layouts', () => {
  const layouts = fc
    .tuple(fc.constantFrom(512, 4096, 2 ** 19, 2 ** 21, 2 ** 24), fc.constantFrom<BlockAlignment>('packed', 'aligned'))
    .map(([blockSize, alignment]) => blockLayout(blockSize, alignment));

  it('keep blocks in a row apart, and the footer off the blocks and inside the bitmap of the next', () => {
    fc.assert(
      fc.property(layouts, fc.integer({ min: 1536, max: 2 ** 40 }), (layout, usedEnd) => {
        const first = nextBlockOffset(layout, usedEnd);
        const end = blockEnd(layout, first);
        const second = nextBlockOffset(layout, end);
        const footerOffset = footerOffsetFor(layout, end);
        expect(first % 512).toBe(0);
        expect(second - first).toBe(blockStride(layout));
        expect(footerOffset).toBeGreaterThanOrEqual(end);
        expect(footerOffset).toBeGreaterThanOrEqual(second);
        expect(footerOffset + 512).toBeLessThanOrEqual(second + layout.bitmapBytes);
      }),
    );
  });
});

describe('the table', () => {
  it.each([
    [40 * MiB, 20],
    [40 * MiB + 512, 21],
    [512, 1],
    [0, 0],
  ])('of %d bytes has %d entries', (size, expected) => {
    expect(entryCountFor(size, 2 * MiB)).toBe(expected);
  });

  it.each([
    [0, 0],
    [1, 512],
    [128, 512],
    [129, 1024],
    [1_044_480, 4_177_920],
  ])('of %d entries takes %d bytes', (entryCount, expected) => {
    expect(batByteLength(entryCount)).toBe(expected);
  });
});

describe('alignUp', () => {
  it('is exact up to 2^53', () => {
    expect(alignUp(2 ** 53 - 512, 512)).toBe(2 ** 53 - 512);
    expect(alignUp(2 ** 52 + 1, 4096)).toBe(2 ** 52 + 4096);
  });
});

describe('encodeFront', () => {
  it('is footer copy, header and table, unused entries and padding all ones', () => {
    const footer = new Uint8Array(512).fill(0x41);
    const front = encodeFront(footer, 6 * MiB, 2 * MiB, [[1, 0x0102_0304]]);
    expect(front).toHaveLength(2048);
    expect(front.subarray(0, 512)).toEqual(footer);
    expect(new TextDecoder().decode(front.subarray(512, 520))).toBe('cxsparse');
    expect(front.subarray(1536, 1548)).toEqual(Uint8Array.of(255, 255, 255, 255, 1, 2, 3, 4, 255, 255, 255, 255));
    expect(front.subarray(1548)).toEqual(new Uint8Array(500).fill(0xff));
  });
});

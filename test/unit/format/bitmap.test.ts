import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  allOnesBitmap,
  areAllSet,
  bitmapByteLength,
  decodeBitmap,
  isSectorSet,
  setSectors,
} from '../../../src/format/bitmap.ts';
import { shifted } from '../../support/bytes.ts';

const bitmaps = fc.oneof(
  fc.uint8Array({ minLength: 1, maxLength: 40 }),
  fc
    .array(fc.constantFrom(0, 0xff, 0xff, 0, 0x0f), { minLength: 1, maxLength: 40 })
    .map((bytes) => Uint8Array.from(bytes)),
);

describe('bitmapByteLength', () => {
  it.each([
    [512, 512],
    [4096, 512],
    [2 ** 19, 512],
    [2 ** 21, 512],
    [2 ** 22, 1024],
    [2 ** 24, 4096],
    [2 ** 31, 524_288],
  ])('of a block of %d bytes is %d', (blockSize, expected) => {
    expect(bitmapByteLength(blockSize)).toBe(expected);
  });
});

describe('a bitmap', () => {
  it('has its first sector in the most significant bit of its first byte', () => {
    const bitmap = Uint8Array.of(0b1000_0001, 0b0100_0000);
    expect(Array.from({ length: 16 }, (_, sector) => isSectorSet(bitmap, sector))).toEqual(
      Array.from('1000000101000000', (digit) => digit === '1'),
    );
  });

  it('reads as clear behind its end', () => {
    expect(isSectorSet(allOnesBitmap(2), 16)).toBe(false);
    expect(decodeBitmap(allOnesBitmap(1), 16)).toEqual([
      { sector: 0, sectorCount: 8, isSet: true },
      { sector: 8, sectorCount: 8, isSet: false },
    ]);
  });

  it('has exactly the sectors set that were set', () => {
    const range = fc.tuple(fc.integer({ min: 0, max: 100 }), fc.integer({ min: 0, max: 60 }));
    fc.assert(
      fc.property(range, ([first, count]) => {
        const bitmap = new Uint8Array(20);
        expect(setSectors(bitmap, first, count)).toBe(count > 0);
        expect(setSectors(bitmap, first, count)).toBe(false);
        for (let sector = 0; sector < 160; sector++) {
          expect(isSectorSet(bitmap, sector)).toBe(sector >= first && sector < first + count);
        }
      }),
    );
  });
});

describe('areAllSet', () => {
  it('agrees with looking at each sector', () => {
    const nearlyFull = fc.tuple(fc.integer({ min: 0, max: 160 }), fc.integer({ min: 0, max: 200 }));
    fc.assert(
      fc.property(nearlyFull, ([sectorCount, clear]) => {
        const bitmap = allOnesBitmap(20);
        bitmap[clear >> 3] = 0xff & ~(0x80 >> (clear & 7));
        const expected = Array.from({ length: sectorCount }, (_, sector) => isSectorSet(bitmap, sector)).every(Boolean);
        expect(areAllSet(bitmap, sectorCount)).toBe(expected);
      }),
    );
  });
});

describe('decodeBitmap', () => {
  it('gives maximal runs that cover the sectors and agree with each bit', () => {
    const starts = fc.integer({ min: 0, max: 50 });
    const counts = fc.integer({ min: 0, max: 330 });
    fc.assert(
      fc.property(bitmaps, starts, counts, fc.integer({ min: 0, max: 7 }), (bytes, first, count, byteOffset) => {
        const bitmap = shifted(bytes, byteOffset);
        let sector = first;
        let previous: boolean | undefined;
        for (const run of decodeBitmap(bitmap, count, first)) {
          expect(run.sector).toBe(sector);
          expect(run.sectorCount).toBeGreaterThan(0);
          expect(run.isSet).not.toBe(previous);
          for (let at = sector; at < sector + run.sectorCount; at++) expect(isSectorSet(bitmap, at)).toBe(run.isSet);
          sector += run.sectorCount;
          previous = run.isSet;
        }
        expect(sector).toBe(first + count);
      }),
    );
  });
});

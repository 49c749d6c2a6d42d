import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { geometryByteLength, geometryFor, isMaximumGeometry } from '../../../src/format/geometry.ts';

const KiB = 1024;
const MiB = KiB * KiB;
const GiB = KiB * MiB;

const VECTORS: readonly (readonly [string, number, string])[] = [
  ['1 sector', 512, '0/4/17'],
  ['3 MiB', 3 * MiB, '90/4/17'],
  ['10 MiB', 10 * MiB, '301/4/17'],
  ['40 MiB', 40 * MiB, '963/5/17'],
  ['127 MiB', 127 * MiB, '1019/15/17'],
  ['128 MiB', 128 * MiB, '963/16/17'],
  ['251 MiB', 251 * MiB, '509/16/63'],
  ['504 MiB', 504 * MiB, '1024/16/63'],
  ['512 MiB', 512 * MiB, '1040/16/63'],
  ['1 GiB', GiB, '2080/16/63'],
  ['5 GiB', 5 * GiB, '10402/16/63'],
  ['32 GiB', 32 * GiB, '16448/16/255'],
  ['136365211648 bytes', 136_365_211_648, '65278/16/255'],
  ['66059279 sectors, the last below the edge', 66_059_279 * 512, '65534/16/63'],
  ['66059280 sectors, the edge', 66_059_280 * 512, '16191/16/255'],
  ['267382799 sectors, the last below the maximum', 267_382_799 * 512, '65534/16/255'],
  ['267382800 sectors, the maximum', 267_382_800 * 512, '65535/16/255'],
  ['2040 GiB', 2040 * GiB, '65535/16/255'],
];

describe('geometryFor', () => {
  it.each(VECTORS)('of %s', (_name, byteLength, expected) => {
    const { cylinders, heads, sectorsPerTrack } = geometryFor(byteLength);
    expect(`${cylinders}/${heads}/${sectorsPerTrack}`).toBe(expected);
  });

  it('addresses 504 MiB exactly', () => {
    expect(geometryByteLength(geometryFor(504 * MiB))).toBe(504 * MiB);
  });

  it('never addresses more than the size, fits its fields, and leaves less than a cylinder of 16 heads over', () => {
    fc.assert(
      fc.property(fc.integer({ min: 68, max: 267_382_800 }), (sectorCount) => {
        const geometry = geometryFor(sectorCount * 512);
        const left = sectorCount - geometryByteLength(geometry) / 512;
        expect(left).toBeGreaterThanOrEqual(0);
        expect(left).toBeLessThan(17 * 255 + 16 * geometry.sectorsPerTrack);
        expect(geometry.cylinders).toBeLessThanOrEqual(65_535);
        expect(geometry.heads).toBeLessThanOrEqual(16);
      }),
    );
  });

  it('does not shrink when the size grows within one number of sectors per track', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 267_382_800 }), fc.integer({ min: 0, max: 4096 }), (sectors, more) => {
        const [first, second] = [geometryFor(sectors * 512), geometryFor((sectors + more) * 512)];
        const isSameShape = first.sectorsPerTrack === second.sectorsPerTrack && first.heads === second.heads;
        if (isSameShape) expect(second.cylinders).toBeGreaterThanOrEqual(first.cylinders);
      }),
    );
  });
});

describe('isMaximumGeometry', () => {
  it('knows 65535/16/255 from what comes near it', () => {
    expect(isMaximumGeometry({ cylinders: 65_535, heads: 16, sectorsPerTrack: 255 })).toBe(true);
    expect(isMaximumGeometry({ cylinders: 65_534, heads: 16, sectorsPerTrack: 255 })).toBe(false);
    expect(isMaximumGeometry({ cylinders: 65_535, heads: 16, sectorsPerTrack: 63 })).toBe(false);
  });
});

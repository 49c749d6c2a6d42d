import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { NO_OFFSET } from '../../../src/format/bytes.ts';
import { decodeFooter, encodeFooter, type Footer, isFooter } from '../../../src/format/footer.ts';
import { newFooter, timestampFor, unixMilliseconds } from '../../../src/format/new-footer.ts';
import { RULES } from '../../../src/format/rules.ts';
import { fromHex, shifted } from '../../support/bytes.ts';
import { checkParameters } from '../../support/seed.ts';
import { bytesOf, footers } from './arbitraries.ts';

const SOUND = newFooter({ type: 'dynamic', size: 504 * 2 ** 20, uniqueId: new Uint8Array(16).fill(7), timestamp: 5 });

function rulesOf(bytes: Uint8Array, fileOffset?: number): string[] {
  return decodeFooter(bytes, fileOffset).findings.map((item) => item.rule);
}

function changed(fields: Partial<Footer>): Uint8Array {
  return encodeFooter({ ...SOUND, ...fields });
}

describe('a footer of 512 bytes', () => {
  it('has every field where the specification puts it', () => {
    const bytes = encodeFooter({
      ...SOUND,
      features: 2,
      dataOffset: 0x0102_0304_0506,
      timestamp: 0x1112_1314,
      creatorApplication: 'abcd',
      creatorVersion: 0x2122_2324,
      creatorHostOs: 'Wi2k',
      originalSize: 0x3132_3334_3536,
      currentSize: 0x4142_4344_4546,
      geometry: { cylinders: 0x5152, heads: 0x53, sectorsPerTrack: 0x54 },
      diskType: 3,
      uniqueId: Uint8Array.from({ length: 16 }, (_, index) => 0x60 + index),
      savedState: 1,
    });
    const head = fromHex(
      '636f6e6563746978 00000002 00010000 0000010203040506 11121314 61626364 21222324 5769326b' +
        '0000313233343536 0000414243444546 5152 53 54 00000003',
    );
    expect(bytes.subarray(0, 64)).toEqual(head);
    expect(bytes.subarray(68, 85)).toEqual(fromHex('606162636465666768696a6b6c6d6e6f 01'));
    expect(bytes.subarray(85)).toEqual(new Uint8Array(427));
  });

  it('writes no data offset as 64 ones', () => {
    const bytes = changed({ dataOffset: NO_OFFSET });
    expect(bytes.subarray(16, 24)).toEqual(new Uint8Array(8).fill(0xff));
    expect(decodeFooter(bytes).value.dataOffset).toBe(NO_OFFSET);
  });

  it('decodes to what was encoded', () => {
    fc.assert(
      fc.property(footers, fc.integer({ min: 0, max: 9 }), (footer, byteOffset) => {
        const decoded = decodeFooter(shifted(encodeFooter(footer), byteOffset));
        expect(decoded.value).toEqual(footer);
        expect(isFooter(decoded)).toBe(true);
      }),
      checkParameters(200),
    );
  });

  it('without anything wrong has no findings', () => {
    expect(rulesOf(encodeFooter(SOUND))).toEqual([]);
  });

  it('does not share memory with the bytes it was read from', () => {
    const bytes = encodeFooter(SOUND);
    const { value } = decodeFooter(bytes);
    bytes.fill(0);
    expect(value.uniqueId).toEqual(SOUND.uniqueId);
  });
});

describe('a footer of 511 bytes', () => {
  it('decodes as if a zero followed, and says so', () => {
    fc.assert(
      fc.property(footers, (footer) => {
        const reserved = footer.reserved.slice();
        reserved[426] = 0;
        const decoded = decodeFooter(encodeFooter({ ...footer, reserved }).subarray(0, 511));
        expect(decoded.value).toEqual({ ...footer, reserved });
        expect(isFooter(decoded)).toBe(true);
        expect(decoded.findings.map((item) => item.rule)).toContain('footer.legacy');
      }),
      checkParameters(50),
    );
  });
});

describe('decodeFooter', () => {
  it.each([0, 510, 513, 1024])('refuses %d bytes', (length) => {
    expect(() => decodeFooter(new Uint8Array(length))).toThrow(RangeError);
  });

  it('never throws on content and names only rules of the table', () => {
    const lengths = fc.constantFrom(512, 511).chain(bytesOf);
    fc.assert(
      fc.property(lengths, (bytes) => {
        for (const item of decodeFooter(bytes, 1024).findings) {
          expect(RULES).toHaveProperty([item.rule]);
          expect(item.offset).toBeGreaterThanOrEqual(1024);
        }
      }),
      checkParameters(300),
    );
  });

  it('never throws on content behind a good cookie', () => {
    fc.assert(
      fc.property(bytesOf(504), (rest) => {
        const bytes = new Uint8Array(512);
        bytes.set(encodeFooter(SOUND).subarray(0, 8));
        bytes.set(rest, 8);
        expect(decodeFooter(bytes).value.reserved).toEqual(bytes.slice(85));
      }),
      checkParameters(100),
    );
  });

  it('takes any single changed byte but the hidden mark for a broken footer', () => {
    const bytes = encodeFooter(SOUND);
    for (let offset = 0; offset < 512; offset++) {
      if (offset === 85) continue;
      const copy = bytes.slice();
      copy[offset] = (copy[offset] ?? 0) ^ 0x40;
      expect(isFooter(decodeFooter(copy)), `byte ${offset}`).toBe(false);
    }
  });

  const findings: readonly (readonly [string, Partial<Footer>, readonly string[]])[] = [
    ['missing feature bit', { features: 0 }, ['footer.features']],
    ['extra feature bit', { features: 6 }, ['footer.features']],
    ['temporary', { features: 3 }, ['footer.temporary']],
    ['version 2', { formatVersion: 0x20000 }, ['footer.version']],
    ['type 0', { diskType: 0 }, ['footer.type']],
    ['type 9', { diskType: 9 }, ['footer.type']],
    ['odd size', { currentSize: 504 * 2 ** 20 + 1 }, ['footer.size-sectors']],
    ['saved state', { savedState: 1 }, ['footer.saved-state']],
    ['geometry 0/0/0', { geometry: { cylinders: 0, heads: 0, sectorsPerTrack: 0 } }, ['geometry.size']],
    ['hidden', { reserved: new Uint8Array(427).fill(1, 0, 1) }, ['footer.hidden']],
    ['reserved byte 0 not a mark', { reserved: new Uint8Array(427).fill(2, 0, 1) }, ['footer.reserved']],
    ['last reserved byte', { reserved: new Uint8Array(427).fill(1, 426) }, ['footer.reserved']],
  ];
  it.each(findings)('finds %s', (_name, fields, expected) => {
    expect(rulesOf(changed(fields))).toEqual(expected);
  });

  it('reports a size above 2^53 - 1 instead of rounding it', () => {
    const bytes = encodeFooter(SOUND);
    bytes.set(fromHex('0020000000000000'), 48);
    const decoded = decodeFooter(bytes);
    expect(decoded.value.currentSize).toBe(Number.MAX_SAFE_INTEGER);
    expect(decoded.findings.find((item) => item.rule === 'footer.size')?.found).toBe('0x0020000000000000');
  });

  it('reads the largest exact size exactly', () => {
    expect(decodeFooter(changed({ currentSize: Number.MAX_SAFE_INTEGER })).value.currentSize).toBe(2 ** 53 - 1);
  });

  it('knows both marks of an image in use', () => {
    const disabled = encodeFooter(SOUND);
    disabled.set(new TextEncoder().encode('v_poison'));
    for (const bytes of [disabled, new Uint8Array(512).fill(0xc7)]) {
      expect(rulesOf(bytes)).toEqual(['footer.poisoned']);
      expect(isFooter(decodeFooter(bytes))).toBe(false);
    }
  });

  it('accepts the checksum of early blktap, made before the image was hidden', () => {
    const bytes = encodeFooter(SOUND);
    bytes[85] = 1;
    expect(rulesOf(bytes)).toEqual(['footer.hidden-checksum', 'footer.hidden']);
    expect(isFooter(decodeFooter(bytes))).toBe(true);
  });

  it('says where it found what it expected', () => {
    const bytes = changed({ savedState: 3 });
    const [finding] = decodeFooter(bytes, 7680).findings;
    expect(finding).toMatchObject({ rule: 'footer.saved-state', offset: 7764, expected: '0', found: '3' });
  });
});

describe('encodeFooter', () => {
  it.each<[string, Partial<Footer>]>([
    ['creator', { creatorApplication: 'win' }],
    ['host', { creatorHostOs: 'Wi2k2' }],
    ['identifier', { uniqueId: new Uint8Array(15) }],
  ])('refuses a %s of the wrong length', (_name, fields) => {
    expect(() => changed(fields)).toThrow(RangeError);
  });
});

describe('newFooter', () => {
  it('is one that older qemu takes the size from: creator win, version 10.0, host Wi2k', () => {
    expect(SOUND).toMatchObject({ creatorApplication: 'win ', creatorVersion: 0x000a_0000, creatorHostOs: 'Wi2k' });
  });

  it('points a dynamic disk to its header and a fixed one nowhere', () => {
    const fields = { size: 512, uniqueId: new Uint8Array(16), timestamp: 0 };
    expect(newFooter({ ...fields, type: 'dynamic' })).toMatchObject({ dataOffset: 512, diskType: 3 });
    expect(newFooter({ ...fields, type: 'fixed' })).toMatchObject({ dataOffset: NO_OFFSET, diskType: 2 });
  });
});

describe('time stamps', () => {
  it.each([
    [Date.UTC(2000, 0, 1), 0],
    [Date.UTC(2000, 0, 1, 0, 0, 1, 999), 1],
    [Date.UTC(1999, 0, 1), 0],
    [Date.UTC(2136, 1, 7, 6, 28, 15), 0xffff_ffff],
    [Date.UTC(2200, 0, 1), 0xffff_ffff],
  ])('%d ms since 1970 is %d', (milliseconds, timestamp) => {
    expect(timestampFor(milliseconds)).toBe(timestamp);
  });

  it('come back as whole seconds', () => {
    expect(unixMilliseconds(timestampFor(Date.UTC(2024, 5, 1, 12, 0, 0)))).toBe(Date.UTC(2024, 5, 1, 12, 0, 0));
  });
});

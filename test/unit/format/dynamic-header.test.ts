import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { NO_OFFSET } from '../../../src/format/bytes.ts';
import {
  type DynamicHeader,
  decodeDynamicHeader,
  decodeParentName,
  encodeDynamicHeader,
  isBlockSize,
  plainDynamicHeader,
} from '../../../src/format/dynamic-header.ts';
import { RULES } from '../../../src/format/rules.ts';
import { fromHex, shifted } from '../../support/bytes.ts';
import { checkParameters } from '../../support/seed.ts';
import { bytesOf, headers } from './arbitraries.ts';

const SOUND = plainDynamicHeader(1536, 20, 2 ** 21);

function rulesOf(bytes: Uint8Array): string[] {
  return decodeDynamicHeader(bytes).findings.map((item) => item.rule);
}

function changed(fields: Partial<DynamicHeader>): Uint8Array {
  return encodeDynamicHeader({ ...SOUND, ...fields });
}

describe('a dynamic header', () => {
  it('has every field where the specification puts it', () => {
    const locator = { platformCode: 'W2ru', dataSpace: 0x1000, dataByteLength: 20, dataOffset: 0x3000 };
    const unused = { platformCode: '\0\0\0\0', dataSpace: 0, dataByteLength: 0, dataOffset: 0 };
    const bytes = changed({
      tableOffset: 0x0102_0304_0506,
      maxTableEntries: 0x1112_1314,
      parentUniqueId: new Uint8Array(16).fill(0x21),
      parentTimestamp: 0x3132_3334,
      parentNameBytes: new Uint8Array(512).fill(0x41),
      parentLocators: [unused, unused, unused, unused, unused, unused, unused, locator],
    });
    const head = '6378737061727365 ffffffffffffffff 0000010203040506 00010000 11121314 00200000';
    expect(bytes.subarray(0, 36)).toEqual(fromHex(head));
    expect(bytes.subarray(40, 64)).toEqual(fromHex('21212121212121212121212121212121 31323334 00000000'));
    expect(bytes.subarray(64, 576)).toEqual(new Uint8Array(512).fill(0x41));
    expect(bytes.subarray(576, 744)).toEqual(new Uint8Array(168));
    expect(bytes.subarray(744, 768)).toEqual(fromHex('57327275 00001000 00000014 00000000 0000000000003000'));
    expect(bytes.subarray(768)).toEqual(new Uint8Array(256));
  });

  it('decodes to what was encoded', () => {
    fc.assert(
      fc.property(headers, fc.integer({ min: 0, max: 9 }), (header, byteOffset) => {
        const decoded = decodeDynamicHeader(shifted(encodeDynamicHeader(header), byteOffset));
        expect(decoded.value).toEqual(header);
        expect(decoded.findings.map((item) => item.rule)).not.toContain('header.checksum');
      }),
      checkParameters(100),
    );
  });

  it('without anything wrong has no findings', () => {
    expect(rulesOf(encodeDynamicHeader(SOUND))).toEqual([]);
  });

  it('does not share memory with the bytes it was read from, a Buffer either', () => {
    const bytes = changed({ parentUniqueId: new Uint8Array(16).fill(5), parentNameBytes: new Uint8Array(512).fill(6) });
    for (const source of [bytes, Buffer.from(bytes)]) {
      const { value } = decodeDynamicHeader(source);
      source.fill(0);
      expect([...new Set([...value.parentUniqueId, ...value.parentNameBytes])]).toEqual([5, 6]);
    }
  });
});

describe('decodeDynamicHeader', () => {
  it.each([0, 1023, 1025])('refuses %d bytes', (length) => {
    expect(() => decodeDynamicHeader(new Uint8Array(length))).toThrow(RangeError);
  });

  it('never throws on content and names only rules of the table', () => {
    fc.assert(
      fc.property(bytesOf(1024), fc.boolean(), (content, hasCookie) => {
        const bytes = content.slice();
        if (hasCookie) bytes.set(new TextEncoder().encode('cxsparse'));
        for (const item of decodeDynamicHeader(bytes, 512).findings) expect(RULES).toHaveProperty([item.rule]);
      }),
      checkParameters(200),
    );
  });

  it('notices any single changed byte', () => {
    const bytes = encodeDynamicHeader(SOUND);
    for (let offset = 0; offset < 1024; offset++) {
      const copy = bytes.slice();
      copy[offset] = (copy[offset] ?? 0) ^ 1;
      expect(rulesOf(copy)[0], `byte ${offset}`).toBe(offset < 8 ? 'header.cookie' : 'header.checksum');
    }
  });

  it.each<[string, Partial<DynamicHeader>, string]>([
    ['version', { headerVersion: 0x20000 }, 'header.version'],
    ['data offset', { dataOffset: 0 }, 'header.data-offset'],
    ['block size 0', { blockSize: 0 }, 'header.block-size'],
    ['block size 256', { blockSize: 256 }, 'header.block-size'],
    ['block size 3 MiB', { blockSize: 3 * 2 ** 20 }, 'header.block-size'],
  ])('finds a wrong %s', (_name, fields, rule) => {
    expect(rulesOf(changed(fields))).toEqual([rule]);
  });

  it('finds reserved bytes that are not zero, at both places', () => {
    for (const offset of [63, 768, 1023]) {
      const bytes = encodeDynamicHeader(SOUND);
      bytes[offset] = 1;
      new DataView(bytes.buffer).setUint32(36, new DataView(bytes.buffer).getUint32(36) - 1);
      expect(rulesOf(bytes)).toEqual(['header.reserved']);
    }
  });

  it('takes a table offset above 2^53 - 1 for one that no file reaches', () => {
    const bytes = encodeDynamicHeader(SOUND);
    bytes.fill(0xff, 16, 24);
    expect(decodeDynamicHeader(bytes).value.tableOffset).toBe(Number.MAX_SAFE_INTEGER);
  });
});

describe('encodeDynamicHeader', () => {
  it.each<[string, Partial<DynamicHeader>]>([
    ['identifier', { parentUniqueId: new Uint8Array(15) }],
    ['name', { parentNameBytes: new Uint8Array(510) }],
    ['list of locators', { parentLocators: [] }],
  ])('refuses a parent %s of the wrong length', (_name, fields) => {
    expect(() => changed(fields)).toThrow(RangeError);
  });
});

describe('isBlockSize', () => {
  it.each([512, 1024, 2 ** 19, 2 ** 21, 2 ** 31])('takes %d', (size) => {
    expect(isBlockSize(size)).toBe(true);
  });

  it.each([0, 1, 256, 511, 513, 3 * 2 ** 20, 2 ** 32, 2 ** 32 - 1])('refuses %d', (size) => {
    expect(isBlockSize(size)).toBe(false);
  });
});

describe('decodeParentName', () => {
  const named = (units: readonly number[]): DynamicHeader => {
    const parentNameBytes = new Uint8Array(512);
    units.forEach((unit, index) => new DataView(parentNameBytes.buffer).setUint16(index * 2, unit));
    return { ...SOUND, parentNameBytes };
  };

  it('reads UTF-16BE up to the first NUL', () => {
    expect(decodeParentName(named([0x77, 0xe9, 0x4e2d, 0, 0x78]))).toBe('wé中');
  });

  it('reads a name that fills the field, surrogates as they stand', () => {
    const name = decodeParentName(named(Array.from({ length: 256 }, () => 0xd800)));
    expect(name).toBe('\ud800'.repeat(256));
  });

  it('has no name without a parent', () => {
    expect(decodeParentName(SOUND)).toBe('');
    expect(SOUND.dataOffset).toBe(NO_OFFSET);
  });
});

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { NO_OFFSET } from '../../../src/format/bytes.ts';
import {
  decodeParentLocator,
  encodeParentLocator,
  locatorSpaceBytes,
  NO_PLATFORM,
  PLATFORM_CODES,
} from '../../../src/format/parent-locator.ts';
import { fromHex, shifted } from '../../support/bytes.ts';
import { bytesOf, locators } from './arbitraries.ts';

const entry = (platformCode: string, dataSpace = 0) => ({ platformCode, dataSpace, dataByteLength: 0, dataOffset: 0 });

describe('a parent locator', () => {
  it('decodes to what was encoded', () => {
    fc.assert(
      fc.property(locators, fc.integer({ min: 0, max: 9 }), (locator, byteOffset) => {
        expect(decodeParentLocator(shifted(encodeParentLocator(locator), byteOffset)).value).toEqual(locator);
      }),
    );
  });

  it('never makes decoding throw', () => {
    fc.assert(
      fc.property(bytesOf(24), (bytes) => {
        expect(decodeParentLocator(bytes).value.platformCode).toHaveLength(4);
      }),
    );
  });

  it.each([...PLATFORM_CODES, NO_PLATFORM])('with the code %j is as it should be', (code) => {
    expect(decodeParentLocator(encodeParentLocator(entry(code))).findings).toEqual([]);
  });

  it('with an unknown code or reserved bytes is found, at its place in the file', () => {
    const bytes = encodeParentLocator(entry('abcd'));
    bytes[15] = 1;
    expect(decodeParentLocator(bytes, 1088).findings).toMatchObject([
      { rule: 'locator.platform', offset: 1088, found: '0x61626364' },
      { rule: 'locator.reserved', offset: 1100, found: '0x00000001' },
    ]);
  });

  it('with an offset no number holds has none', () => {
    const bytes = fromHex('57327275 00000001 00000014 00000000 0020000000000000');
    expect(decodeParentLocator(bytes).value.dataOffset).toBe(NO_OFFSET);
  });
});

describe('locatorSpaceBytes', () => {
  it.each([
    [0, 0],
    [1, 512],
    [128, 65_536],
    [511, 261_632],
    [512, 512],
    [4096, 4096],
    [65_536, 65_536],
  ])('of %d is %d bytes', (dataSpace, expected) => {
    expect(locatorSpaceBytes(entry('W2ru', dataSpace))).toBe(expected);
  });
});

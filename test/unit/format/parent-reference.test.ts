import { describe, expect, it } from 'vitest';
import { decodeParentName, plainDynamicHeader } from '../../../src/format/dynamic-header.ts';
import { encodeLocatorName, encodeParentName } from '../../../src/format/parent-reference.ts';

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('utf8');
const nameIn = (bytes: Uint8Array): string => {
  return decodeParentName({ ...plainDynamicHeader(1536, 1, 512), parentNameBytes: bytes });
};

describe('encodeLocatorName', () => {
  it.each([['W2ru'], ['W2ku']])('writes %s as UTF-16LE without a terminator', (platformCode) => {
    const bytes = encodeLocatorName(platformCode, '.\\wïn😀.vhd');
    expect(Buffer.from(bytes).toString('utf16le')).toBe('.\\wïn😀.vhd');
    expect(bytes).toHaveLength(22);
    expect([...encodeLocatorName(platformCode, '\ud800x')]).toEqual([0x00, 0xd8, 0x78, 0x00]);
  });

  it.each([
    ['./p.vhd', 'file://./p.vhd'],
    ['../base/p.vhd', 'file://../base/p.vhd'],
    ['/srv/vm/p.vhd', 'file://localhost/srv/vm/p.vhd'],
    ['/C:/vm/p.vhd', 'file://localhost/C:/vm/p.vhd'],
    ['//server/share/p.vhd', 'file://server/share/p.vhd'],
    ['/a b/50%#?.vhd', 'file://localhost/a%20b/50%25%23%3F.vhd'],
    ['./back\\slash.vhd', 'file://./back%5Cslash.vhd'],
    ['./ä😀.vhd', 'file://./%C3%A4%F0%9F%98%80.vhd'],
  ])('writes MacX of %s as the URL %s', (path, url) => {
    expect(text(encodeLocatorName('MacX', path))).toBe(url);
  });

  it('refuses what it does not write', () => {
    for (const code of ['Wi2r', 'Wi2k', 'Mac ', '\0\0\0\0', 'toString']) {
      expect(() => encodeLocatorName(code, './p.vhd'), code).toThrow(RangeError);
    }
    expect(() => encodeLocatorName('MacX', './\udc00.vhd')).toThrow(RangeError);
  });
});

describe('encodeParentName', () => {
  it('writes UTF-16BE into 512 bytes of zeros', () => {
    const bytes = encodeParentName('C:\\p.vhd');
    expect(bytes).toHaveLength(512);
    expect([...bytes.subarray(0, 6)]).toEqual([0, 0x43, 0, 0x3a, 0, 0x5c]);
    expect(bytes.subarray(16).every((byte) => byte === 0)).toBe(true);
  });

  it('keeps 255 units, and of more the last part', () => {
    const longest = `C:\\${'d'.repeat(246)}\\p.vhd`;
    expect(longest).toHaveLength(255);
    expect(nameIn(encodeParentName(longest))).toBe(longest);
    expect(nameIn(encodeParentName(`${longest.slice(0, -5)}pp.vhd`))).toBe('pp.vhd');
    expect(nameIn(encodeParentName(`/${'d'.repeat(300)}/p.vhd`))).toBe('p.vhd');
    expect(nameIn(encodeParentName(`/srv/${'x'.repeat(254)}😀.vhd`))).toBe('x'.repeat(254));
  });
});

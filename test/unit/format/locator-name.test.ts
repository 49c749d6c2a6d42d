import { describe, expect, it } from 'vitest';
import { decodeLocatorName, pathsOfFileUrl } from '../../../src/format/locator-name.ts';
import { encodeLocatorName } from '../../../src/format/parent-reference.ts';

const units = (...codes: number[]): Uint8Array => new Uint8Array(Uint16Array.from(codes).buffer);
const latin1 = (text: string): Uint8Array => Buffer.from(text, 'latin1');

describe('the payload of a locator', () => {
  it.each(['W2ru', 'W2ku'])('%s is UTF-16LE, with or without a terminator', (code) => {
    const bytes = encodeLocatorName(code, '.\\grüße 💾.vhd');
    expect(decodeLocatorName(code, bytes)).toEqual({ text: '.\\grüße 💾.vhd', problem: undefined });
    const terminated = Buffer.concat([bytes, new Uint8Array(4)]);
    expect(decodeLocatorName(code, terminated)).toEqual({ text: '.\\grüße 💾.vhd', problem: undefined });
  });

  it('MacX is a URL in UTF-8', () => {
    const url = 'file://localhost/disks/gr%C3%BC%C3%9Fe.vhd';
    expect(decodeLocatorName('MacX', latin1(`${url}\0\0`))).toEqual({ text: url, problem: undefined });
    expect(decodeLocatorName('MacX', latin1('file:///\xff'))).toEqual({
      text: 'file:///\ufffd',
      problem: 'bytes that are no UTF-8',
    });
  });

  it.each(['Wi2r', 'Wi2k'])('%s has one byte a character', (code) => {
    expect(decodeLocatorName(code, latin1('.\\\xe4.vhd\0'))).toEqual({ text: '.\\ä.vhd', problem: undefined });
    const long = 'x'.repeat(65_534);
    expect(decodeLocatorName(code, latin1(long)).text).toBe(long);
  });

  it.each([
    ['of zeros', 'W2ru', new Uint8Array(20), '', 'zeros only'],
    ['of zeros', 'MacX', new Uint8Array(20), '', 'zeros only'],
    ['of zeros', 'Wi2r', new Uint8Array(1), '', 'zeros only'],
    ['of nothing', 'W2ru', new Uint8Array(0), '', undefined],
    ['of one byte', 'W2ru', new Uint8Array(1), '', 'an odd number of bytes, for characters of two'],
    ['with a half character', 'W2ku', units(0x61).subarray(0, 1), '', 'an odd number of bytes, for characters of two'],
    ['with a NUL inside', 'W2ku', units(0x61, 0, 0x62), 'a', 'a NUL in the middle'],
    ['with a NUL inside', 'MacX', latin1('file:a\0b'), 'file:a', 'a NUL in the middle'],
    ['with half a pair', 'W2ru', units(0x61, 0xd800), 'a\ud800', 'an unpaired surrogate, which no file name has'],
    ['with half a pair', 'W2ru', units(0xdc00, 0x61), '\udc00a', 'an unpaired surrogate, which no file name has'],
  ])('%s in %s is told', (_what, code, bytes, text, problem) => {
    expect(decodeLocatorName(code, bytes)).toEqual({ text, problem });
  });
});

describe('a file URL', () => {
  it.each([
    ['file:///a/b.vhd', ['/a/b.vhd']],
    ['file://localhost/a/b.vhd', ['/a/b.vhd']],
    ['FILE://LOCALHOST/a/b.vhd', ['/a/b.vhd']],
    ['file:/a/b.vhd', ['/a/b.vhd']],
    ['file:///C:/a/b.vhd', ['C:/a/b.vhd']],
    ['file://./b.vhd', ['./b.vhd']],
    ['file://../a/b.vhd', ['../a/b.vhd']],
    ['file://b.vhd', ['b.vhd']],
    // blktap escapes nothing.
    ['file://./a%20b.vhd', ['./a b.vhd', './a%20b.vhd']],
    ['file://./100%.vhd', ['./100%.vhd']],
    ['file://./a%00b.vhd', ['./a%00b.vhd']],
  ])('%s leads to %j', (url, paths) => {
    expect(pathsOfFileUrl(url)).toEqual({ paths, problem: undefined });
  });

  it.each([
    ['file://server/share/b.vhd', 'a file on another machine'],
    ['http://server/b.vhd', 'no file URL'],
    ['b.vhd', 'no file URL'],
    ['file://', 'a URL without a path'],
    ['file:', 'a URL without a path'],
  ])('%s leads nowhere: %s', (url, problem) => {
    expect(pathsOfFileUrl(url)).toEqual({ paths: [], problem });
  });

  it.each(['/a b/ü%.vhd', './sub/c#d?.vhd', '../e.vhd'])('%s comes back as it was written', (path) => {
    const { text } = decodeLocatorName('MacX', encodeLocatorName('MacX', path));
    expect(pathsOfFileUrl(text).paths[0]).toBe(path);
  });
});

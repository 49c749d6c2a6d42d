import { describe, expect, it } from 'vitest';
import { checkOptionNames, checkRange, VhdError } from '../../../src/errors.ts';

describe('VhdError', () => {
  it('carries code, message and everything it was told', () => {
    const cause = new Error('behind it');
    const context = {
      storage: 'disk.vhd',
      offset: 512,
      rule: 'header.cookie',
      expected: 'this',
      found: 'that',
      remedy: 'do something',
      cause,
    };
    const error = new VhdError('ERR_VHD_CORRUPT', 'it is broken', context);
    expect(error).toMatchObject({ ...context, code: 'ERR_VHD_CORRUPT', message: 'it is broken', name: 'VhdError' });
    expect(error).toBeInstanceOf(Error);
  });

  it('has no cause of its own making', () => {
    expect('cause' in new VhdError('ERR_VHD_CLOSED', 'it is closed')).toBe(false);
  });
});

describe('checkOptionNames', () => {
  it('lets known names pass', () => {
    expect(() => checkOptionNames('open', { writable: true }, ['writable'])).not.toThrow();
  });

  it('names the unknown option and those there are', () => {
    const call = () => checkOptionNames('open', { writeable: true }, ['writable', 'footer']);
    expect(call).toThrow(new TypeError("open: unknown option 'writeable'; known options: writable, footer"));
  });
});

describe('checkRange', () => {
  it.each([
    [0, 0, 0],
    [10, 0, 10],
    [0, 10, 10],
    [Number.MAX_SAFE_INTEGER, 0, Number.MAX_SAFE_INTEGER],
  ])('lets %d + %d of %d pass', (position, length, size) => {
    expect(() => checkRange('read', position, length, size)).not.toThrow();
  });

  it.each([
    [-1, 1, 10],
    [0.5, 1, 10],
    [Number.NaN, 1, 10],
    [Number.POSITIVE_INFINITY, 0, 10],
    [2 ** 53, 0, Number.MAX_SAFE_INTEGER],
    [0, -1, 10],
    [0, 1.5, 10],
    [0, 11, 10],
    [11, 0, 10],
    [Number.MAX_SAFE_INTEGER, 1, Number.MAX_SAFE_INTEGER],
  ])('refuses %d + %d of %d', (position, length, size) => {
    expect(() => checkRange('read', position, length, size)).toThrow(RangeError);
  });
});

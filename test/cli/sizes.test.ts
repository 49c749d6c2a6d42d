import { describe, expect, it } from 'vitest';
import { UsageError } from '../../bin/errors.ts';
import { formatBytes, formatExactly, formatRate, parseBytes, parseDiskSize } from '../../bin/sizes.ts';

describe('a number of bytes', () => {
  it.each([
    ['0', 0],
    ['1', 1],
    ['20000000000', 20_000_000_000],
    ['1K', 1024],
    ['1k', 1024],
    ['20M', 20 * 1024 ** 2],
    ['20 M', 20 * 1024 ** 2],
    ['20MiB', 20 * 1024 ** 2],
    ['20mib', 20 * 1024 ** 2],
    ['1.5G', 1.5 * 1024 ** 3],
    ['2040GiB', 2040 * 1024 ** 3],
    ['16T', 16 * 1024 ** 4],
    ['0x200', 512],
  ])('%s is %d', (text, bytes) => {
    expect(parseBytes(text, '--size')).toBe(bytes);
  });

  it.each(['', 'G', '20X', '20 bytes', '20B', '-1', '1e3', '20GiBB', '1,5G', '0x', 'NaN', '20iB'])(
    'refuses %j',
    (text) => {
      expect(() => parseBytes(text, '--size')).toThrow(`--size: expected a number of bytes`);
    },
  );

  it('refuses powers of 1000 and says both readings', () => {
    const error = errorOf(() => parseBytes('20GB', 'SIZE'));
    expect(error.message).toContain("SIZE: '20GB' could mean two sizes");
    expect(error.remedy).toBe('write 20G (21474836480) or 20000000000');
  });

  it('refuses parts of a byte', () => {
    expect(() => parseBytes('0.0001K', 'SIZE')).toThrow("expected a whole number of bytes, found '0.0001K'");
  });

  it.each(['9000000000T', '99999999999999999999'])('refuses %s, which no file can have', (text) => {
    expect(() => parseBytes(text, 'SIZE')).toThrow('less than 2^53 bytes');
  });
});

describe('the size of a disk', () => {
  it.each([
    ['20', 'did you mean 20M or 20G?'],
    ['513', 'did you mean 513M or 513G?'],
    ['1000000', 'did you mean 1000448?'],
  ])('%s is refused with a guess', (text, remedy) => {
    const error = errorOf(() => parseDiskSize(text, 'SIZE'));
    expect(error.message).toBe(`SIZE: expected a multiple of 512 bytes, found ${text}`);
    expect(error.remedy).toBe(remedy);
  });

  it('is not 0', () => {
    expect(() => parseDiskSize('0', 'SIZE')).toThrow('at least one sector');
  });

  it('may be one sector', () => {
    expect(parseDiskSize('512', 'SIZE')).toBe(512);
  });
});

describe('sizes for people', () => {
  it.each([
    [0, '0 bytes'],
    [1, '1 byte'],
    [1023, '1023 bytes'],
    [1024, '1 KiB'],
    [1536, '1.5 KiB'],
    [10 * 1024 ** 2, '10 MiB'],
    [100 * 1024 ** 3, '100 GiB'],
    [2040 * 1024 ** 3, '1.99 TiB'],
    [5000 * 1024 ** 4, '5000 TiB'],
  ])('%d is %s', (bytes, text) => {
    expect(formatBytes(bytes)).toBe(text);
  });

  it('come with the exact number where they are rounded', () => {
    expect(formatExactly(1536)).toBe('1.5 KiB (1536 bytes)');
    expect(formatExactly(512)).toBe('512 bytes');
  });

  it('come as a rate where there is one to speak of', () => {
    expect(formatRate(512 * 1024 ** 2, 2)).toBe(', 256 MiB/s');
    expect(formatRate(512, 2)).toBe('');
    expect(formatRate(1024 ** 3, 0)).toBe('');
  });
});

function errorOf(action: () => unknown): UsageError {
  try {
    action();
  } catch (error) {
    if (error instanceof UsageError) return error;
    throw error;
  }
  throw new Error('it did not throw');
}

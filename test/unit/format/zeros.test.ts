import { afterEach, describe, expect, it, vi } from 'vitest';
import { shifted } from '../../support/bytes.ts';

type IsAllZeros = (bytes: Uint8Array) => boolean;

async function loadWith(hasBuffer: boolean): Promise<IsAllZeros> {
  vi.resetModules();
  if (!hasBuffer) vi.stubGlobal('Buffer', undefined);
  try {
    return (await import('../../../src/format/zeros.ts')).isAllZeros;
  } finally {
    vi.unstubAllGlobals();
  }
}

afterEach(() => {
  vi.resetModules();
});

describe.each([
  ['with Buffer', true],
  ['without Buffer', false],
])('isAllZeros %s', (_name, hasBuffer) => {
  const lengths = [0, 1, 7, 8, 9, 15, 16, 17, 511, 512, 65_535, 65_536, 65_537, 131_073];

  it('sees zeros for what they are, wherever the view begins', async () => {
    const isAllZeros = await loadWith(hasBuffer);
    for (const length of lengths) {
      for (let byteOffset = 0; byteOffset < 9; byteOffset++) {
        expect(isAllZeros(shifted(new Uint8Array(length), byteOffset)), `${length} at ${byteOffset}`).toBe(true);
      }
    }
  });

  it('sees a single byte anywhere', async () => {
    const isAllZeros = await loadWith(hasBuffer);
    for (const length of lengths) {
      for (const byteOffset of [0, 1, 3, 7, 8]) {
        const places = new Set([0, 1, 6, 7, 8, length >> 1, length - 9, length - 8, length - 2, length - 1, 65_536]);
        for (const place of places) {
          if (place < 0 || place >= length) continue;
          const bytes = shifted(new Uint8Array(length), byteOffset);
          bytes[place] = 0x80;
          expect(isAllZeros(bytes), `${length} at ${byteOffset}, byte ${place}`).toBe(false);
        }
      }
    }
  });
});

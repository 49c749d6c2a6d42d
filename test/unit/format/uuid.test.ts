import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatUuid, formatUuidMixedEndian, parseUuid, randomToUuid } from '../../../src/format/uuid.ts';

const BYTES = Uint8Array.from({ length: 16 }, (_, index) => index * 17);

describe('a UUID', () => {
  it('is shown in file order', () => {
    expect(formatUuid(BYTES)).toBe('00112233-4455-6677-8899-aabbccddeeff');
  });

  it('is shown as Windows does: three groups the other way round', () => {
    expect(formatUuidMixedEndian(BYTES)).toBe('33221100-5544-7766-8899-aabbccddeeff');
  });

  it('comes back from its text, in either case', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 16, maxLength: 16 }), (bytes) => {
        expect(parseUuid(formatUuid(bytes))).toEqual(bytes);
        expect(parseUuid(formatUuid(bytes).toUpperCase())).toEqual(bytes);
      }),
    );
  });

  it.each([
    '',
    '00112233445566778899aabbccddeeff',
    '{00112233-4455-6677-8899-aabbccddeeff}',
    '00112233-4455-6677-8899-aabbccddeefg',
    '00112233-4455-6677-8899-aabbccddeeff\n',
  ])('is not %j', (text) => {
    expect(() => parseUuid(text)).toThrow(RangeError);
  });

  it('made of random bytes has version 4 and the variant where Windows looks for them', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 16, maxLength: 20 }), (random) => {
        const text = formatUuidMixedEndian(randomToUuid(random));
        expect(text).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
      }),
    );
  });

  it('leaves the random bytes alone', () => {
    const random = new Uint8Array(16);
    randomToUuid(random);
    expect(random).toEqual(new Uint8Array(16));
  });
});

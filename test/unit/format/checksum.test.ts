import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { checksumOf } from '../../../src/format/checksum.ts';
import { shifted } from '../../support/bytes.ts';

describe('checksumOf', () => {
  it.each([
    ['zeros', new Uint8Array(512), 64, 0xffff_ffff],
    ['one', new Uint8Array(512).fill(1, 0, 1), 64, 0xffff_fffe],
    ['512 times 0xff, less the field', new Uint8Array(512).fill(0xff), 64, 0xffff_ffff - 508 * 0xff],
    ['1024 times 0xc7, less the field', new Uint8Array(1024).fill(0xc7), 36, 0xffff_ffff - 1020 * 0xc7],
  ])('of %s', (_name, bytes, offset, expected) => {
    expect(checksumOf(bytes, offset)).toBe(expected);
  });

  it('does not depend on the four bytes of its own field, or on where the view begins', () => {
    const bytes = fc.uint8Array({ minLength: 512, maxLength: 512 });
    const field = fc.uint8Array({ minLength: 4, maxLength: 4 });
    fc.assert(
      fc.property(bytes, field, fc.integer({ min: 0, max: 7 }), (content, four, byteOffset) => {
        const other = content.slice();
        other.set(four, 64);
        expect(checksumOf(shifted(other, byteOffset), 64)).toBe(checksumOf(content, 64));
      }),
    );
  });
});

import { VhdError } from '../errors.ts';
import type { DecodedExtent, DecodedVhd } from '../stream/decode.ts';

/**
 * Holds the size of a disk against the one it was said to have.
 * @throws VhdError `ERR_VHD_SIZE`
 */
export function checkExpectedSize(size: number, expected: number | undefined, name?: string): void {
  if (expected === undefined || size === expected) return;
  throw sizeError('ERR_VHD_SIZE', 'the disk has another size than was said', { expected, found: size, name });
}

/** A disk coming down a stream that rejects as soon as it is longer than `expected`, or ends before. */
export function expectSize(decoded: DecodedVhd, expected: number): DecodedVhd {
  if (decoded.size !== undefined) {
    checkExpectedSize(decoded.size, expected, '-');
    return decoded;
  }
  async function* extents(): AsyncGenerator<DecodedExtent> {
    for await (const extent of decoded.extents()) {
      checkNotLonger(extent.start + extent.bytes.length, expected);
      yield extent;
    }
    checkNotShorter(decoded.end()?.size ?? 0, expected);
  }
  async function* raw(): AsyncGenerator<Uint8Array> {
    let position = 0;
    for await (const bytes of decoded.raw()) {
      position += bytes.length;
      checkNotLonger(position, expected);
      yield bytes;
    }
    checkNotShorter(position, expected);
  }
  return { ...decoded, size: expected, extents, raw };
}

function checkNotLonger(position: number, expected: number): void {
  if (position <= expected) return;
  throw sizeError('ERR_VHD_SIZE', 'the disk in the stream is longer than was said', {
    expected,
    found: position,
    name: '-',
    more: ' or more',
  });
}

function checkNotShorter(position: number, expected: number): void {
  if (position >= expected) return;
  throw sizeError('ERR_VHD_TRUNCATED', 'the disk in the stream is shorter than was said', {
    expected,
    found: position,
    name: '-',
  });
}

function sizeError(
  code: 'ERR_VHD_SIZE' | 'ERR_VHD_TRUNCATED',
  message: string,
  sizes: { expected: number; found: number; name: string | undefined; more?: string },
): VhdError {
  const expected = `${sizes.expected} bytes`;
  const found = `${sizes.found} bytes${sizes.more ?? ''}`;
  return new VhdError(code, `${message}: expected ${expected}, found ${found}`, {
    storage: sizes.name,
    expected,
    found,
    remedy: 'check the size, and that the source is whole',
  });
}

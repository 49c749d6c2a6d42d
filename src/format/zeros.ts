const PIECE_BYTES = 64 * 1024;
const ZEROS = new Uint8Array(PIECE_BYTES);

/** A shared block of 64 KiB of zeros. Never write to it. */
export const ZERO_PIECE: Uint8Array = ZEROS;

/** True if every byte is zero. Native compare where there is a `Buffer`, eight bytes at a time elsewhere. */
export function isAllZeros(bytes: Uint8Array): boolean {
  // Most data differs from zero in its first bytes: look there before calling out.
  if (bytes.length > 0 && (bytes[0] !== 0 || bytes[bytes.length >> 1] !== 0)) return false;
  for (let offset = 0; offset < bytes.length; offset += PIECE_BYTES) {
    if (!isZeroPiece(bytes.subarray(offset, offset + PIECE_BYTES))) return false;
  }
  return true;
}

const nativeCompare: ((first: Uint8Array, second: Uint8Array) => number) | undefined =
  typeof Buffer === 'undefined' ? undefined : Buffer.compare.bind(Buffer);

function isZeroPiece(piece: Uint8Array): boolean {
  if (nativeCompare !== undefined) return nativeCompare(piece, ZEROS.subarray(0, piece.length)) === 0;
  return isZeroByWords(piece);
}

function isZeroByWords(piece: Uint8Array): boolean {
  const head = Math.min((8 - (piece.byteOffset % 8)) % 8, piece.length);
  const wordCount = (piece.length - head) >> 3;
  const words = new BigUint64Array(piece.buffer, piece.byteOffset + head, wordCount);
  for (const word of words) if (word !== 0n) return false;
  for (let index = 0; index < head; index++) if (piece[index] !== 0) return false;
  for (let index = head + wordCount * 8; index < piece.length; index++) if (piece[index] !== 0) return false;
  return true;
}

const PIECE_BYTES = 64 * 1024;
const ZEROS = new Uint8Array(PIECE_BYTES);
const ONES = new Uint8Array(PIECE_BYTES).fill(0xff);

/** A shared block of 64 KiB of zeros. Never write to it. */
export const ZERO_PIECE: Uint8Array = ZEROS;

/** True if every byte is zero. Native compare where there is a `Buffer`, eight bytes at a time elsewhere. */
export function isAllZeros(bytes: Uint8Array): boolean {
  // Most data differs from zero in its first bytes: look there before calling out.
  if (bytes.length > 0 && (bytes[0] !== 0 || bytes[bytes.length >> 1] !== 0)) return false;
  return consistsOf(bytes, ZEROS);
}

/** True if every bit is set, as in an empty table and in the bitmap of a block that was written. */
export function isAllOnes(bytes: Uint8Array): boolean {
  return consistsOf(bytes, ONES);
}

/** A stretch of bytes that is not zero. */
export interface DataRun {
  /** First byte. */
  readonly start: number;
  /** Bytes. */
  readonly length: number;
}

/**
 * The stretches of `bytes` that are not zero, looked at in grains; neighbours are joined.
 * @param bytes what to look at
 * @param grainBytes bytes of a grain
 * @param position where `bytes` begin on the disk: grains end at multiples of `grainBytes` there
 */
export function dataRuns(bytes: Uint8Array, grainBytes: number, position = 0): DataRun[] {
  const runs: { start: number; length: number }[] = [];
  let start = 0;
  while (start < bytes.length) {
    const length = Math.min(grainBytes - ((position + start) % grainBytes), bytes.length - start);
    if (!isAllZeros(bytes.subarray(start, start + length))) {
      const last = runs.at(-1);
      if (last !== undefined && last.start + last.length === start) last.length += length;
      else runs.push({ start, length });
    }
    start += length;
  }
  return runs;
}

function consistsOf(bytes: Uint8Array, pattern: Uint8Array): boolean {
  for (let offset = 0; offset < bytes.length; offset += PIECE_BYTES) {
    if (!isEqual(bytes.subarray(offset, offset + PIECE_BYTES), pattern)) return false;
  }
  return true;
}

const nativeCompare: ((first: Uint8Array, second: Uint8Array) => number) | undefined =
  typeof Buffer === 'undefined' ? undefined : Buffer.compare.bind(Buffer);

/** True if `piece` is the beginning of `pattern`, whose bytes are all alike. */
function isEqual(piece: Uint8Array, pattern: Uint8Array): boolean {
  if (nativeCompare !== undefined) return nativeCompare(piece, pattern.subarray(0, piece.length)) === 0;
  const byte = pattern[0] ?? 0;
  if (piece.length < 16) return piece.every((value) => value === byte);
  const head = (8 - (piece.byteOffset % 8)) % 8;
  const wordCount = (piece.length - head) >> 3;
  const wanted = byte === 0 ? 0n : 0xffff_ffff_ffff_ffffn;
  for (const word of new BigUint64Array(piece.buffer, piece.byteOffset + head, wordCount)) {
    if (word !== wanted) return false;
  }
  for (let index = 0; index < head; index++) if (piece[index] !== byte) return false;
  for (let index = head + wordCount * 8; index < piece.length; index++) if (piece[index] !== byte) return false;
  return true;
}

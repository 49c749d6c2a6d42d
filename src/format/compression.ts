import { detectForeign } from './magic.ts';

/** A format that is decompressed on the way. */
export type Compression = 'gzip' | 'zstd' | 'xz';

/** The formats that are decompressed. */
export const COMPRESSIONS: readonly Compression[] = ['gzip', 'zstd', 'xz'];

/** Bytes from the start of a file that {@link detectCompression} wants to see. */
export const COMPRESSION_MAGIC_BYTES = 6;
/** Bytes from the start of a frame that {@link zstdLacksChecksum} wants to see. */
export const ZSTD_HEAD_BYTES = 5;

/** All but the first byte, which is 0x50 to 0x5F, of the mark of a skippable frame of zstd (RFC 8878, 3.1.2). */
const ZSTD_SKIPPABLE = [0x2a, 0x4d, 0x18];
const ZSTD_FRAME = 0x28;
const ZSTD_CHECKSUM_FLAG = 4;

/** Tells gzip, zstd and xz by their first bytes; undefined for everything else. */
export function detectCompression(head: Uint8Array): Compression | undefined {
  // A skippable frame may come first, as pzstd writes it.
  if ((head[0] ?? 0) >> 4 === 5 && ZSTD_SKIPPABLE.every((byte, index) => head[index + 1] === byte)) return 'zstd';
  const kind = detectForeign(head.subarray(0, COMPRESSION_MAGIC_BYTES))?.kind;
  return COMPRESSIONS.find((compression) => compression === kind);
}

/** True if the frame of zstd that begins like this holds content without a checksum (RFC 8878, 3.1.1.1.1). */
export function zstdLacksChecksum(head: Uint8Array): boolean {
  return head[0] === ZSTD_FRAME && ((head[4] ?? 0xff) & ZSTD_CHECKSUM_FLAG) === 0;
}

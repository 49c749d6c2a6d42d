import crc from 'crc-32';

/**
 * The CRC-32 of GPT headers and entry arrays (UEFI specification 5.3.2: polynomial 0x04C11DB7, reflected).
 * @param bytes what it is of
 * @param seed the CRC of what comes before them, as a signed number
 */
export function crc32(bytes: Uint8Array, seed = 0): number {
  return crc.buf(bytes, seed) >>> 0;
}

/**
 * The checksum of footer and dynamic header: the ones' complement of the sum of all bytes, the four of the checksum
 * field taken as 0 (specification, "Checksum"). Computed over the bytes as read, never over re-encoded fields.
 */
export function checksumOf(bytes: Uint8Array, checksumOffset: number): number {
  let sum = 0;
  for (let offset = 0; offset < bytes.length; offset++) {
    if (offset < checksumOffset || offset >= checksumOffset + 4) sum += bytes[offset] ?? 0;
  }
  return ~sum >>> 0;
}

import { copyOf } from './bytes.ts';

const UUID_PATTERN = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

/** The 16 bytes of an identifier as text in file order (RFC 4122; qemu, blktap, libvhdi show it so). */
export function formatUuid(bytes: Uint8Array): string {
  const digits = Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
  return [8, 12, 16, 20].reduceRight((text, at) => `${text.slice(0, at)}-${text.slice(at)}`, digits);
}

/** The 16 bytes as Windows shows them: the first three groups little-endian. */
export function formatUuidMixedEndian(bytes: Uint8Array): string {
  return formatUuid(swapGroups(bytes));
}

/**
 * Reads the text form, in file order, back into 16 bytes.
 * @throws RangeError if it is no UUID
 */
export function parseUuid(text: string): Uint8Array {
  if (!UUID_PATTERN.test(text)) throw new RangeError(`not a UUID: expected 8-4-4-4-12 hex digits, found '${text}'`);
  const digits = text.replaceAll('-', '');
  return Uint8Array.from({ length: 16 }, (_, index) => Number.parseInt(digits.slice(index * 2, index * 2 + 2), 16));
}

/** Makes 16 random bytes a version 4 UUID in the order Windows writes: version and variant where it looks for them. */
export function randomToUuid(random: Uint8Array): Uint8Array {
  const bytes = copyOf(random, 0, 16);
  bytes[7] = ((bytes[7] ?? 0) & 0x0f) | 0x40;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  return bytes;
}

function swapGroups(bytes: Uint8Array): Uint8Array {
  const order = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15];
  return Uint8Array.from(order, (index) => bytes[index] ?? 0);
}

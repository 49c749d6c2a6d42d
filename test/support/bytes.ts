/** Bytes that differ from place to place and are never zero, the same for the same seed. */
export function pattern(length: number, seed = 1): Uint8Array {
  const bytes = new Uint8Array(length);
  let state = (seed * 0x9e37_79b1) >>> 0 || 1;
  for (let index = 0; index < length; index++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    bytes[index] = (state >>> 24) % 255 || 1;
  }
  return bytes;
}

/** The same bytes in a view that begins `byteOffset` bytes into a larger buffer full of 0xee. */
export function shifted(bytes: Uint8Array, byteOffset: number): Uint8Array {
  const room = new Uint8Array(byteOffset + bytes.length + 9).fill(0xee);
  room.set(bytes, byteOffset);
  return room.subarray(byteOffset, byteOffset + bytes.length);
}

/** The first index at which two arrays differ, -1 if they do not; quicker than a deep comparison of megabytes. */
export function firstDifference(first: Uint8Array, second: Uint8Array): number {
  if (Buffer.compare(first, second) === 0) return -1;
  const length = Math.min(first.length, second.length);
  for (let index = 0; index < length; index++) if (first[index] !== second[index]) return index;
  return length;
}

/** Bytes as hex digits, spaces between groups left out. */
export function fromHex(digits: string): Uint8Array {
  return Uint8Array.from(digits.replaceAll(' ', '').match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
}

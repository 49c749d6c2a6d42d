import { viewOf } from './bytes.ts';
import { encodeDynamicHeader, plainDynamicHeader } from './dynamic-header.ts';
import { batByteLength, entryCountFor, NEW_TABLE_OFFSET } from './layout.ts';
import { BAT_ENTRY_BYTES, FOOTER_BYTES } from './spec.ts';

/**
 * What a new dynamic image begins with: footer copy, dynamic header and table, the padding of the table all ones.
 * @param footer the encoded footer
 * @param size virtual size in bytes
 * @param blockSize bytes of a block
 * @param sectors the sector of the bitmap of each allocated block
 */
export function encodeFront(
  footer: Uint8Array,
  size: number,
  blockSize: number,
  sectors: Iterable<readonly [blockIndex: number, sector: number]> = [],
): Uint8Array {
  const entryCount = entryCountFor(size, blockSize);
  const front = new Uint8Array(frontByteLength(size, blockSize)).fill(0xff, NEW_TABLE_OFFSET);
  front.set(footer, 0);
  front.set(encodeDynamicHeader(plainDynamicHeader(NEW_TABLE_OFFSET, entryCount, blockSize)), FOOTER_BYTES);
  const view = viewOf(front);
  for (const [blockIndex, sector] of sectors) view.setUint32(NEW_TABLE_OFFSET + blockIndex * BAT_ENTRY_BYTES, sector);
  return front;
}

/** Bytes of footer copy, dynamic header and table of a new image. */
export function frontByteLength(size: number, blockSize: number): number {
  return NEW_TABLE_OFFSET + batByteLength(entryCountFor(size, blockSize));
}

import { setSectors } from '../format/bitmap.ts';
import { SECTOR_BYTES } from '../format/spec.ts';

/** Stretches that differ are looked into by halves down to this, and by sectors below. */
const FINE_BYTES = 16 * 1024;

/**
 * Sets, in the bitmap of a block, the bits of the sectors in which two stretches of equal length differ.
 * @param bitmap the bitmap
 * @param firstSector the sector in the block that the stretches begin with
 * @param first whole sectors
 * @param second what to hold them against
 * @returns how many sectors differ
 */
export function markDifferingSectors(
  bitmap: Uint8Array,
  firstSector: number,
  first: Uint8Array,
  second: Uint8Array,
): number {
  if (areEqual(first, second)) return 0;
  if (first.length > FINE_BYTES) {
    const half = Math.ceil(first.length / SECTOR_BYTES / 2) * SECTOR_BYTES;
    return (
      markDifferingSectors(bitmap, firstSector, first.subarray(0, half), second.subarray(0, half)) +
      markDifferingSectors(bitmap, firstSector + half / SECTOR_BYTES, first.subarray(half), second.subarray(half))
    );
  }
  let count = 0;
  for (let offset = 0; offset < first.length; offset += SECTOR_BYTES) {
    const end = offset + SECTOR_BYTES;
    if (areEqual(first.subarray(offset, end), second.subarray(offset, end))) continue;
    setSectors(bitmap, firstSector + offset / SECTOR_BYTES, 1);
    count++;
  }
  return count;
}

function areEqual(first: Uint8Array, second: Uint8Array): boolean {
  // Most of what differs does so early: look there before calling out.
  return first[0] === second[0] && Buffer.compare(first, second) === 0;
}

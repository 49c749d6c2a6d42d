import { alignUp, SECTOR_BYTES } from './spec.ts';
import { isAllOnes } from './zeros.ts';

/** A run of sectors whose bits are alike. */
export interface SectorRun {
  /** First sector, counted from the start of the block. */
  readonly sector: number;
  /** Sectors in the run. */
  readonly sectorCount: number;
  /** Whether their bits are set: the sectors are in this file. */
  readonly isSet: boolean;
}

/** Bytes a block's bitmap takes in the file: a bit a sector, padded to whole sectors. */
export function bitmapByteLength(blockSize: number): number {
  return alignUp(Math.ceil(blockSize / SECTOR_BYTES / 8), SECTOR_BYTES);
}

/** A bitmap of `byteLength` bytes with every bit set, as Windows writes it for a new block. */
export function allOnesBitmap(byteLength: number): Uint8Array {
  return new Uint8Array(byteLength).fill(0xff);
}

/** True if the bit of a sector is set; the most significant bit of byte 0 is sector 0. */
export function isSectorSet(bitmap: Uint8Array, sector: number): boolean {
  return ((bitmap[sector >> 3] ?? 0) & (0x80 >> (sector & 7))) !== 0;
}

/** Sets the bits of `sectorCount` sectors from `sector` on; true if that changed any. */
export function setSectors(bitmap: Uint8Array, sector: number, sectorCount: number): boolean {
  let isChanged = false;
  for (let index = sector; index < sector + sectorCount; index++) {
    if (isSectorSet(bitmap, index)) continue;
    bitmap[index >> 3] = (bitmap[index >> 3] ?? 0) | (0x80 >> (index & 7));
    isChanged = true;
  }
  return isChanged;
}

/** True if the bits of the first `sectorCount` sectors are all set. */
export function areAllSet(bitmap: Uint8Array, sectorCount: number): boolean {
  const wholeBytes = sectorCount >> 3;
  if (!isAllOnes(bitmap.subarray(0, wholeBytes))) return false;
  for (let sector = wholeBytes * 8; sector < sectorCount; sector++) if (!isSectorSet(bitmap, sector)) return false;
  return true;
}

/**
 * The bitmap of a block as maximal runs of equal bits, in order, covering `sectorCount` sectors from `firstSector` on.
 * Bits beyond the bitmap read as clear.
 */
export function decodeBitmap(bitmap: Uint8Array, sectorCount: number, firstSector = 0): SectorRun[] {
  const runs: SectorRun[] = [];
  const end = firstSector + sectorCount;
  let sector = firstSector;
  while (sector < end) {
    const isSet = isSectorSet(bitmap, sector);
    const runEnd = endOfRun(bitmap, sector, end, isSet);
    runs.push({ sector, sectorCount: runEnd - sector, isSet });
    sector = runEnd;
  }
  return runs;
}

/** The sector behind those from `sector` on whose bits are alike and `isSet`, as that of `sector` is; `end` at most. */
export function endOfRun(bitmap: Uint8Array, sector: number, end: number, isSet: boolean): number {
  const wholeByte = isSet ? 0xff : 0;
  let index = sector + 1;
  while (index < end) {
    if ((index & 7) === 0 && (bitmap[index >> 3] ?? 0) === wholeByte) index += 8;
    else if (isSectorSet(bitmap, index) === isSet) index++;
    else break;
  }
  return Math.min(index, end);
}

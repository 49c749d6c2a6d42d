import { SECTOR_BYTES } from './spec.ts';

/** Cylinders, heads and sectors per track, the disk geometry old systems address by. */
export interface Geometry {
  /** Cylinders, 0 to 65535. */
  readonly cylinders: number;
  /** Heads, 0 to 255. */
  readonly heads: number;
  /** Sectors per track, 0 to 255. */
  readonly sectorsPerTrack: number;
}

const MAX_CYLINDERS = 65535;
const MAX_SECTORS = MAX_CYLINDERS * 16 * 255;

/**
 * The geometry for a virtual size in bytes, exactly as the specification's appendix computes it, with whole divisions.
 * Its size is at most the one given: the tail, up to 2.6 MB below 127 GiB, cannot be reached through it.
 */
export function geometryFor(byteLength: number): Geometry {
  const sectorCount = Math.min(Math.floor(byteLength / SECTOR_BYTES), MAX_SECTORS);
  if (sectorCount >= MAX_CYLINDERS * 16 * 63) return withCylinders(sectorCount, 16, 255);
  const cylinderTimesHeads = Math.floor(sectorCount / 17);
  const heads = Math.max(4, Math.floor((cylinderTimesHeads + 1023) / 1024));
  if (cylinderTimesHeads < heads * 1024 && heads <= 16) return withCylinders(sectorCount, heads, 17);
  if (Math.floor(sectorCount / 31) < 16 * 1024) return withCylinders(sectorCount, 16, 31);
  return withCylinders(sectorCount, 16, 63);
}

function withCylinders(sectorCount: number, heads: number, sectorsPerTrack: number): Geometry {
  const cylinders = Math.floor(Math.floor(sectorCount / sectorsPerTrack) / heads);
  return { cylinders, heads, sectorsPerTrack };
}

/** The size in bytes that a geometry can address. */
export function geometryByteLength(geometry: Geometry): number {
  return geometry.cylinders * geometry.heads * geometry.sectorsPerTrack * SECTOR_BYTES;
}

/** True for 65535/16/255, which every reader takes for "too large for CHS, use the size". */
export function isMaximumGeometry(geometry: Geometry): boolean {
  return geometryByteLength(geometry) === MAX_SECTORS * SECTOR_BYTES;
}

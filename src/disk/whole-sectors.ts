import { SECTOR_BYTES } from '../format/spec.ts';
import type { PlacedBytes } from '../storage/storage.ts';

/** Sectors that writes cover only in part: each is read as it is, then the parts are put over it. */
export class SectorEdges {
  readonly #sectors = new Map<number, Uint8Array>();
  readonly #parts: PlacedBytes[] = [];

  /** The sectors, to be filled with what is there. */
  get sectors(): PlacedBytes[] {
    return [...this.#sectors].map(([position, bytes]) => ({ position, bytes }));
  }

  /** Notes a part of the sector at a position of the disk; returns the sector, to be written, if it is the first part of it. */
  add(sectorStart: number, part: PlacedBytes): Uint8Array | undefined {
    this.#parts.push(part);
    if (this.#sectors.has(sectorStart)) return undefined;
    const bytes = new Uint8Array(SECTOR_BYTES);
    this.#sectors.set(sectorStart, bytes);
    return bytes;
  }

  /** Puts the parts over what was read. */
  fill(): void {
    for (const { position, bytes } of this.#parts) {
      const sectorStart = position - (position % SECTOR_BYTES);
      this.#sectors.get(sectorStart)?.set(bytes, position - sectorStart);
    }
  }
}

/**
 * The writes as whole sectors, in order: what covers sectors entirely as it is, what covers a part of one as a sector of
 * `edges`, which is yet to be filled.
 */
export function wholeSectors(writes: readonly PlacedBytes[], edges: SectorEdges): PlacedBytes[] {
  const whole: PlacedBytes[] = [];
  for (const { position, bytes } of writes) {
    const end = position + bytes.length;
    for (let from = position; from < end; ) {
      const sectorStart = from - (from % SECTOR_BYTES);
      const lastWhole = end - (end % SECTOR_BYTES);
      const isWhole = sectorStart === from && lastWhole > from;
      const to = isWhole ? lastWhole : Math.min(end, sectorStart + SECTOR_BYTES);
      const part = { position: from, bytes: bytes.subarray(from - position, to - position) };
      if (isWhole) whole.push(part);
      else {
        const sector = edges.add(sectorStart, part);
        if (sector !== undefined) whole.push({ position: sectorStart, bytes: sector });
      }
      from = to;
    }
  }
  return whole;
}

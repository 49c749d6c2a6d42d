import type { MapRun } from '../src/ops/map.ts';

/** Takes the runs of a disk, in order. */
export interface RunSink {
  add(run: MapRun): void;
}

/** How full a slice of the disk is; each from 0 to 1. */
export interface CellFill {
  /** Part of it that is stored. */
  readonly data: number;
  /** Part of it that a parent stores; counted in `data` too. */
  readonly parent: number;
  /** Part of it that cannot be told. */
  readonly unknown: number;
}

/** A range of a disk in slices of one size, and how full each of them is. */
export class CellGrid implements RunSink {
  readonly start: number;
  readonly length: number;
  readonly cellBytes: number;
  readonly cellCount: number;
  readonly #data: Float64Array;
  readonly #parent: Float64Array;
  readonly #unknown: Float64Array;

  /** Slices of `cellBytes`, a whole number, from `start` on; the last one may be shorter. */
  constructor(start: number, length: number, cellBytes: number) {
    this.start = start;
    this.length = length;
    this.cellBytes = cellBytes;
    this.cellCount = Math.ceil(length / cellBytes);
    this.#data = new Float64Array(this.cellCount);
    this.#parent = new Float64Array(this.cellCount);
    this.#unknown = new Float64Array(this.cellCount);
  }

  add(run: MapRun): void {
    if (run.kind === 'zero') return;
    const sums = run.kind === 'unknown' ? [this.#unknown] : run.depth > 0 ? [this.#data, this.#parent] : [this.#data];
    const end = Math.min(run.start + run.length, this.start + this.length) - this.start;
    let position = Math.max(run.start - this.start, 0);
    while (position < end) {
      const index = Math.floor(position / this.cellBytes);
      const next = Math.min(end, (index + 1) * this.cellBytes);
      for (const sum of sums) sum[index] = (sum[index] ?? 0) + next - position;
      position = next;
    }
  }

  /** How full a slice is. */
  fill(index: number): CellFill {
    const bytes = Math.min(this.cellBytes, this.length - index * this.cellBytes);
    const part = (sums: Float64Array): number => Math.min(1, (sums[index] ?? 0) / bytes);
    return { data: part(this.#data), parent: part(this.#parent), unknown: part(this.#unknown) };
  }
}

/** Shades a slice can have, besides empty: the last one is for those that are full. */
export const SHADE_COUNT = 4;

/** How dark to draw a slice: 0 only if nothing is in it, {@link SHADE_COUNT} only if it is full. */
export function shadeOf(data: number): number {
  if (data <= 0) return 0;
  return data >= 1 ? SHADE_COUNT : Math.min(SHADE_COUNT - 1, 1 + Math.floor(data * (SHADE_COUNT - 1)));
}

/** The smallest power of two, from one sector on, at which `maxCells` slices reach over `length` bytes. */
export function cellBytesFor(length: number, maxCells: number): number {
  let bytes = 512;
  while (bytes * maxCells < length) bytes *= 2;
  return bytes;
}

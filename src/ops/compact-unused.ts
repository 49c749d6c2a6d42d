import type { Disk } from '../disk/disk.ts';
import { joinedRanges, type UnusedRange, type UnusedRanges } from '../disk/unused-blocks.ts';
import { borrowed } from '../storage/borrowed.ts';
import type { Storage } from '../storage/storage.ts';

/** Ranges of a disk that nobody needs, in order, none touching another. */
export class UnusedList implements Iterable<UnusedRange> {
  readonly #ranges: UnusedRange[] = [];

  /** Takes ranges in any order. */
  constructor(ranges: Iterable<UnusedRange>) {
    for (const { start, length } of [...ranges].sort((first, second) => first.start - second.start)) {
      const last = this.#ranges.at(-1);
      if (last === undefined || last.start + last.length < start) this.#ranges.push({ start, length });
      else {
        const end = Math.max(last.start + last.length, start + length);
        this.#ranges[this.#ranges.length - 1] = { start: last.start, length: end - last.start };
      }
    }
  }

  /** Those that somebody tells of; none if nobody does. */
  static async of(disk: Disk, tell: UnusedRanges | undefined): Promise<UnusedList> {
    const ranges: UnusedRange[] = [];
    if (tell !== undefined) for await (const range of joinedRanges(disk, tell)) ranges.push(range);
    return new UnusedList(ranges);
  }

  [Symbol.iterator](): Iterator<UnusedRange> {
    return this.#ranges.values();
  }

  /** The parts of them that lie in a range. */
  *within(position: number, length: number): Generator<UnusedRange> {
    const end = position + length;
    for (let index = this.#firstEndingBehind(position); index < this.#ranges.length; index++) {
      const range = this.#ranges[index];
      if (range === undefined || range.start >= end) return;
      const start = Math.max(range.start, position);
      yield { start, length: Math.min(range.start + range.length, end) - start };
    }
  }

  /** By halving: they may be many, and so may the questions. */
  #firstEndingBehind(position: number): number {
    let [low, high] = [0, this.#ranges.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      const range = this.#ranges[middle];
      if (range !== undefined && range.start + range.length <= position) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/** A storage that has zeros where nothing is needed; for reading. */
export function masked(storage: Storage, unused: UnusedList): Storage {
  return {
    ...borrowed(storage),
    async read(target, position) {
      await storage.read(target, position);
      for (const { start, length } of unused.within(position, target.length)) {
        target.fill(0, start - position, start - position + length);
      }
    },
  };
}

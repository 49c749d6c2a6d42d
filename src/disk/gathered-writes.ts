import type { PlacedBytes } from '../storage/storage.ts';

/** Pieces held at most, so that looking one up, and having all of them written at once, stays cheap. */
const MAX_RUNS = 1024;
/**
 * Writes taken at most, also such as need no room: who awaits them one by one, over the same bytes again and again, has
 * to wait for the file now and then, or nothing else in the process ever gets its turn.
 */
const MAX_PUTS = 4096;

/** Adjacent bytes of the disk that are held in one piece. */
interface Run {
  /** First byte on the disk. */
  start: number;
  /** Behind the last byte on the disk. */
  end: number;
  /** Where in the arena the first byte lies. */
  at: number;
}

/** A range of the disk, `end` exclusive. */
export interface DiskGap {
  /** First byte. */
  readonly start: number;
  /** Behind the last byte. */
  readonly end: number;
}

/**
 * Small writes held in memory: copies of their bytes one behind the other in an arena of fixed size, and which bytes of
 * the disk they are. Later writes cover earlier ones.
 */
export class GatheredWrites {
  readonly #arenaBytes: number;
  #arena: Uint8Array | undefined;
  #used = 0;
  #puts = 0;
  /** In the order of the disk, none overlapping another. */
  #runs: Run[] = [];

  /** Holds at most `arenaBytes`, which are taken when the first write comes. */
  constructor(arenaBytes: number) {
    this.#arenaBytes = arenaBytes;
  }

  /** True if nothing is held. */
  get isEmpty(): boolean {
    return this.#runs.length === 0;
  }

  /** Takes a copy of a write; false if there is no room for it, and then nothing has changed. */
  put(source: Uint8Array, position: number): boolean {
    if (this.#puts >= MAX_PUTS) return false;
    const end = position + source.length;
    const index = this.#firstBehind(position);
    this.#arena ??= new Uint8Array(this.#arenaBytes);
    const holder = this.#runs[index];
    if (holder !== undefined && holder.start <= position && end <= holder.end) {
      this.#arena.set(source, holder.at + position - holder.start);
      this.#puts++;
      return true;
    }
    if (this.#used + source.length > this.#arenaBytes || this.#runs.length >= MAX_RUNS) return false;
    this.#arena.set(source, this.#used);
    this.#insert(this.#cover(index, position, end), { start: position, end, at: this.#used });
    this.#used += source.length;
    this.#puts++;
    return true;
  }

  /** True if some byte of a range is held. */
  overlaps(position: number, length: number): boolean {
    const run = this.#runs[this.#firstBehind(position)];
    return run !== undefined && run.start < position + length;
  }

  /** Fills in what is held of a range, and returns, in order, the parts of it that are not. */
  copyTo(target: Uint8Array, position: number): DiskGap[] {
    const gaps: DiskGap[] = [];
    const end = position + target.length;
    let at = position;
    for (let index = this.#firstBehind(position); ; index++) {
      const run = this.#runs[index];
      if (this.#arena === undefined || run === undefined || run.start >= end) break;
      const [from, to] = [Math.max(run.start, position), Math.min(run.end, end)];
      if (from > at) gaps.push({ start: at, end: from });
      target.set(this.#arena.subarray(run.at + from - run.start, run.at + to - run.start), from - position);
      at = to;
    }
    if (at < end) gaps.push({ start: at, end });
    return gaps;
  }

  /** What is held, in the order of the disk and whatever touches as one. The bytes stay what they are until `clear`. */
  take(): PlacedBytes[] {
    const taken: PlacedBytes[] = [];
    for (let first = 0; first < this.#runs.length; ) {
      let next = first + 1;
      while (next < this.#runs.length && this.#runs[next]?.start === this.#runs[next - 1]?.end) next++;
      taken.push(this.#join(this.#runs.slice(first, next)));
      first = next;
    }
    return taken;
  }

  /** Forgets everything. */
  clear(): void {
    this.#runs = [];
    this.#used = 0;
    this.#puts = 0;
  }

  /** Index of the first run that ends behind a position. */
  #firstBehind(position: number): number {
    let low = 0;
    let high = this.#runs.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#runs[middle]?.end ?? 0) > position) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  /** Takes a range away from the runs that hold it, given the first of them; returns where a run of that range belongs. */
  #cover(first: number, start: number, end: number): number {
    let index = first;
    const head = this.#runs[index];
    if (head !== undefined && head.start < start) {
      // The write reaches past its end: one that lies in a run as a whole has gone there.
      head.end = start;
      index++;
    }
    let next = index;
    while ((this.#runs[next]?.end ?? Number.POSITIVE_INFINITY) <= end) next++;
    this.#runs.splice(index, next - index);
    const tail = this.#runs[index];
    if (tail !== undefined && tail.start < end) {
      tail.at += end - tail.start;
      tail.start = end;
    }
    return index;
  }

  #insert(index: number, run: Run): void {
    const before = this.#runs[index - 1];
    if (before?.end === run.start && before.at + before.end - before.start === run.at) before.end = run.end;
    else this.#runs.splice(index, 0, run);
  }

  #join(runs: readonly Run[]): PlacedBytes {
    const position = runs[0]?.start ?? 0;
    const [first, ...more] = runs.map((run) => this.#bytesOf(run));
    if (first === undefined || more.length === 0) return { position, bytes: first ?? new Uint8Array(0) };
    const bytes = new Uint8Array((runs.at(-1)?.end ?? 0) - position);
    let done = 0;
    for (const part of [first, ...more]) {
      bytes.set(part, done);
      done += part.length;
    }
    return { position, bytes };
  }

  #bytesOf({ start, end, at }: Run): Uint8Array {
    return this.#arena?.subarray(at, at + end - start) ?? new Uint8Array(0);
  }
}

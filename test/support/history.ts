import { firstDifference } from './bytes.ts';

/** A change of the virtual disk that has been asked for: bytes, from a position on. */
interface Change {
  readonly index: number;
  readonly position: number;
  readonly bytes: Uint8Array;
  state: 'called' | 'resolved' | 'failed' | 'durable';
}

/** What every byte of a disk may be at some moment. */
export interface Expectation {
  /** What the disk held in the beginning. */
  readonly base: Uint8Array;
  /** Changes that are there for certain, in the order of the calls. */
  readonly certain: readonly Change[];
  /** Those that may or may not have come through, byte by byte, in the order of the calls. */
  readonly open: readonly Change[];
}

/** How a change ended. */
export interface Outcome {
  /** It resolved. */
  resolved: () => void;
  /** It rejected: each of its bytes may be the old one or the new one, until something else is written there. */
  failed: () => void;
}

/** Follows the calls on a disk, and knows what may be there: for a read now, and after a crash. */
export class History {
  readonly #base: Uint8Array;
  readonly #durability: 'flush' | 'always';
  readonly #changes: Change[] = [];
  #serial = 0;
  #expectation: Expectation | undefined;

  /** `durability` is that of the disk: with `always` what resolves is durable. */
  constructor(content: Uint8Array, durability: 'flush' | 'always' = 'flush') {
    this.#base = content;
    this.#durability = durability;
  }

  /** Another number whenever what is expected after a crash may be something else. */
  get serial(): number {
    return this.#serial;
  }

  /** Notes a change at its call. */
  begin(position: number, bytes: Uint8Array): Outcome {
    const change: Change = { index: this.#changes.length + 1, position, bytes, state: 'called' };
    this.#changes.push(change);
    this.#changed();
    return {
      resolved: () => {
        change.state = this.#durability === 'always' ? 'durable' : 'resolved';
        this.#changed();
      },
      failed: () => {
        change.state = 'failed';
      },
    };
  }

  /** Notes a flush at its call; call the result when it has resolved. */
  beginFlush(): () => void {
    const covered = this.#changes.filter((change) => change.state === 'resolved');
    return () => {
      for (const change of covered) change.state = 'durable';
      this.#changed();
    };
  }

  #changed(): void {
    this.#serial++;
    this.#expectation = undefined;
  }

  /** What may be there if it all stops now. */
  expectation(): Expectation {
    this.#expectation ??= this.#split((change) => change.state === 'durable');
    return this.#expectation;
  }

  /**
   * Notes a read at its call; call the result when it has resolved: it gives every change called before it, of those
   * that failed all or any part.
   */
  beginRead(): () => Expectation {
    const count = this.#changes.length;
    return () => this.#split((change) => change.state !== 'failed', count);
  }

  #split(isCertain: (change: Change) => boolean, count = this.#changes.length): Expectation {
    const changes = this.#changes.slice(0, count);
    return {
      base: this.#base,
      certain: changes.filter(isCertain),
      open: changes.filter((change) => !isCertain(change)),
    };
  }
}

/** Why bytes found from `start` on cannot be; undefined if they can. */
export function contradiction(expected: Expectation, found: Uint8Array, start = 0): string | undefined {
  const end = start + found.length;
  const changes = [...expected.certain, ...expected.open];
  const inside = changes.flatMap((change) => [change.position, endOf(change)]).filter((at) => at > start && at < end);
  const bounds = [...new Set([start, ...inside, end])].sort((first, second) => first - second);
  for (const [index, to] of bounds.entries()) {
    const from = bounds[index - 1] ?? to;
    if (from === to) continue;
    const wrong = contradictionIn(expected, found.subarray(from - start, to - start), from);
    if (wrong !== undefined) return wrong;
  }
  return undefined;
}

/** The same for a stretch that every change covers as a whole or not at all. */
function contradictionIn(expected: Expectation, found: Uint8Array, from: number): string | undefined {
  const covers = (change: Change): boolean => change.position <= from && endOf(change) > from;
  const floor = expected.certain.findLast(covers);
  const there = floor === undefined ? expected.base.subarray(from, from + found.length) : partOf(floor, from, found);
  const at = firstDifference(found, there);
  if (at === -1) return undefined;
  const later = expected.open.filter((change) => change.index > (floor?.index ?? 0) && covers(change));
  const others = later.map((change) => partOf(change, from, found));
  if (others.some((other) => Buffer.compare(other, found) === 0)) return undefined;
  const wrong = firstOfNone(found, [there, ...others], at);
  if (wrong === -1) return undefined;
  const values = [there, ...others].map((bytes) => bytes[wrong] ?? 'none').join(' or ');
  return `byte ${from + wrong}: found ${found[wrong] ?? 'none'}, expected ${values}`;
}

/** The first byte, from `at` on, that is in none of the choices; -1 if each is in one of them. */
function firstOfNone(found: Uint8Array, choices: readonly Uint8Array[], at: number): number {
  // A sector is of one choice nearly always: single bytes are compared where that is not so.
  for (let from = at - (at % 512); from < found.length; from += 512) {
    const to = Math.min(from + 512, found.length);
    const sector = found.subarray(from, to);
    if (choices.some((bytes) => Buffer.compare(bytes.subarray(from, to), sector) === 0)) continue;
    const wrong = sector.findIndex((byte, index) => choices.every((bytes) => bytes[from + index] !== byte));
    if (wrong !== -1) return from + wrong;
  }
  return -1;
}

function endOf(change: Change): number {
  return change.position + change.bytes.length;
}

function partOf(change: Change, from: number, found: Uint8Array): Uint8Array {
  return change.bytes.subarray(from - change.position, from - change.position + found.length);
}

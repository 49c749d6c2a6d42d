/** A whole number from the environment, or a default. */
export function numberFromEnv(name: string, fallback: number): number {
  const text = process.env[name];
  if (text === undefined || text === '') return fallback;
  const value = Number(text);
  if (!Number.isSafeInteger(value)) throw new RangeError(`${name}: expected a whole number, found '${text}'`);
  return value;
}

/**
 * `VHDKIT_THOROUGH=1`, or `npm run test:all`: what `npm test` does for some of many that are alike, each test says for which, is
 * done for all.
 */
export const isThorough: boolean = process.env['VHDKIT_THOROUGH'] === '1';

/** Every other of many that are alike; with `VHDKIT_THOROUGH=1` all. */
export function someOf<T>(items: readonly T[]): readonly T[] {
  return items.filter((_, index) => isThorough || index % 2 === 0);
}

/** fast-check parameters: `VHDKIT_SEED` repeats a run, `VHDKIT_RUNS` makes it longer. */
export function checkParameters(runs: number): { numRuns: number; seed?: number } {
  const numRuns = numberFromEnv('VHDKIT_RUNS', runs);
  return process.env['VHDKIT_SEED'] === undefined ? { numRuns } : { numRuns, seed: numberFromEnv('VHDKIT_SEED', 0) };
}

/** A small seeded generator of random numbers (mulberry32). */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** A whole number from 0 to `bound` - 1. */
  below(bound: number): number {
    this.#state = (this.#state + 0x6d2b_79f5) >>> 0;
    let mixed = this.#state;
    mixed = Math.imul(mixed ^ (mixed >>> 15), mixed | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 0x1_0000_0000) * bound);
  }

  /** True once in `odds` times. */
  oneIn(odds: number): boolean {
    return this.below(odds) === 0;
  }

  /** One of the items. */
  pick<T>(items: readonly [T, ...T[]]): T {
    return items[this.below(items.length)] ?? items[0];
  }
}

/**
 * A seed made of another and a number: those of the numbers beside it have nothing in common with it, nor have the
 * seeds that the same numbers make of a seed beside the first.
 */
export function mix(seed: number, value: number): number {
  const [start, low, high] = [scramble(seed + 0x9e37_79b9), value % 0x1_0000_0000, Math.floor(value / 0x1_0000_0000)];
  // What a number adds is another for each seed: else two seeds would share whole stretches of cases.
  const mixed = scramble(Math.imul(low, scramble(start + 0x9e37_79b9) | 1) + start);
  return scramble(mixed ^ high);
}

/** The end of MurmurHash3: every bit of the result hangs on every bit of the 32 that come in. */
function scramble(value: number): number {
  let mixed = value >>> 0;
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85eb_ca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2_ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}

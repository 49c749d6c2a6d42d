import { describe, expect, it } from 'vitest';
import { mix, Random } from './seed.ts';

const CASES = 20_000;

/** The seeds of the cases of a run, as `test/support/fuzz.ts` and the crash programs make them. */
function casesOf(seed: number): number[] {
  return Array.from({ length: CASES }, (_, number) => mix(seed, number));
}

function sharedBy(left: readonly number[], right: readonly number[]): number {
  const known = new Set(left);
  return right.filter((value) => known.has(value)).length;
}

/** How many of 32 bits change when one bit of the input does, for each such bit: the mean over many inputs. */
function flipsPerBit(mixed: (bit: number, round: number) => readonly [number, number]): number[] {
  const rounds = 400;
  return Array.from({ length: 32 }, (_, bit) => {
    let flips = 0;
    for (let round = 0; round < rounds; round++) {
      const [before, after] = mixed(bit, round);
      for (let left = (before ^ after) >>> 0; left !== 0; left >>>= 1) flips += left & 1;
    }
    return flips / rounds;
  });
}

describe('mix', () => {
  // Of 20000 numbers of 32 bits out of a hat 0.1 would be in another 20000.
  it.each([1, 2, 3, 7, 64, 4096, 0x1_0000, 0x8000_0000])('of seeds %i apart shares no cases', (distance) => {
    for (const seed of [0, 1, 7, 20_240_601]) {
      expect(sharedBy(casesOf(seed), casesOf(seed + distance))).toBeLessThanOrEqual(3);
    }
  });

  it('of a run gives cases that are all different, or nearly', () => {
    for (const seed of [0, 1, 2, 20_240_601]) expect(new Set(casesOf(seed)).size).toBeGreaterThanOrEqual(CASES - 3);
  });

  it('of a step on the way shares none with the steps beside it', () => {
    const inner = (step: number): number[] => Array.from({ length: CASES }, (_, pick) => mix(mix(5, step), pick));
    for (let step = 0; step < 8; step++) expect(sharedBy(inner(step), inner(step + 1))).toBeLessThanOrEqual(3);
  });

  it('changes half of the bits with any one bit of the seed or the number', () => {
    const ofSeed = flipsPerBit((bit, round) => [mix(round, 9), mix((round ^ (1 << bit)) >>> 0, 9)]);
    const ofValue = flipsPerBit((bit, round) => [mix(9, round), mix(9, (round ^ (1 << bit)) >>> 0)]);
    for (const flips of [...ofSeed, ...ofValue]) {
      expect(flips).toBeGreaterThan(15);
      expect(flips).toBeLessThan(17);
    }
  });

  it('takes numbers beyond 32 bits, as positions are', () => {
    const values = Array.from({ length: 1000 }, (_, index) => mix(1, 512 + index * 2 ** 32));
    expect(new Set(values).size).toBe(1000);
  });

  it('says the same for ever, so that a seed repeats a run', () => {
    expect([mix(0, 0), mix(1, 0), mix(0, 1), mix(20_240_601, 3 * 2 ** 33 + 17)]).toEqual([
      1_680_814_304, 3_696_427_742, 1_638_530_688, 1_823_614_549,
    ]);
  });
});

describe('Random', () => {
  it('begins differently for near seeds', () => {
    const firsts = Array.from({ length: 1000 }, (_, seed) => new Random(seed).below(0x1_0000_0000));
    expect(new Set(firsts).size).toBe(1000);
  });
});

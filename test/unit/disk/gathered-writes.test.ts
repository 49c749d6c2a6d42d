import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { GatheredWrites } from '../../../src/disk/gathered-writes.ts';
import { firstDifference, pattern } from '../../support/bytes.ts';
import { checkParameters } from '../../support/seed.ts';

const DISK_BYTES = 300;
const puts = fc.array(
  fc.record({ position: fc.nat(DISK_BYTES - 1), length: fc.integer({ min: 1, max: 40 }), seed: fc.nat(1000) }),
  { maxLength: 60 },
);

/** What a plain array would hold, and which of its bytes were written. */
class Plain {
  readonly bytes = new Uint8Array(DISK_BYTES);
  readonly isHeld = new Uint8Array(DISK_BYTES);

  put(source: Uint8Array, position: number): void {
    this.bytes.set(source, position);
    this.isHeld.fill(1, position, position + source.length);
  }
}

describe('gathered writes', () => {
  it('are what a plain array would hold, in whatever order and however they overlap', () => {
    const property = fc.property(puts, (calls) => {
      const gathered = new GatheredWrites(900);
      const plain = new Plain();
      for (const { position, length, seed } of calls) {
        const source = pattern(Math.min(length, DISK_BYTES - position), seed);
        if (gathered.put(source, position)) plain.put(source, position);
      }
      expectSame(gathered, plain);
    });
    fc.assert(property, checkParameters(500));
  });

  it('take a copy', () => {
    const gathered = new GatheredWrites(100);
    const source = Uint8Array.of(1, 2, 3);
    gathered.put(source, 10);
    source.fill(9);
    expect(gathered.take()).toEqual([{ position: 10, bytes: Uint8Array.of(1, 2, 3) }]);
  });

  it('refuse what does not fit, and hold what they held', () => {
    const gathered = new GatheredWrites(10);
    expect(gathered.put(pattern(8, 1), 0)).toBe(true);
    expect(gathered.put(pattern(3, 2), 100)).toBe(false);
    expect(gathered.put(pattern(3, 3), 7)).toBe(false);
    expect(gathered.take()).toEqual([{ position: 0, bytes: pattern(8, 1) }]);
    // What lies in a piece as a whole takes no more room.
    expect(gathered.put(pattern(4, 4), 2)).toBe(true);
  });

  it('refuse more than 1024 pieces', () => {
    const gathered = new GatheredWrites(1024 * 1024);
    for (let index = 0; index < 1024; index++) expect(gathered.put(pattern(1), index * 2)).toBe(true);
    expect(gathered.put(pattern(1), 5000)).toBe(false);
    expect(gathered.take()).toHaveLength(1024);
  });

  it('are gone when cleared', () => {
    const gathered = new GatheredWrites(10);
    gathered.put(pattern(10), 0);
    gathered.clear();
    expect(gathered.isEmpty).toBe(true);
    expect(gathered.overlaps(0, 100)).toBe(false);
    expect(gathered.put(pattern(10), 0)).toBe(true);
  });
});

function expectSame(gathered: GatheredWrites, { bytes, isHeld }: Plain): void {
  const whole = new Uint8Array(DISK_BYTES);
  const gaps = gathered.copyTo(whole, 0);
  expect(firstDifference(whole, bytes)).toBe(-1);
  const held = new Uint8Array(DISK_BYTES).fill(1);
  for (const { start, end } of gaps) held.fill(0, start, end);
  expect(firstDifference(held, isHeld)).toBe(-1);
  const taken = new Uint8Array(DISK_BYTES);
  let end = -1;
  for (const run of gathered.take()) {
    // Whatever touches is one.
    expect(run.position).toBeGreaterThan(end);
    taken.fill(1, run.position, run.position + run.bytes.length);
    expect(firstDifference(run.bytes, bytes.subarray(run.position, run.position + run.bytes.length))).toBe(-1);
    end = run.position + run.bytes.length;
  }
  expect(firstDifference(taken, isHeld)).toBe(-1);
  const overlapped = isHeld.map((_, position) => Number(gathered.overlaps(position, 1)));
  expect(firstDifference(overlapped, isHeld)).toBe(-1);
}

import type { BenchTarget, Workload } from './bench-report.ts';

/** One write or read, in bytes. */
export interface Access {
  readonly position: number;
  readonly length: number;
}

/** A pass over a target, which is timed as a whole. */
export interface Pass {
  readonly workload: Workload;
  readonly fresh: boolean;
  /** Equal for every target of a round; which random places, the round decides. */
  readonly accesses: readonly Access[];
  readonly isRead: boolean;
  /** After so many writes a flush, besides that at the end; undefined: none. */
  readonly flushEvery: number | undefined;
}

const MIB = 1024 * 1024;
const SMALL = 4096;
const SEQUENTIAL_LIMIT = 1024 * MIB;
const PREALLOCATED_LIMIT = 1024 * MIB;
const RANDOM_COUNT = 10_000;
const FLUSH_EVERY = 1000;

/** How much of a disk the workloads in a row cover, in bytes. */
export function sequentialBytesOf(diskBytes: number): number {
  return Math.min(diskBytes, SEQUENTIAL_LIMIT);
}

/** The targets for disks of `diskBytes`. */
export function targetsOf(diskBytes: number, withQemu: boolean): BenchTarget[] {
  const preallocated: BenchTarget[] = diskBytes <= PREALLOCATED_LIMIT ? ['fixedPreallocated'] : [];
  return ['plain', 'fixed', ...preallocated, 'dynamic', ...(withQemu ? (['qemuFixed', 'qemuDynamic'] as const) : [])];
}

/** What is done to a target in a round, in groups: each group begins with a new file. */
export function planGroups(diskBytes: number, round: number): Pass[][] {
  const covered = sequentialBytesOf(diskBytes);
  const row = (length: number, byteLength: number): Access[] =>
    Array.from({ length: Math.floor(byteLength / length) }, (_, index) => ({ position: index * length, length }));
  const random = (byteLength: number, seed: number): Access[] => randomAccesses(byteLength, seed);
  const write = (workload: Workload, accesses: readonly Access[], flushEvery?: number): Pass[] =>
    [true, false].map((fresh) => ({ workload, fresh, accesses, isRead: false, flushEvery }));
  const read = (workload: Workload, accesses: readonly Access[]): Pass => {
    return { workload, fresh: false, accesses, isRead: true, flushEvery: undefined };
  };
  const megabytes = row(MIB, covered);
  return [
    [...write('seq-1m', megabytes), read('read-seq', megabytes), read('read-rand-4k', random(covered, 2 * round + 2))],
    write('seq-4k', row(SMALL, Math.floor(covered / 8))),
    write('rand-4k', random(diskBytes, 2 * round + 1), FLUSH_EVERY),
  ];
}

/** At most a quarter of the sectors of 4 KiB, so that not many are met twice. */
function randomAccesses(byteLength: number, seed: number): Access[] {
  const count = Math.min(RANDOM_COUNT, Math.floor(byteLength / SMALL / 4));
  const random = generator(seed);
  return Array.from({ length: count }, () => ({
    position: Math.floor(random() * (byteLength / SMALL)) * SMALL,
    length: SMALL,
  }));
}

/** Numbers from 0 to below 1 that a seed decides (mulberry32). */
export function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 0x1_0000_0000;
  };
}

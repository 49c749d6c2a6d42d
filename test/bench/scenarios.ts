// What is compared, and what is asked of it: patterns of writes and reads, each a whole process.
const MIB = 1024 * 1024;
const GIB = 1024 * MIB;

/** Who does it: our library on a plain file and on its disks, `qemu-img bench` on images of its own. */
export type Target = 'plain' | 'fixed' | 'dynamic' | 'qemu-fixed' | 'qemu-dynamic';

/** How far apart: `length` bytes each time, `stride` bytes from one to the next, or anywhere. */
export interface Pattern {
  readonly length: number;
  readonly count: number;
  /** Default: `length`. */
  readonly stride?: number;
  /** Places of `length` bytes anywhere on the disk, instead. */
  readonly isRandom?: boolean;
  /** After so many writes a flush, besides that at the end. */
  readonly flushEvery?: number;
}

/** The least that the speed of our dynamic disk may be, as a multiple of another's. */
export interface Asked {
  readonly against: Target;
  /** On a memory file system; undefined: nothing is asked there. */
  readonly inMemory?: number;
  readonly onDisk?: number;
}

/** One comparison. */
export interface Scenario {
  /** What `--only` calls it. */
  readonly id: string;
  readonly title: string;
  /** `rewrite`: write to what has been written before. */
  readonly action: 'write' | 'rewrite' | 'read';
  readonly diskBytes: number;
  readonly pattern: Pattern;
  readonly targets: readonly Target[];
  readonly asked: readonly Asked[];
}

const MEGABYTES: Pattern = { length: MIB, count: 1024 };
const RANDOM: Pattern = { length: 4096, count: 10_000, isRandom: true, flushEvery: 1000 };
const EQUAL: readonly Asked[] = [
  { against: 'fixed', inMemory: 0.95, onDisk: 0.9 },
  { against: 'plain', inMemory: 0.9, onDisk: 0.9 },
];

/** All comparisons; the last one has no speed, only counts. */
export const SCENARIOS: readonly Scenario[] = [
  {
    ...{ id: 'seq-1m', title: 'write 1 GiB by 1 MiB, fresh', action: 'write' },
    ...{ diskBytes: GIB, pattern: MEGABYTES, targets: ['plain', 'fixed', 'dynamic', 'qemu-fixed', 'qemu-dynamic'] },
    asked: [...EQUAL, { against: 'qemu-dynamic', onDisk: 1.5 }, { against: 'qemu-fixed', onDisk: 0.9 }],
  },
  {
    ...{ id: 'again-1m', title: 'write 1 GiB by 1 MiB, again', action: 'rewrite' },
    ...{ diskBytes: GIB, pattern: MEGABYTES, targets: ['plain', 'fixed', 'dynamic'], asked: EQUAL },
  },
  {
    ...{ id: 'rand-4k-1g', title: 'write 10,000 x 4 KiB anywhere, 1 GiB', action: 'write' },
    ...{ diskBytes: GIB, pattern: RANDOM, targets: ['plain', 'fixed', 'dynamic'] },
    asked: [{ against: 'fixed', inMemory: 0.85, onDisk: 0.85 }],
  },
  {
    ...{ id: 'rand-4k-20g', title: 'write 10,000 x 4 KiB anywhere, 20 GiB', action: 'write' },
    ...{ diskBytes: 20 * GIB, pattern: RANDOM, targets: ['plain', 'fixed', 'dynamic'] },
    asked: [{ against: 'fixed', inMemory: 0.55, onDisk: 0.55 }],
  },
  {
    ...{ id: 'scattered', title: 'write 20,000 x 4 KiB, 1028 KiB apart', action: 'write' },
    ...{ diskBytes: 20 * GIB, pattern: { length: 4096, count: 20_000, stride: MIB + 4096 } },
    targets: ['fixed', 'dynamic', 'qemu-fixed', 'qemu-dynamic'],
    asked: [
      { against: 'qemu-dynamic', onDisk: 10 },
      { against: 'qemu-fixed', onDisk: 0.6 },
    ],
  },
  {
    ...{ id: 'seq-4k', title: 'write 256 MiB by 4 KiB, fresh', action: 'write' },
    ...{ diskBytes: GIB, pattern: { length: 4096, count: 65_536 } },
    targets: ['fixed', 'dynamic', 'qemu-fixed', 'qemu-dynamic'],
    asked: [
      { against: 'qemu-dynamic', onDisk: 2.5 },
      { against: 'qemu-fixed', onDisk: 1 },
    ],
  },
  {
    ...{ id: 'read-seq', title: 'read 1 GiB by 1 MiB', action: 'read' },
    ...{ diskBytes: GIB, pattern: MEGABYTES, targets: ['plain', 'fixed', 'dynamic', 'qemu-fixed', 'qemu-dynamic'] },
    asked: [{ against: 'plain', inMemory: 0.95, onDisk: 0.95 }],
  },
  {
    ...{ id: 'read-rand-4k', title: 'read 20,000 x 4 KiB anywhere, 1 GiB', action: 'read' },
    ...{ diskBytes: GIB, pattern: { length: 4096, count: 20_000, isRandom: true } },
    ...{ targets: ['plain', 'fixed', 'dynamic'], asked: [{ against: 'fixed', inMemory: 0.9, onDisk: 0.9 }] },
  },
];

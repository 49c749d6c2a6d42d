import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { cpus, release, type as systemName, totalmem } from 'node:os';
import { join } from 'node:path';
import { createVhdStorage } from '../disk/create-storage.ts';
import { checkOptionNames } from '../errors.ts';
import { alignUp } from '../format/spec.ts';
import { FileStorage } from '../storage/file.ts';
import { median } from './median.ts';
import type { ProgressListener } from './progress.ts';

/** How to measure. */
export interface BenchOptions {
  /** Where the test files go; they are removed. */
  readonly directory: string;
  /** Size of the test disks in bytes; default 256 MiB, at least 16 MiB. */
  readonly sizeBytes?: number | undefined;
  /** Rounds; each measures every target once, in rotating order. Default 5. */
  readonly rounds?: number | undefined;
  /** Told how far it is, counting rounds. */
  readonly onProgress?: ProgressListener | undefined;
  /** Stops it and removes the files. */
  readonly signal?: AbortSignal | undefined;
}

/** Figures of several rounds, in MiB a second. */
export interface Spread {
  /** The middle one. */
  readonly median: number;
  /** The slowest. */
  readonly min: number;
  /** The fastest. */
  readonly max: number;
}

/** What is written: megabytes or 4 KiB in a row, or 4 KiB anywhere with a flush every 1000; each write awaited. */
export type Workload = 'seq-1m' | 'seq-4k' | 'rand-4k';

/** One workload on all targets. */
export interface BenchResult {
  /** What is written. */
  readonly workload: Workload;
  /** True: to a new disk. False: over what was written before. */
  readonly fresh: boolean;
  /** A plain file, the limit; MiB a second, flush included. */
  readonly plain: Spread;
  /** A fixed disk with holes. */
  readonly fixed: Spread;
  /** A fixed disk whose zeros are written. */
  readonly fixedPreallocated: Spread;
  /** A dynamic disk. */
  readonly dynamic: Spread;
  /** Ratio of the medians, dynamic to fixed. */
  readonly dynamicToFixed: number;
  /** Ratio of the medians, dynamic to plain file. */
  readonly dynamicToPlain: number;
}

/** Where it was measured. */
export interface BenchMachine {
  /** Processors and their name. */
  readonly processors: string;
  /** Memory in bytes. */
  readonly memory: number;
  /** Operating system. */
  readonly system: string;
  /** Version of Node. */
  readonly node: string;
}

/** What was measured, where. */
export interface BenchReport {
  /** The machine. */
  readonly machine: BenchMachine;
  /** Rounds. */
  readonly rounds: number;
  /** Size of the test disks in bytes. */
  readonly diskBytes: number;
  /** A row a workload, fresh and rewritten. */
  readonly results: readonly BenchResult[];
}

const TARGETS = ['plain', 'fixed', 'fixedPreallocated', 'dynamic'] as const;
type TargetName = (typeof TARGETS)[number];
const WORKLOADS: readonly Workload[] = ['seq-1m', 'seq-4k', 'rand-4k'];
const FLUSH_EVERY = 1000;
const MIB = 1024 * 1024;

interface Write {
  readonly position: number;
  readonly length: number;
}

interface BenchTarget {
  write(source: Uint8Array, position: number): Promise<void>;
  flush(): Promise<void>;
  close(): Promise<void>;
}

type Samples = Map<string, number[]>;

/**
 * Measures how fast disks take writes: fixed (with holes, and preallocated) against dynamic, and all against a plain
 * file, with the same bytes in the same order. The targets take turns in every round, so that a machine that slows down
 * slows all of them.
 */
export async function runBench(options: BenchOptions): Promise<BenchReport> {
  checkOptionNames('runBench', options, ['directory', 'sizeBytes', 'rounds', 'onProgress', 'signal']);
  const { rounds = 5, signal } = options;
  const diskBytes = alignUp(options.sizeBytes ?? 256 * MIB, MIB);
  if (diskBytes < 16 * MIB) throw new RangeError(`sizeBytes: expected at least 16 MiB, found ${diskBytes} bytes`);
  if (!Number.isInteger(rounds) || rounds < 1) {
    throw new RangeError(`rounds: expected a whole number from 1 on, found ${rounds}`);
  }
  const directory = await mkdtemp(join(options.directory, 'vhd-bench-'));
  const samples: Samples = new Map();
  try {
    for (let round = 0; round < rounds; round++) {
      for (const workload of WORKLOADS) {
        signal?.throwIfAborted();
        await measureRound({ directory, workload, round, diskBytes, samples, signal });
      }
      options.onProgress?.({
        phase: 'bench',
        doneBytes: (round + 1) * diskBytes,
        totalBytes: rounds * diskBytes,
        skippedBytes: 0,
      });
    }
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
  return { machine: describeMachine(), rounds, diskBytes, results: summarise(samples) };
}

interface Round {
  readonly directory: string;
  readonly workload: Workload;
  readonly round: number;
  readonly diskBytes: number;
  readonly samples: Samples;
  readonly signal: AbortSignal | undefined;
}

async function measureRound(context: Round): Promise<void> {
  const { directory, workload, round, diskBytes, samples, signal } = context;
  const writes = planWrites(workload, diskBytes, round);
  const data = randomBytes(4 * MIB);
  for (let turn = 0; turn < TARGETS.length; turn++) {
    signal?.throwIfAborted();
    const name = TARGETS[(turn + round) % TARGETS.length] ?? 'plain';
    const path = join(directory, `${workload}-${name}`);
    const target = await openTarget(name, path, diskBytes);
    try {
      for (const fresh of [true, false]) {
        const rate = await timeWrites(target, writes, data, workload === 'rand-4k');
        const key = sampleKey(workload, fresh, name);
        samples.set(key, [...(samples.get(key) ?? []), rate]);
      }
    } finally {
      await target.close();
      await rm(path, { force: true });
    }
  }
}

async function openTarget(name: TargetName, path: string, diskBytes: number): Promise<BenchTarget> {
  const storage = await FileStorage.open(path, { writable: true, create: 'new' });
  if (name === 'plain') return storage;
  const type = name === 'dynamic' ? 'dynamic' : 'fixed';
  return createVhdStorage(storage, { size: diskBytes, type, preallocate: name === 'fixedPreallocated' });
}

async function timeWrites(
  target: BenchTarget,
  writes: readonly Write[],
  data: Uint8Array,
  flushes: boolean,
): Promise<number> {
  const startedAt = performance.now();
  let byteLength = 0;
  let count = 0;
  for (const { position, length } of writes) {
    const from = (count * length) % (data.length - length + 1);
    await target.write(data.subarray(from, from + length), position);
    byteLength += length;
    count++;
    if (flushes && count % FLUSH_EVERY === 0) await target.flush();
  }
  await target.flush();
  return byteLength / MIB / ((performance.now() - startedAt) / 1000);
}

/** The same writes for every target of a round; which random places, the round decides. */
function planWrites(workload: Workload, diskBytes: number, round: number): Write[] {
  if (workload === 'seq-1m') return sequence(diskBytes, MIB);
  if (workload === 'seq-4k') return sequence(Math.floor(diskBytes / 8), 4096);
  const count = Math.min(4000, Math.floor(diskBytes / 4096 / 4));
  const random = generator(round + 1);
  return Array.from({ length: count }, () => ({
    position: Math.floor(random() * (diskBytes / 4096)) * 4096,
    length: 4096,
  }));
}

function sequence(byteLength: number, length: number): Write[] {
  return Array.from({ length: Math.floor(byteLength / length) }, (_, index) => ({ position: index * length, length }));
}

/** Numbers from 0 to below 1 that a seed decides (mulberry32). */
function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 0x1_0000_0000;
  };
}

function sampleKey(workload: Workload, fresh: boolean, target: TargetName): string {
  return `${workload} ${String(fresh)} ${target}`;
}

function summarise(samples: Samples): BenchResult[] {
  return WORKLOADS.flatMap((workload) =>
    [true, false].map((fresh) => {
      const spread = (target: TargetName): Spread => spreadOf(samples.get(sampleKey(workload, fresh, target)) ?? []);
      const [plain, fixed, fixedPreallocated, dynamic] = [
        spread('plain'),
        spread('fixed'),
        spread('fixedPreallocated'),
        spread('dynamic'),
      ];
      const dynamicToFixed = dynamic.median / fixed.median;
      const dynamicToPlain = dynamic.median / plain.median;
      return { workload, fresh, plain, fixed, fixedPreallocated, dynamic, dynamicToFixed, dynamicToPlain };
    }),
  );
}

function spreadOf(rates: readonly number[]): Spread {
  return { median: median(rates), min: Math.min(...rates), max: Math.max(...rates) };
}

function describeMachine(): BenchMachine {
  const processors = cpus();
  return {
    processors: `${processors.length} x ${processors[0]?.model ?? 'unknown'}`,
    memory: totalmem(),
    system: `${systemName()} ${release()}`,
    node: process.version,
  };
}

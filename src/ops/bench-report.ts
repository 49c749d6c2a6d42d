import { statfs } from 'node:fs/promises';
import { cpus, release, type as systemName, totalmem } from 'node:os';
import { median } from './median.ts';

/** Figures of several rounds, in MiB a second. */
export interface Spread {
  /** The middle one. */
  readonly median: number;
  /** The slowest. */
  readonly min: number;
  /** The fastest. */
  readonly max: number;
}

/**
 * What is done, each call awaited. `seq-1m`, `seq-4k`: writes in a row. `rand-4k`: writes of 4 KiB anywhere, with a flush
 * every 1000. `read-seq`: reads of 1 MiB in a row. `read-rand-4k`: reads of 4 KiB anywhere in what was written.
 */
export type Workload = 'seq-1m' | 'seq-4k' | 'rand-4k' | 'read-seq' | 'read-rand-4k';

/** What is measured: a plain file, disks of this library, and images of qemu-img by `qemu-img bench`. */
export type BenchTarget = 'plain' | 'fixed' | 'fixedPreallocated' | 'dynamic' | 'qemuFixed' | 'qemuDynamic';

/** One workload on all targets. */
export interface BenchResult {
  /** What is done. */
  readonly workload: Workload;
  /** True: to a new disk. False: over what was written before; so it is with reads. */
  readonly fresh: boolean;
  /** Bytes that are written or read in a round. */
  readonly byteLength: number;
  /** A plain file, a call of the system for every write; MiB a second, flush included. */
  readonly plain: Spread;
  /** A fixed disk with holes. */
  readonly fixed: Spread;
  /** A fixed disk whose zeros are written; undefined for disks above 1 GiB, where that would take too long. */
  readonly fixedPreallocated?: Spread | undefined;
  /** A dynamic disk. */
  readonly dynamic: Spread;
  /** `qemu-img bench` on its own fixed image, its start included; undefined without it, and where it has no such pattern. */
  readonly qemuFixed?: Spread | undefined;
  /** The same on its own dynamic image. */
  readonly qemuDynamic?: Spread | undefined;
  /** Ratio of the medians, dynamic to fixed. */
  readonly dynamicToFixed: number;
  /** Ratio of the medians, dynamic to plain file. */
  readonly dynamicToPlain: number;
  /** Ratio of the medians, our dynamic to that of qemu-img. */
  readonly dynamicToQemuDynamic?: number | undefined;
  /** Median of the seconds that all processors together spent in this process; those of qemu-img are not known. */
  readonly cpuSeconds: Readonly<Partial<Record<BenchTarget, number>>>;
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
  /** Kind of the file system, such as `tmpfs`; undefined if it is none of those known here. */
  readonly fileSystem?: string | undefined;
}

/** What was measured, where. */
export interface BenchReport {
  /** When it was begun, ISO 8601 UTC. */
  readonly measuredAt: string;
  /** The machine. */
  readonly machine: BenchMachine;
  /** Rounds. */
  readonly rounds: number;
  /** Size of the test disks in bytes. */
  readonly diskBytes: number;
  /** What the workloads in a row cover of the disks, in bytes: all, but at most 1 GiB. */
  readonly sequentialBytes: number;
  /** The most memory that this process ever had resident, in bytes. */
  readonly peakMemory: number;
  /** What `qemu-img --version` says; undefined where it was not asked for, or is not there. */
  readonly qemu?: string | undefined;
  /** A row a workload; those that write fresh and again. */
  readonly results: readonly BenchResult[];
}

/** What one pass of one round took. */
export interface Sample {
  readonly workload: Workload;
  readonly fresh: boolean;
  readonly target: BenchTarget;
  readonly byteLength: number;
  readonly seconds: number;
  /** Undefined where another process did the work. */
  readonly cpuSeconds: number | undefined;
}

const MIB = 1024 * 1024;

const ORDER: readonly Workload[] = ['seq-1m', 'seq-4k', 'rand-4k', 'read-seq', 'read-rand-4k'];

/** A row a workload; those that write fresh and again. */
export function summarise(samples: readonly Sample[]): BenchResult[] {
  const rows = new Map<string, Sample[]>();
  for (const sample of samples) {
    const key = `${sample.workload} ${String(sample.fresh)}`;
    rows.set(key, [...(rows.get(key) ?? []), sample]);
  }
  const results = [...rows.values()].map(resultOf);
  return results.sort((a, b) => ORDER.indexOf(a.workload) - ORDER.indexOf(b.workload));
}

function resultOf(samples: readonly Sample[]): BenchResult {
  const { workload = 'seq-1m', fresh = false, byteLength = 0 } = samples[0] ?? {};
  const some = (target: BenchTarget): Spread | undefined => {
    const own = samples.filter((sample) => sample.target === target);
    return own.length === 0 ? undefined : spreadOf(own.map((sample) => sample.byteLength / MIB / sample.seconds));
  };
  const always = (target: BenchTarget): Spread => some(target) ?? { median: 0, min: 0, max: 0 };
  const [plain, fixed, dynamic] = [always('plain'), always('fixed'), always('dynamic')];
  const qemuDynamic = some('qemuDynamic');
  return {
    ...{ workload, fresh, byteLength, plain, fixed, fixedPreallocated: some('fixedPreallocated'), dynamic },
    ...{ qemuFixed: some('qemuFixed'), qemuDynamic },
    dynamicToFixed: dynamic.median / fixed.median,
    dynamicToPlain: dynamic.median / plain.median,
    dynamicToQemuDynamic: qemuDynamic === undefined ? undefined : dynamic.median / qemuDynamic.median,
    cpuSeconds: cpuSecondsOf(samples),
  };
}

function cpuSecondsOf(samples: readonly Sample[]): Partial<Record<BenchTarget, number>> {
  const byTarget = new Map<BenchTarget, number[]>();
  for (const { target, cpuSeconds } of samples) {
    if (cpuSeconds !== undefined) byTarget.set(target, [...(byTarget.get(target) ?? []), cpuSeconds]);
  }
  return Object.fromEntries([...byTarget].map(([target, seconds]) => [target, median(seconds)]));
}

function spreadOf(rates: readonly number[]): Spread {
  return { median: median(rates), min: Math.min(...rates), max: Math.max(...rates) };
}

/** By the magic number that statfs(2) tells. */
const FILE_SYSTEMS: ReadonlyMap<number, string> = new Map([
  [0x0102_1994, 'tmpfs'],
  [0xef53, 'ext4'],
  [0x5846_5342, 'xfs'],
  [0x9123_683e, 'btrfs'],
  [0x794c_7630, 'overlayfs'],
  [0x2fc1_2fc1, 'zfs'],
]);

/** What to call the machine, and the file system that `directory` is on. */
export async function describeMachine(directory: string): Promise<BenchMachine> {
  const processors = cpus();
  const { type } = await statfs(directory);
  return {
    processors: `${processors.length} x ${processors[0]?.model ?? 'unknown'}`,
    memory: totalmem(),
    system: `${systemName()} ${release()}`,
    node: process.version,
    fileSystem: process.platform === 'linux' ? FILE_SYSTEMS.get(type) : undefined,
  };
}

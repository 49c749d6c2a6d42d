import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { checkBooleans, checkOptionNames } from '../errors.ts';
import { alignUp } from '../format/spec.ts';
import { qemuVersion } from './bench-qemu.ts';
import { type BenchReport, type BenchTarget, describeMachine, type Sample, summarise } from './bench-report.ts';
import { measureTurn } from './bench-targets.ts';
import { type Pass, planGroups, sequentialBytesOf, targetsOf } from './bench-workloads.ts';
import type { ProgressListener } from './progress.ts';

/** How to measure. */
export interface BenchOptions {
  /** Where the test files go; they are removed. */
  readonly directory: string;
  /** Size of the test disks in bytes; default 256 MiB, at least 16 MiB. */
  readonly sizeBytes?: number | undefined;
  /** Rounds; each measures every target once, in rotating order. Default 5. */
  readonly rounds?: number | undefined;
  /** Measure `qemu-img bench` too, on images of its own, if that program is there. Default false. */
  readonly qemu?: boolean | undefined;
  /** Told how far it is, counting rounds. */
  readonly onProgress?: ProgressListener | undefined;
  /** Stops it and removes the files. */
  readonly signal?: AbortSignal | undefined;
}

const OPTIONS = ['directory', 'sizeBytes', 'rounds', 'qemu', 'onProgress', 'signal'];
const MIB = 1024 * 1024;

/**
 * Measures how fast disks take writes, and give them back: fixed (with holes, and preallocated) against dynamic, and all
 * against a plain file, with the same bytes in the same order. The targets take turns in every round, each with a file of
 * its own, so that a machine that slows down slows all of them.
 * @throws Error with `code` `ERR_QEMU_IMG` where qemu-img is to be measured, is there, and fails
 */
export async function runBench(options: BenchOptions): Promise<BenchReport> {
  checkOptionNames('runBench', options, OPTIONS);
  checkBooleans(options, ['qemu']);
  const { rounds = 5, signal } = options;
  const diskBytes = alignUp(options.sizeBytes ?? 256 * MIB, MIB);
  if (diskBytes < 16 * MIB) throw new RangeError(`sizeBytes: expected at least 16 MiB, found ${diskBytes} bytes`);
  if (!Number.isInteger(rounds) || rounds < 1) {
    throw new RangeError(`rounds: expected a whole number from 1 on, found ${rounds}`);
  }
  const measuredAt = new Date().toISOString();
  const machine = await describeMachine(options.directory);
  const qemu = options.qemu === true ? await qemuVersion(signal) : undefined;
  // From the root on: what qemu-img takes for a protocol (`x:y`) or an option (`-d`) cannot be such a path.
  const directory = await mkdtemp(join(resolve(options.directory), 'vhd-bench-'));
  const targets = targetsOf(diskBytes, qemu !== undefined);
  const samples: Sample[] = [];
  try {
    for (let round = 0; round < rounds; round++) {
      for (const passes of planGroups(diskBytes, round)) {
        samples.push(...(await measureGroup({ directory, targets, passes, round, diskBytes, signal })));
      }
      const [doneBytes, totalBytes] = [(round + 1) * diskBytes, rounds * diskBytes];
      options.onProgress?.({ phase: 'bench', doneBytes, totalBytes, skippedBytes: 0 });
    }
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
  // Node tells KiB on every system.
  const peakMemory = process.resourceUsage().maxRSS * 1024;
  const sequentialBytes = sequentialBytesOf(diskBytes);
  return { measuredAt, machine, rounds, diskBytes, sequentialBytes, peakMemory, qemu, results: summarise(samples) };
}

interface Group {
  readonly directory: string;
  readonly targets: readonly BenchTarget[];
  readonly passes: readonly Pass[];
  readonly round: number;
  readonly diskBytes: number;
  readonly signal: AbortSignal | undefined;
}

async function measureGroup({ directory, targets, passes, round, diskBytes, signal }: Group): Promise<Sample[]> {
  const data = randomBytes(4 * MIB);
  const samples: Sample[] = [];
  for (let turn = 0; turn < targets.length; turn++) {
    signal?.throwIfAborted();
    const target = targets[(turn + round) % targets.length] ?? 'plain';
    const path = join(directory, `${passes[0]?.workload ?? ''}-${target}`);
    samples.push(...(await measureTurn({ target, path, diskBytes, passes, data, signal })));
  }
  return samples;
}

// `vhd write` of 256 MiB into a fresh disk: how many calls of the system, beside `qemu-img bench` with the same bytes.
import { rmSync } from 'node:fs';
import { findProgram } from '../support/peers.ts';
import { type Counts, countCalls } from './counts.ts';
import { type Programs, writeRandom } from './programs.ts';
import type { Scenario } from './scenarios.ts';

/** The most calls that writing 256 MiB may take. */
export const WRITE_LIMITS = { writes: 160, barriers: 4 } as const;

const MIB = 1024 * 1024;

/** Counts of both; those of qemu-img where it is installed. Undefined without strace. */
export function countWriteCalls(programs: Programs): { ours: Counts; qemu: Counts | undefined } | undefined {
  if (findProgram('strace') === undefined) return undefined;
  const [source, disk, scratch] = [programs.at('256.raw'), programs.at('write.vhd'), programs.at('strace.txt')];
  const scenario: Scenario = {
    ...{ id: 'write-calls', title: '', action: 'write', diskBytes: 1024 * MIB, targets: [], asked: [] },
    pattern: { length: MIB, count: 256 },
  };
  try {
    writeRandom(source, 256 * MIB);
    programs.create('dynamic', disk, scenario.diskBytes);
    const ours = countCalls(programs.vhd('write', disk, source), scratch);
    if (findProgram('qemu-img') === undefined) return { ours, qemu: undefined };
    rmSync(disk);
    programs.create('qemu-dynamic', disk, scenario.diskBytes);
    return { ours, qemu: countCalls(programs.access(scenario, 'qemu-dynamic', disk, 1), scratch) };
  } finally {
    for (const path of [source, disk]) rmSync(path, { force: true });
  }
}

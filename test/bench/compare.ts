// One scenario: its targets timed in turns, their calls counted, and the ratios against what is asked.
import { rmSync } from 'node:fs';
import { findProgram } from '../support/peers.ts';
import { type Counts, countCalls } from './counts.ts';
import { interleave, type Timed, type Timing } from './interleave.ts';
import { isQemu, type Programs, run } from './programs.ts';
import type { Scenario, Target } from './scenarios.ts';

/** A target of a scenario, measured. */
export interface Measured extends Timing {
  /** Bytes written or read by the pattern. */
  readonly byteLength: number;
  /** Undefined without strace. */
  readonly counts: Counts | undefined;
}

/** A ratio that is asked for. */
export interface Verdict {
  readonly against: string;
  /** How many times as fast our dynamic disk is. */
  readonly ratio: number;
  /** Undefined: nothing is asked on this kind of file system. */
  readonly asked: number | undefined;
}

/** What a scenario gave. */
export interface Comparison {
  readonly id: string;
  readonly title: string;
  readonly rounds: number;
  readonly targets: readonly Measured[];
  readonly verdicts: readonly Verdict[];
}

/** Where and how often. */
export interface Place {
  readonly programs: Programs;
  /** A folder on the file system that is measured. */
  readonly directory: string;
  readonly isMemory: boolean;
  readonly rounds: number;
}

/** Measures a scenario. Targets of programs that are not there are left out. */
export function compare(scenario: Scenario, place: Place): Comparison {
  const { programs, directory, rounds } = place;
  const targets = scenario.targets.filter((target) => !isQemu(target) || findProgram('qemu-img') !== undefined);
  const isShared = scenario.action === 'read';
  const pathOf = (target: Target): string => programs.at(`${target}.vhd`);
  const prepare = (target: Target): void => prepareTarget(scenario, programs, target, pathOf(target));
  try {
    if (isShared) for (const target of targets) prepare(target);
    const commands = targets.map((target): Timed => {
      const words = programs.access(scenario, target, pathOf(target), 1);
      if (isShared) return { name: target, words, outputs: [] };
      return { name: target, words, outputs: [pathOf(target)], prepare: () => prepare(target) };
    });
    const timings = interleave(commands, rounds, directory);
    const counts = findProgram('strace') === undefined ? [] : commands.map((command) => countOf(command, programs));
    const { length, count } = scenario.pattern;
    const measured = timings.map((timing, index) => ({ ...timing, byteLength: length * count, counts: counts[index] }));
    return {
      ...{ id: scenario.id, title: scenario.title, rounds },
      targets: measured,
      verdicts: judge(scenario, timings, place),
    };
  } finally {
    for (const target of targets) rmSync(pathOf(target), { force: true });
  }
}

function prepareTarget(scenario: Scenario, programs: Programs, target: Target, path: string): void {
  const { diskBytes, action, pattern } = scenario;
  programs.create(target, path, diskBytes);
  if (action === 'write') return;
  // All of the disk, so that everything that will be met has been written.
  const length = 1024 * 1024;
  const fill: Scenario = { ...scenario, action: 'write', pattern: { length, count: diskBytes / length } };
  run(programs.access(action === 'rewrite' ? { ...scenario, action: 'write', pattern } : fill, target, path, 1));
}

function countOf(command: Timed, programs: Programs): Counts {
  for (const output of command.outputs) rmSync(output, { force: true });
  command.prepare?.();
  const counts = countCalls(command.words, programs.at('strace.txt'));
  for (const output of command.outputs) rmSync(output, { force: true });
  return counts;
}

function judge(scenario: Scenario, timings: readonly Timing[], { isMemory }: Place): Verdict[] {
  const medianOf = (target: Target): number => timings.find(({ name }) => name === target)?.median ?? Number.NaN;
  return scenario.asked
    .map(({ against, inMemory, onDisk }) => ({
      against,
      ratio: medianOf(against) / medianOf('dynamic'),
      asked: isMemory ? inMemory : onDisk,
    }))
    .filter(({ ratio }) => !Number.isNaN(ratio));
}

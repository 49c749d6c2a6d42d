import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { median } from '../../src/ops/median.ts';
import { run } from './programs.ts';

/** A command to be timed as a whole process. */
export interface Timed {
  /** What to call it. */
  readonly name: string;
  /** Program and arguments. */
  readonly words: readonly string[];
  /** Files it makes; removed before and after each run, so that none replaces or reuses another's pages. */
  readonly outputs: readonly string[];
  /** Makes what it needs, before each run and untimed. */
  readonly prepare?: () => void;
}

/** What was measured of a command. */
export interface Timing {
  readonly name: string;
  /** Seconds of wall time, a value a round. */
  readonly seconds: readonly number[];
  /** Median of `seconds`. */
  readonly median: number;
  /** Median of the seconds of all processors; undefined without time(1). */
  readonly cpuSeconds: number | undefined;
  /** The most memory that was resident in any round, in bytes; undefined without time(1). */
  readonly peakMemory: number | undefined;
}

interface Run {
  readonly seconds: number;
  readonly cpuSeconds: number;
  readonly peakMemory: number;
}

const TIME = '/usr/bin/time';

/** Runs commands in turn, `rounds` times after one to warm up, each round beginning with another one. */
export function interleave(commands: readonly Timed[], rounds: number, directory: string): Timing[] {
  const runs = new Map<string, Run[]>(commands.map((command) => [command.name, []]));
  for (let round = -1; round < rounds; round++) {
    for (let turn = 0; turn < commands.length; turn++) {
      const command = commands[(turn + Math.max(round, 0)) % commands.length]!;
      // What one leaves to be written out must not slow the next.
      clear(command, directory);
      command.prepare?.();
      if (command.prepare !== undefined) settle(directory);
      const taken = timeOnce(command, directory);
      clear(command, directory);
      if (round >= 0) runs.get(command.name)?.push(taken);
    }
  }
  return [...runs].map(([name, values]) => timingOf(name, values));
}

function timingOf(name: string, runs: readonly Run[]): Timing {
  const seconds = runs.map((each) => each.seconds);
  const isKnown = existsSync(TIME);
  return {
    ...{ name, seconds, median: median(seconds) },
    cpuSeconds: isKnown ? median(runs.map((each) => each.cpuSeconds)) : undefined,
    peakMemory: isKnown ? Math.max(...runs.map((each) => each.peakMemory)) : undefined,
  };
}

function clear(command: Timed, directory: string): void {
  if (command.outputs.length === 0) return;
  for (const output of command.outputs) rmSync(output, { force: true });
  settle(directory);
}

/** Has the file system write out everything. */
function settle(directory: string): void {
  run(['sync', '-f', directory]);
}

function timeOnce(command: Timed, directory: string): Run {
  const figures = join(directory, 'time.txt');
  const timer = existsSync(TIME) ? [TIME, '-f', '%U %S %M', '-o', figures] : [];
  const [program = '', ...words] = [...timer, ...command.words];
  const startedAt = performance.now();
  const { status, stderr } = spawnSync(program, words, { stdio: ['ignore', 'ignore', 'pipe'] });
  const seconds = (performance.now() - startedAt) / 1000;
  if (status !== 0) throw new Error(`${command.words.join(' ')} ended with ${String(status)}: ${String(stderr)}`);
  if (timer.length === 0) return { seconds, cpuSeconds: 0, peakMemory: 0 };
  const [user = 0, system = 0, peakKibibytes = 0] = readFileSync(figures, 'utf8').split(' ').map(Number);
  rmSync(figures);
  return { seconds, cpuSeconds: user + system, peakMemory: peakKibibytes * 1024 };
}

import { spawnSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { median } from '../../src/ops/median.ts';

/** A command to be timed as a whole process. */
export interface Timed {
  /** What to call it. */
  readonly name: string;
  /** Program and arguments. */
  readonly words: readonly string[];
  /** Files it makes; removed before each run, so that none replaces or reuses another's pages. */
  readonly outputs: readonly string[];
}

/** What was measured of a command. */
export interface Timing {
  readonly name: string;
  /** Seconds of wall time, a value a round. */
  readonly seconds: readonly number[];
  /** Median of `seconds`. */
  readonly median: number;
}

/** Runs commands in turn, `rounds` times, each round beginning with another one, and removes what they make. */
export function interleave(commands: readonly Timed[], rounds: number): Timing[] {
  const seconds = new Map<string, number[]>(commands.map((command) => [command.name, []]));
  for (let round = -1; round < rounds; round++) {
    for (let turn = 0; turn < commands.length; turn++) {
      const command = commands[(turn + Math.max(round, 0)) % commands.length]!;
      for (const output of command.outputs) rmSync(output, { force: true });
      const taken = timeOnce(command);
      for (const output of command.outputs) rmSync(output, { force: true });
      // The first round only warms up.
      if (round >= 0) seconds.get(command.name)?.push(taken);
    }
  }
  return [...seconds].map(([name, values]) => ({ name, seconds: values, median: median(values) }));
}

function timeOnce(command: Timed): number {
  const [program = '', ...words] = command.words;
  const startedAt = performance.now();
  const { status, stderr } = spawnSync(program, words, { stdio: ['ignore', 'ignore', 'pipe'] });
  const taken = (performance.now() - startedAt) / 1000;
  if (status !== 0) throw new Error(`${command.words.join(' ')} ended with ${String(status)}: ${String(stderr)}`);
  return taken;
}

/** One line a command: median, fastest, slowest, and the ratio of its median to that of the last command. */
export function report(title: string, timings: readonly Timing[]): string {
  const base = timings.at(-1)?.median ?? Number.NaN;
  const lines = timings.map(({ name, seconds, median: middle }) => {
    const range = `${Math.min(...seconds).toFixed(3)}-${Math.max(...seconds).toFixed(3)}`;
    return `  ${name.padEnd(28)} ${middle.toFixed(3)} s  (${range})  ${(middle / base).toFixed(2)} x`;
  });
  return `${title}\n${lines.join('\n')}\n`;
}

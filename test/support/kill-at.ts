// Kills the built command at a call of the system.
import { spawnSync } from 'node:child_process';
import { expect } from 'vitest';
import type { BuiltCommand } from './cli.ts';
import { findProgram } from './peers.ts';

/**
 * Kills the command at the `count`th call of a kind; false if it makes fewer.
 * @param log where strace writes what it saw
 */
export function killAt(
  { command, log }: { readonly command: BuiltCommand; readonly log: string },
  call: string,
  count: number,
  args: readonly string[],
): boolean {
  const inject = `inject=${call}:signal=SIGKILL:when=${count}`;
  const words = ['-f', '-qqq', '-o', log, '-e', `trace=${call}`, '-e', inject];
  // They are counted for each thread: there is to be one that makes them.
  const env = { ...process.env, UV_THREADPOOL_SIZE: '1' };
  const run = spawnSync(findProgram('strace') ?? 'strace', [...words, process.execPath, command.path, ...args], {
    env,
  });
  expect(run.signal === 'SIGKILL' || run.status === 0, `${run.status} ${String(run.stderr)}`).toBe(true);
  return run.signal === 'SIGKILL';
}

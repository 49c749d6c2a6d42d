// Other programs that have a file open, for tests of locks.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { nativeSupport } from '../../src/storage/native.ts';

/** Why nothing can be locked here; undefined if it can. */
export async function whyNoLocks(): Promise<string | undefined> {
  return (await nativeSupport()).reason;
}

/** The locks on a file as the kernel lists them: kind, first byte, last byte, of one opening after the other. */
export function listedLocks(path: string): string[] {
  const { ino } = statSync(path);
  const lines = readFileSync('/proc/locks', 'utf8').split('\n');
  const ours = lines.filter((line) => line.includes(`:${ino} `) && line.includes('OFDLCK'));
  return ours.map((line) => line.replace(/^.* (READ|WRITE) .*:\d+ (\d+) (\d+)$/, '$1 $2 $3')).sort();
}

/** A program that has a file open until it is ended. */
export interface Holder {
  /** Ends it, by a signal if one is given, and waits until it is gone. */
  end(signal?: NodeJS.Signals): Promise<void>;
}

/** A process of ours that holds an image open; resolves when it has it. */
export async function holdOpen(path: string, kind: 'read' | 'write'): Promise<Holder> {
  const script = fileURLToPath(new URL('./lock-holder.ts', import.meta.url));
  return holderOf(
    spawn(process.execPath, ['--import', 'tsx', script, path, kind], { stdio: ['pipe', 'pipe', 'inherit'] }),
  );
}

/** What holds a file from the first line it says until its standard input ends. */
export async function holderOf(child: ChildProcess): Promise<Holder> {
  const ended = once(child, 'close');
  const { stdin, stdout } = child;
  if (stdin === null || stdout === null) throw new Error('a holder needs pipes');
  const said = stdout[Symbol.asyncIterator]().next();
  const first = await Promise.race([said, ended.then(() => undefined)]);
  if (first === undefined || first.done === true) throw new Error('the holder ended before it said anything');
  stdout.resume();
  return {
    async end(signal) {
      if (signal === undefined) stdin.end();
      else child.kill(signal);
      await ended;
    },
  };
}

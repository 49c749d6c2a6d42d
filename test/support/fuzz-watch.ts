// Watches a process that runs cases, and knows which one it was at when it went wrong.
import type { ChildProcess } from 'node:child_process';
import type { Readable } from 'node:stream';

/** The exit code of a process that ran all cases and found something: no code that a process has that breaks down. */
export const FOUND_SOMETHING = 3;

/** How a process that ran cases ended. */
export interface WatchedEnd {
  /** Whether all cases were run, and nothing was found. */
  readonly isClean: boolean;
  /** Why it ended before its time; undefined if it did not. */
  readonly wrong: string | undefined;
  /** The case it was at last; undefined if it had begun none. */
  readonly number: number | undefined;
}

/**
 * Waits for the end of a process that writes the number of each case to its descriptor 3, a pipe, before the case begins.
 * It is killed if none comes for `patienceMs` after one. The exit codes 0 and
 * `FOUND_SOMETHING` are its own; every other end is wrong.
 */
export async function watchCases(child: ChildProcess, patienceMs: number): Promise<WatchedEnd> {
  let number: number | undefined;
  let wrong: string | undefined;
  let timer: NodeJS.Timeout | undefined;
  const endIt = (): void => {
    wrong = `no end within ${patienceMs / 1000} s`;
    child.kill('SIGKILL');
  };
  let rest = '';
  (child.stdio[3] as Readable).setEncoding('utf8').on('data', (text: string) => {
    const lines = (rest + text).split('\n');
    rest = lines.pop() ?? '';
    const last = lines.at(-1);
    if (last !== undefined) number = Number(last);
    clearTimeout(timer);
    timer = setTimeout(endIt, patienceMs);
  });
  const [code, signal] = await new Promise<[number | null, NodeJS.Signals | null]>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (...how) => resolve(how));
  });
  clearTimeout(timer);
  if (code !== 0 && code !== FOUND_SOMETHING) wrong ??= `the process ended with ${signal ?? `code ${code ?? '?'}`}`;
  return { isClean: code === 0, wrong, number };
}

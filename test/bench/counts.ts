// Calls of the system, counted exactly by strace.
import { readFileSync, rmSync } from 'node:fs';
import { run } from './programs.ts';

/** Calls of the system that a process made, with all its threads. */
export interface Counts {
  /** All of them, the start of the program included. */
  readonly calls: number;
  /** Positioned writes: pwrite64, pwritev. */
  readonly writes: number;
  /** io_submit, each with up to 1024 positioned writes of its own. */
  readonly batches: number;
  /** Positioned reads: pread64, preadv. */
  readonly reads: number;
  /** fdatasync, fsync, of files. */
  readonly barriers: number;
}

const KINDS: Readonly<Record<string, Exclude<keyof Counts, 'calls'>>> = {
  pwrite64: 'writes',
  pwritev: 'writes',
  pwritev2: 'writes',
  io_submit: 'batches',
  pread64: 'reads',
  preadv: 'reads',
  preadv2: 'reads',
  fdatasync: 'barriers',
  fsync: 'barriers',
};

/** Runs a command under strace, whose list goes to `scratch` for a while. */
export function countCalls(words: readonly string[], scratch: string): Counts {
  try {
    run(['strace', '-f', '-qq', '-s', '0', '-e', 'signal=none', '-o', scratch, ...words]);
    return parseCounts(readFileSync(scratch, 'utf8'));
  } finally {
    rmSync(scratch, { force: true });
  }
}

/** Reads the list of strace: the process and the call a line, and lines where calls go on that were begun above. */
export function parseCounts(list: string): Counts {
  const counts = { calls: 0, writes: 0, batches: 0, reads: 0, barriers: 0 };
  for (const [, name = '', argument = ''] of list.matchAll(/^\d+ +(\w+)\((\w*)/gm)) {
    counts.calls++;
    const kind = KINDS[name];
    // koffi syncs standard output and standard error when the process ends, whatever they are.
    if (kind === undefined || (kind === 'barriers' && /^[012]$/.test(argument))) continue;
    counts[kind]++;
  }
  return counts;
}

// Runs the command in this process with streams of its own, or the built bundle as a process.
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rename, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable, Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { beforeAll, inject } from 'vitest';
import { buildCommand } from '../../.config/build.ts';
import { run } from '../../bin/program.ts';
import type { Io } from '../../bin/session.ts';

/** How the command is called, beyond its arguments. */
export interface CallOptions {
  readonly stdin?: Readable | Uint8Array;
  /** Which of its streams are terminals. */
  readonly terminals?: readonly ('stdin' | 'stdout' | 'stderr')[];
  readonly columns?: number;
  readonly env?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
  /** Takes what goes to standard output in place of the collector. */
  readonly stdout?: Writable;
}

/** How it ended and what it said. */
export interface CallResult {
  readonly code: number;
  readonly bytes: Buffer;
  readonly stdout: string;
  readonly stderr: string;
}

class Collector extends Writable {
  readonly chunks: Buffer[] = [];

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.chunks.push(Buffer.from(chunk));
    done();
  }

  get bytes(): Buffer {
    return Buffer.concat(this.chunks);
  }
}

/** Runs the command in this process. */
export async function vhd(args: readonly string[], options: CallOptions = {}): Promise<CallResult> {
  const { terminals = [], columns, env = {}, signal = new AbortController().signal } = options;
  const [stdout, stderr] = [new Collector(), new Collector()];
  const source = options.stdin instanceof Uint8Array ? Readable.from([Buffer.from(options.stdin)]) : options.stdin;
  const terminal = (name: (typeof terminals)[number]): object => ({ isTTY: terminals.includes(name), columns });
  const io: Io = {
    stdin: Object.assign(source ?? Readable.from([]), terminal('stdin')),
    stdout: Object.assign(options.stdout ?? stdout, terminal('stdout')),
    stderr: Object.assign(stderr, terminal('stderr')),
    env,
    signal,
  };
  const code = await run(args, io);
  return { code, bytes: stdout.bytes, stdout: stdout.bytes.toString(), stderr: stderr.bytes.toString() };
}

/** The built command, there from `beforeAll` on. */
export interface BuiltCommand {
  readonly path: string;
}

/** The bundle, built by the first file of tests that wants it. */
export function useBuiltCommand(): BuiltCommand {
  const folder = join(inject('sharedFolder'), 'bundle');
  beforeAll(() => madeOnce(folder, buildBundle));
  return { path: join(folder, 'vhd.cjs') };
}

async function buildBundle(folder: string): Promise<void> {
  await buildCommand(folder);
  await writeFile(join(folder, 'package.json'), '{ "type": "module" }\n');
  // As where it is installed: what is not in the bundle is beside it.
  await symlink(fileURLToPath(new URL('../../node_modules', import.meta.url)), join(folder, 'node_modules'), 'dir');
}

/** Makes a folder that is not there yet. Two may be at it at once: the first to end gives its own the name. */
async function madeOnce(folder: string, make: (folder: string) => Promise<void>): Promise<void> {
  if (existsSync(folder)) return;
  const own = await mkdtemp(`${folder}-`);
  await make(own);
  await rename(own, folder).catch((error: unknown) => {
    if (!existsSync(folder)) throw error;
  });
}

/** How a process ended and what it said. */
export interface ProcessResult {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Waits for a process to end, and collects what it says where that is a pipe. */
export async function ended(child: ChildProcess): Promise<ProcessResult> {
  const [stdout, stderr] = [new Collector(), new Collector()];
  child.stdout?.pipe(stdout);
  child.stderr?.pipe(stderr);
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => {
      resolve({ code, signal, stdout: stdout.bytes.toString(), stderr: stderr.bytes.toString() });
    });
  });
}

/** Runs a line of shell in which `$vhd` is the built command, in a folder. */
export async function shell(command: BuiltCommand, cwd: string, line: string): Promise<ProcessResult> {
  const env = { ...process.env, vhd: `${process.execPath} ${command.path}`, NO_COLOR: '1' };
  return ended(spawn('bash', ['-c', line], { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] }));
}

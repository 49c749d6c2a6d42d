// Runs the lines of shell that the help and the README show, each in a folder with the files of example-files.ts that
// it names.
import { spawn } from 'node:child_process';
import { chmod, copyFile, cp, mkdir, rm, writeFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { beforeAll } from 'vitest';
import { type BuiltCommand, ended, useBuiltCommand, vhd } from './cli.ts';
import { EXAMPLE_FILES, filesFor, makeExampleFiles } from './example-files.ts';
import { useTempFolder } from './temp.ts';

/** How a line ended and what it said. */
export interface LineResult {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** How a line is run. */
export interface LineOptions {
  /** True: with the built command, as a process, whatever the line. */
  readonly isProcess?: boolean;
}

/** Runs lines; there from `beforeAll` on. */
export interface ExampleLines {
  run(line: string, options?: LineOptions): Promise<LineResult>;
}

/** Whether a line is for a shell, and so for a process: it is more than a single call with words that mean themselves. */
export function needsShell(line: string): boolean {
  return !PLAIN_CALL.test(line);
}

/** One call of `vhd` whose words mean themselves: no shell is needed, nor a process (`'…'` is one word). */
const PLAIN_CALL = /^vhd(?: (?:[\w./:=,+@%-]+|'[^']*'))+$/;

/**
 * Runs lines, each by itself: what a shell has to do by one, with the built command; what is a single call in this
 * process, which is in the folder of the line meanwhile. `source.vhd` is a copy of `disk.vhd`.
 */
export function useExampleLines(label: string): ExampleLines {
  const folder = useTempFolder(label);
  const command = useBuiltCommand();
  beforeAll(async () => {
    await mkdir(folder.file('bin'));
    await mkdir(folder.file('files'));
    await writeCommand(folder.file('bin/vhd'), command);
    await makeExampleFiles(folder.file('files'));
  });

  /** A new folder with what a line names. */
  async function makeFolder(line: string): Promise<string> {
    const cwd = folder.file('here');
    await rm(cwd, { recursive: true, force: true });
    await mkdir(cwd);
    for (const name of filesFor(line)) {
      await cp(folder.file(join('files', name)), join(cwd, name), { recursive: true }).catch(skipMissing);
    }
    if (line.includes('source.vhd')) await copyFile(folder.file('files/disk.vhd'), join(cwd, 'source.vhd'));
    return cwd;
  }

  function attempt(line: string, cwd: string, isProcess: boolean): Promise<LineResult> {
    return !isProcess && !needsShell(line) ? runHere(line, cwd) : runInShell(line, cwd, folder.file('bin'));
  }

  return {
    /** What a line makes must not be there: it says so itself, once for each file. */
    async run(line, { isProcess = false } = {}) {
      const cwd = await makeFolder(line);
      const result = await attempt(line, cwd, isProcess);
      const made = nameOfExisting(result.stderr);
      if (result.code !== 2 || made === undefined || !isKnown(made)) return result;
      await rm(join(cwd, made), { recursive: true });
      return attempt(line, cwd, isProcess);
    },
  };
}

async function writeCommand(path: string, command: BuiltCommand): Promise<void> {
  await writeFile(path, `#!/bin/sh\nexec '${process.execPath}' '${command.path}' "$@"\n`);
  await chmod(path, 0o755);
}

async function runHere(line: string, cwd: string): Promise<LineResult> {
  const words = [...line.matchAll(/ (?:'([^']*)'|(\S+))/g)].map(([, quoted, plain]) => quoted ?? plain ?? '');
  const before = process.cwd();
  process.chdir(cwd);
  try {
    return await vhd(words, { env: { HOME: cwd, NO_COLOR: '1' } });
  } finally {
    process.chdir(before);
  }
}

function runInShell(line: string, cwd: string, bin: string): Promise<LineResult> {
  const env = { ...process.env, PATH: `${bin}${delimiter}${process.env['PATH'] ?? ''}`, HOME: cwd, NO_COLOR: '1' };
  return ended(spawn('bash', ['-c', `set -o pipefail; ${line}`], { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] }));
}

function nameOfExisting(stderr: string): string | undefined {
  const found = /"path":"([^"]+)".*the output exists already|^vhd: (\S+): the output exists already/m.exec(stderr);
  return found?.[1] ?? found?.[2];
}

function isKnown(name: string): boolean {
  return Object.hasOwn(EXAMPLE_FILES, name) || name === 'source.vhd';
}

/** Compressed files are there only if the program is that makes them. */
function skipMissing(error: unknown): void {
  if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error;
}

// File systems of a test's own, in a file that a loop device shows. For root, on Linux.
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { getuid, platform } from 'node:process';
import { afterAll } from 'vitest';
import { findProgram } from './peers.ts';

/** A file system that is there until the tests of the file are over, or why it is not. */
export type Mounted =
  | { readonly path: string; readonly reason: undefined }
  | { readonly path: undefined; readonly reason: string };

const PROGRAMS = ['losetup', 'mount', 'umount'];

/** Makes and mounts a file system of `byteLength`; `make` is the program that makes it. */
export function mountNew(make: string, byteLength: number): Mounted {
  if (platform !== 'linux' || getuid?.() !== 0) return { path: undefined, reason: 'mounting needs root, on Linux' };
  const missing = [make, ...PROGRAMS].find((name) => findProgram(name) === undefined);
  if (missing !== undefined) return { path: undefined, reason: `${missing} is not installed` };
  const folder = mkdtempSync(join(tmpdir(), 'vhdkit-loop-'));
  const undo: (() => void)[] = [() => rmSync(folder, { recursive: true, force: true })];
  const cleanUp = (): void => {
    for (const step of undo.toReversed()) step();
  };
  try {
    const path = mount(folder, make, byteLength, undo);
    afterAll(cleanUp);
    return { path, reason: undefined };
  } catch (error) {
    cleanUp();
    return { path: undefined, reason: error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error) };
  }
}

function mount(folder: string, make: string, byteLength: number, undo: (() => void)[]): string {
  const [image, path] = [join(folder, 'image'), join(folder, 'mounted')];
  writeFileSync(image, '');
  truncateSync(image, byteLength);
  run(make, '-q', image);
  const device = attach(image);
  undo.push(() => run('losetup', '-d', device));
  mkdirSync(path);
  run('mount', device, path);
  undo.push(() => run('umount', path));
  return path;
}

/** The first loop device that is free and can be written to; one may have been left read-only by another program. */
function attach(image: string): string {
  const names = readdirSync('/sys/block').filter((name) => /^loop\d+$/.test(name));
  for (const name of names.toReversed()) {
    if (readFileSync(`/sys/block/${name}/ro`, 'utf8').trim() !== '0') continue;
    try {
      run('losetup', `/dev/${name}`, image);
      return `/dev/${name}`;
    } catch {
      // In use, maybe only since a moment ago.
    }
  }
  throw new Error('no loop device is free');
}

function run(program: string, ...words: string[]): void {
  execFileSync(program, words, { stdio: ['ignore', 'ignore', 'pipe'] });
}

// Loop devices, and what can be put on them, for tests that need block devices; everything is taken down again.
import { execFile, execFileSync } from 'node:child_process';
import { mkdtemp, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { getuid } from 'node:process';
import { promisify } from 'node:util';
import { afterAll, afterEach } from 'vitest';
import { findProgram } from './peers.ts';

const run = promisify(execFile);

/** Runs a program of the system and gives what it prints; rejects if it fails. */
export async function system(name: string, ...args: readonly string[]): Promise<string> {
  const { stdout } = await run(findProgram(name) ?? name, args);
  return stdout.trim();
}

/** The same, and nothing else happens in this process meanwhile. */
export function systemNow(name: string, ...args: readonly string[]): void {
  execFileSync(findProgram(name) ?? name, args);
}

/** Why there can be no loop devices here; undefined if there can. */
export async function whyNoLoops(): Promise<string | undefined> {
  if (process.platform !== 'linux') return 'loop devices are a matter of Linux';
  if (findProgram('losetup') === undefined) return 'losetup is not installed';
  if (getuid?.() !== 0) return 'losetup needs root';
  return (await tryWithFile(async (path) => {
    await system('losetup', '-d', await system('losetup', '-f', '--show', path));
  }))
    ? undefined
    : 'losetup is not permitted';
}

/** Why nothing can be mounted here, where there are loop devices; undefined if something can. */
export async function whyNoMounts(): Promise<string | undefined> {
  if (findProgram('mkfs.ext4') === undefined) return 'mkfs.ext4 is not installed';
  return (await tryWithFile(async (path) => {
    await system('mkfs.ext4', '-q', path);
    await system('mount', '-o', 'loop', path, `${path}.d`);
    await system('umount', `${path}.d`);
  }))
    ? undefined
    : 'mounting is not permitted';
}

async function tryWithFile(attempt: (path: string) => Promise<void>): Promise<boolean> {
  const folder = await mkdtemp(join(tmpdir(), 'vhdkit-loop-'));
  const path = join(folder, 'probe');
  try {
    await writeFile(path, '');
    await truncate(path, 2 * 1024 ** 2);
    await system('mkdir', `${path}.d`);
    await attempt(path);
    return true;
  } catch {
    return false;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** What the tests of a file set up on block devices, undone after each of them in the opposite order. */
export class LoopDevices {
  readonly #undo: (() => Promise<unknown>)[] = [];

  constructor() {
    const undoAll = async (): Promise<void> => {
      for (let undo = this.#undo.pop(); undo !== undefined; undo = this.#undo.pop()) {
        await undo().catch(() => undefined);
      }
    };
    afterEach(undoAll);
    afterAll(undoAll);
  }

  /** Makes a loop device of a file; `options` are those of losetup. */
  async attach(path: string, ...options: readonly string[]): Promise<string> {
    const device = await system('losetup', '-f', '--show', ...options, path);
    this.#undo.push(() => system('losetup', '-d', device));
    return device;
  }

  /** Makes the device read-only until it is detached. */
  async setReadOnly(device: string): Promise<void> {
    // A loop device keeps this over its next file.
    this.#undo.push(() => system('blockdev', '--setrw', device));
    await system('blockdev', '--setro', device);
  }

  /** Makes a file system on a device and mounts it, so that nothing but the tests writes to it. */
  async mount(device: string, folder: string): Promise<void> {
    await system('mkfs.ext4', '-q', device);
    await system('mount', '-o', 'ro,noload', device, folder);
    this.#undo.push(() => system('umount', folder));
  }

  /** Uses a device as swap. */
  async swapOn(device: string): Promise<void> {
    await system('mkswap', device);
    await system('swapon', device);
    this.#undo.push(() => system('swapoff', device));
  }

  /** Tells the system of the partitions on a device. */
  async addPartitions(device: string): Promise<void> {
    await system('partx', '-a', device);
    this.#undo.push(() => system('partx', '-d', device));
  }
}

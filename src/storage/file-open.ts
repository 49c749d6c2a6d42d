import * as fs from 'node:fs';
import { promisify } from 'node:util';
import type { LockKind } from './file-lock.ts';

const openFile = promisify(fs.open);
const closeFile = promisify(fs.close);
const stat: (fd: number) => Promise<fs.Stats> = promisify(fs.fstat);

/** How a file is opened, as `FileStorage` is told. */
interface Opening {
  readonly writable?: boolean;
  readonly create?: 'new' | 'replace';
  readonly mode?: number;
  readonly lock?: LockKind | undefined;
}

/** A file that is open. */
export interface OpenedFile {
  /** Its descriptor. */
  readonly fd: number;
  /** True for a block device. */
  readonly isBlockDevice: boolean;
}

/** Opens what a storage can be over. */
export async function openForStorage(path: string, options: Opening): Promise<OpenedFile> {
  const mode = options.mode ?? 0o666;
  const fd = await openFile(path, openFlags(options), mode).catch((error: unknown) => explainBusy(path, error));
  return { fd, isBlockDevice: await checkOpened(fd, path, options) };
}

function openFlags({ writable = false, create, lock }: Opening): number {
  const { O_RDONLY, O_RDWR, O_CREAT, O_EXCL, O_TRUNC } = fs.constants;
  // Without O_CREAT it is for devices, on Linux: one that is in use is refused, and stays ours while it is open.
  const alone = writable && process.platform === 'linux' ? O_EXCL : 0;
  // What is to be locked is emptied when it is.
  const emptying = lock === undefined ? O_TRUNC : 0;
  const creation = create === undefined ? alone : O_CREAT | (create === 'new' ? O_EXCL : emptying);
  // Without waiting: an open that waits for the other end of a named pipe could be ended by nothing but SIGKILL.
  const waiting = (fs.constants.O_NONBLOCK as number | undefined) ?? 0;
  return (writable ? O_RDWR : O_RDONLY) | creation | waiting;
}

/** Refuses a directory, a pipe, which has no positions, and a device that must not be written; tells whether it is a block device. */
async function checkOpened(fd: number, path: string, { writable, create }: Opening): Promise<boolean> {
  try {
    const stats = await stat(fd);
    // Small ones, as in memory, are never read, and would pass for an empty file.
    if (stats.isDirectory()) throw openError('EISDIR', 'illegal operation on a directory', path);
    if (stats.isFIFO()) throw openError('ESPIPE', 'invalid seek', path);
    if (!stats.isBlockDevice()) return false;
    if (create !== undefined) throw openError('EEXIST', 'a block device cannot be emptied', path);
    if (writable === true) await (await import('./file-device-use.ts')).checkDeviceWritable(stats.rdev, path);
    return true;
  } catch (error) {
    await closeFile(fd);
    throw error;
  }
}

function openError(code: string, what: string, path: string): Error {
  return Object.assign(new Error(`${code}: ${what}, open '${path}'`), { code, syscall: 'open', path });
}

/** Tells what uses a device that could not be opened for that. */
async function explainBusy(path: string, error: unknown): Promise<never> {
  const isBusy = error instanceof Error && 'code' in error && error.code === 'EBUSY';
  const told = isBusy ? await (await import('./file-device-use.ts')).busyDeviceError(path, error) : undefined;
  throw told ?? error;
}

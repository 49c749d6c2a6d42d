import type { FileHandle } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { warnOfUnflushed } from './disk/abandoned.ts';
import { checkBooleans, type VhdWarning, type WarningListener } from './errors.ts';
import { FileStorage } from './storage/file.ts';
import type { LockKind } from './storage/file-lock.ts';
import type { Storage } from './storage/storage.ts';

/** Where an image is: a path, a `file:` URL, a `FileHandle` (which stays the caller's), or any {@link Storage}. */
export type ImageSource = string | URL | FileHandle | Storage;

/** How the file of an image is opened. A {@link Storage} is taken as it is. */
export interface FileOptions {
  /**
   * Lock the file while it is open: for reading against writers, for writing against everybody else, in other programs
   * (QEMU among them) and in this one; see `FileStorage.lock`. Default true.
   */
  readonly lock?: boolean | undefined;
  /**
   * Hears what went on all the same, such as that a file to be written cannot be locked. Default: `process.emitWarning`,
   * with type `VhdWarning` and the code.
   */
  readonly onWarning?: WarningListener | undefined;
}

/**
 * Opens a file or a device for writing, locked unless `lock` is false.
 * @throws VhdError `ERR_VHD_IN_USE`
 */
export function openWritableFile(path: string, { lock, onWarning }: FileOptions): Promise<FileStorage> {
  return openFile(path, { lock, onWarning, writable: true });
}

/** Opens what a source stands for: a file locked as the options say, a storage as it is. */
export async function storageOf(source: ImageSource, options: WritableOptions): Promise<Storage> {
  checkBooleans(options, ['lock']);
  if (typeof source === 'string' || source instanceof URL) return openFile(source, options);
  if (!('fd' in source)) return source;
  const storage = FileStorage.fromHandle(source, { writable: options.writable === true });
  const kind = lockKind(options);
  if (kind !== undefined) await storage.lock(kind, listenerFor(source, options));
  return storage;
}

/** How a file is opened, and what for. */
export interface WritableOptions extends FileOptions {
  /** Open for reading and writing; default false. */
  readonly writable?: boolean | undefined;
}

/** Opens a file, or makes one. */
export function openFile(source: string | URL, options: WritableOptions, create?: 'new'): Promise<FileStorage> {
  return FileStorage.open(pathOf(source), {
    writable: options.writable === true,
    ...(create === undefined ? {} : { create }),
    lock: lockKind(options),
    onWarning: listenerFor(source, options),
  });
}

function lockKind({ lock, writable }: WritableOptions): LockKind | undefined {
  if (lock === false) return undefined;
  return writable === true ? 'write' : 'read';
}

/** Who hears of a file that is opened here; a storage is somebody else's, who may not want to be told. */
export function listenerFor(source: ImageSource, { onWarning }: FileOptions): WarningListener | undefined {
  const isFile = typeof source === 'string' || source instanceof URL || 'fd' in source;
  if (isFile) warnAtTheEnd();
  return onWarning ?? (isFile ? emitWarning : undefined);
}

let isWatchingTheEnd = false;

/** A program that comes to its end with small writes still gathered loses them: it is to hear of that. */
function warnAtTheEnd(): void {
  if (isWatchingTheEnd) return;
  isWatchingTheEnd = true;
  process.on('beforeExit', warnOfUnflushed);
}

function emitWarning({ code, message, storage }: VhdWarning): void {
  process.emitWarning(`${storage}: ${message}`, { type: 'VhdWarning', code });
}

/** The path that a path or a `file:` URL says. */
export function pathOf(target: string | URL): string {
  return typeof target === 'string' ? target : fileURLToPath(target);
}

import { type FileHandle, rm } from 'node:fs/promises';
import { basename, extname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { warnOfUnflushed } from './disk/abandoned.ts';
import { type CreateStorageOptions, checkCreateOptions, createVhdStorage } from './disk/create-storage.ts';
import type { Disk } from './disk/disk.ts';
import { FlatDisk } from './disk/flat.ts';
import {
  checkOpenOptions,
  OPEN_STORAGE_OPTIONS,
  type OpenStorageOptions,
  openVhdStorage,
} from './disk/open-storage.ts';
import { type Examination, examine } from './disk/recognise.ts';
import type { VhdDisk } from './disk/vhd-disk.ts';
import { checkWriteOptions, WRITE_OPTIONS, WriteBackDisk, type WriteOptions } from './disk/write-back.ts';
import {
  checkBooleans,
  checkOneOf,
  checkOptionNames,
  VhdError,
  type VhdWarning,
  type WarningListener,
} from './errors.ts';
import { detectForeign, MAGIC_BYTES } from './format/magic.ts';
import { remedyFor } from './format/shell.ts';
import { alignUp, SECTOR_BYTES, type VhdType } from './format/spec.ts';
import { FileStorage } from './storage/file.ts';
import type { LockKind } from './storage/file-lock.ts';
import { FileWatch } from './storage/file-watch.ts';
import { PaddedStorage } from './storage/padded.ts';
import type { Storage } from './storage/storage.ts';

/** How an image is opened. */
export interface OpenOptions extends OpenStorageOptions, FileOptions {}

/**
 * Opens a VHD, for reading unless `writable` is set. Closing the disk closes what it was opened on, a `FileHandle` excepted.
 * @throws VhdError with the code that says what is wrong with the image, `ERR_VHD_IN_USE` if another program has it locked;
 *   errors of the system pass unwrapped
 * @throws TypeError on an unknown option
 */
export async function openVhd(source: ImageSource, options: OpenOptions = {}): Promise<VhdDisk> {
  checkOpenOptions('openVhd', options, ['lock']);
  const { lock: _lock, ...vhdOptions } = options;
  return openVhdStorage(await storageOf(source, options), { ...vhdOptions, onWarning: listenerFor(source, options) });
}

/**
 * Opens a raw image: the bytes of a disk and nothing else.
 * @throws VhdError `ERR_VHD_SIZE` if its length is no multiple of 512 and `pad` is not given; `ERR_VHD_IN_USE` if another
 *   program has it locked
 */
export async function openRaw(source: ImageSource, options: OpenRawOptions = {}): Promise<Disk> {
  checkOptionNames('openRaw', options, ['writable', 'pad', 'lock', ...WRITE_OPTIONS]);
  checkWriteOptions(options);
  const storage = await storageOf(source, options);
  try {
    return await rawDisk(storage, { ...options, onWarning: listenerFor(source, options) });
  } catch (error) {
    await storage.close();
    throw error;
  }
}

/** How an image of a kind to be found out is opened. */
export interface OpenDiskOptions extends OpenOptions {
  /** What it is; never overridden by what the file looks like. Default: recognised by both ends of the file. */
  readonly from?: 'raw' | 'vhd' | undefined;
  /** For raw images, see {@link OpenRawOptions}. */
  readonly pad?: boolean | undefined;
}

/** The option names of {@link OpenDiskOptions}. */
export const OPEN_DISK_OPTIONS: readonly string[] = [...OPEN_STORAGE_OPTIONS, 'from', 'pad', 'lock'];

/** An opened image, and what it was taken for. */
export interface OpenedDisk {
  /** The disk. */
  readonly disk: Disk;
  /** What it is. */
  readonly type: VhdType | 'raw';
  /** True if it is raw because nothing said otherwise, neither the caller nor the file. */
  readonly isAssumedRaw: boolean;
  /** The VHD behind it; undefined for raw. */
  readonly vhd: VhdDisk | undefined;
  /**
   * For the end of a long read, before closing: rejects with `ERR_VHD_SOURCE_CHANGED` if size, time or the bytes at either
   * end of the file are not what they were. Nothing to tell of a {@link Storage}, or of an image opened for writing.
   * @param cause the error that the reading ended with, if it did
   */
  readonly checkUnchanged: (cause?: unknown) => Promise<void>;
}

/**
 * Opens a VHD or a raw image, recognised by content and name. Nothing unrecognised is silently raw where its name or
 * its bytes say otherwise.
 * @throws VhdError `ERR_VHD_FOREIGN_FORMAT` for other formats, with the command that converts them;
 *   `ERR_VHD_AMBIGUOUS` where name and content contradict; else as `openVhd` and `openRaw`
 */
export async function openDisk(source: ImageSource, options: OpenDiskOptions = {}): Promise<OpenedDisk> {
  checkOpenOptions('openDisk', options, ['from', 'pad', 'lock']);
  checkOneOf('from', options.from, ['raw', 'vhd']);
  const { from, pad, lock: _lock, ...given } = options;
  const vhdOptions = { ...given, onWarning: listenerFor(source, options) };
  const storage = await storageOf(source, options);
  try {
    const isWatched = storage !== source && storage instanceof FileStorage && options.writable !== true;
    const watch = isWatched ? await FileWatch.start(storage) : undefined;
    const checkUnchanged = async (cause?: unknown): Promise<void> => watch?.check(cause);
    if ((from ?? (await recognise(storage, options))) === 'raw') {
      const { writable, durability, onWarning } = vhdOptions;
      const disk = await rawDisk(storage, { pad, writable, durability, onWarning });
      return { disk, type: 'raw', isAssumedRaw: from === undefined, vhd: undefined, checkUnchanged };
    }
    const vhd = await openVhdStorage(storage, vhdOptions);
    return { disk: vhd, type: vhd.type, isAssumedRaw: false, vhd, checkUnchanged };
  } catch (error) {
    await storage.close();
    throw error;
  }
}

/** What a new image is to be; see {@link createVhdStorage}. */
export interface CreateOptions extends CreateStorageOptions, FileOptions {}

/**
 * Makes a VHD and opens it for writing. A path that exists already is refused with `EEXIST`; the file appears under
 * its name at once, and `convert` or the command are the way to have it appear when it is complete.
 * @throws RangeError if a size or a field cannot be
 * @throws VhdError `ERR_VHD_LIMIT` if the type cannot hold the size
 */
export async function createVhd(target: string | URL | Storage, options: CreateOptions): Promise<VhdDisk> {
  const { lock: _lock, ...given } = options;
  const image = { ...given, onWarning: listenerFor(target, options) };
  checkBooleans(options, ['lock']);
  checkCreateOptions('createVhd', image);
  if (typeof target !== 'string' && !(target instanceof URL)) return createVhdStorage(target, image);
  const path = pathOf(target);
  const storage = await openFile(target, { ...options, writable: true }, 'new');
  try {
    return await createVhdStorage(storage, image);
  } catch (error) {
    await rm(path, { force: true });
    throw error;
  }
}


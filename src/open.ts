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

/** How a raw image is opened. */
export interface OpenRawOptions extends WriteOptions, FileOptions {
  /** Open for reading and writing; default false. */
  readonly writable?: boolean | undefined;
  /** Read a length that is no multiple of 512 as if zeros filled the last sector; for reading only. Default false. */
  readonly pad?: boolean | undefined;
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

async function rawDisk(storage: Storage, options: OpenRawOptions): Promise<Disk> {
  const byteLength = await storage.size();
  const readOnly = options.writable !== true;
  if (byteLength === 0) {
    throw new VhdError('ERR_VHD_SIZE', 'the file is empty: expected a disk image, found 0 bytes', {
      storage: storage.name,
    });
  }
  if (byteLength % SECTOR_BYTES === 0) {
    const disk = new FlatDisk(storage, byteLength, readOnly);
    return readOnly ? disk : new WriteBackDisk(disk, options);
  }
  const padded = alignUp(byteLength, SECTOR_BYTES);
  if (options.pad === true && readOnly) {
    return new FlatDisk(new PaddedStorage(storage, byteLength, padded), padded, true);
  }
  throw new VhdError(
    'ERR_VHD_SIZE',
    `a raw disk is a whole number of sectors: expected a multiple of 512 bytes, found ${byteLength}`,
    {
      storage: storage.name,
      expected: 'a multiple of 512 bytes',
      found: `${byteLength} bytes`,
      remedy: `--pad fills it up with zeros to ${padded} bytes`,
    },
  );
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

/** Endings of names that promise a raw image. */
export const RAW_NAMES: readonly string[] = ['.raw', '.img'];
/** Endings of names that promise a VHD. */
export const VHD_NAMES: readonly string[] = ['.vhd', '.avhd', '.vpc'];

/** Tells raw from VHD by content, and refuses what is neither or could be both. */
async function recognise(storage: Storage, options: OpenDiskOptions): Promise<'raw' | 'vhd'> {
  const examination = await examine(storage, options);
  const extension = extname(basename(storage.name)).toLowerCase();
  const isVhd = examination.footer !== undefined || looksDamaged(examination);
  const says = 'say --from raw or --from vhd';
  if (isVhd && RAW_NAMES.includes(extension)) {
    throw new VhdError('ERR_VHD_AMBIGUOUS', `it is named ${extension} but has the footer of a VHD`, {
      storage: storage.name,
      expected: 'no footer in a raw image',
      found: 'a footer',
      remedy: says,
    });
  }
  if (isVhd) return 'vhd';
  await refuseForeign(storage, examination.fileSize);
  if (VHD_NAMES.includes(extension) && examination.fileSize > 0) {
    throw new VhdError(
      'ERR_VHD_AMBIGUOUS',
      `it is named ${extension} but has no footer: expected 'conectix' at its end or start, found other bytes`,
      {
        storage: storage.name,
        expected: "'conectix' at its end or start",
        found: 'other bytes',
        remedy: `if it is a raw disk, say --from raw`,
      },
    );
  }
  return 'raw';
}

/** True if no footer is valid but a cookie stands where one belongs: a damaged VHD, not a raw disk. */
function looksDamaged(examination: Examination): boolean {
  return examination.refusal !== undefined && examination.refusal.code !== 'ERR_VHD_NOT_VHD';
}

async function refuseForeign(storage: Storage, fileSize: number): Promise<void> {
  const head = new Uint8Array(Math.min(MAGIC_BYTES, fileSize));
  await storage.read(head, 0);
  checkNotForeign(head, storage.name);
}

/**
 * Refuses the first bytes of a format that is not a disk image this library takes.
 * @throws VhdError `ERR_VHD_FOREIGN_FORMAT`, with the command that converts it as remedy
 */
export function checkNotForeign(head: Uint8Array, name: string): void {
  const foreign = detectForeign(head);
  if (foreign === undefined) return;
  throw new VhdError('ERR_VHD_FOREIGN_FORMAT', `this is a ${foreign.title} file: expected a VHD or a raw disk`, {
    storage: name,
    offset: 0,
    expected: 'a VHD or a raw disk',
    found: foreign.title,
    remedy: `${remedyFor(foreign.remedy, name)}   (--from raw takes its bytes as they are)`,
  });
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

/**
 * Opens a file or a device for writing, locked unless `lock` is false.
 * @throws VhdError `ERR_VHD_IN_USE`
 */
export function openWritableFile(path: string, { lock, onWarning }: FileOptions): Promise<FileStorage> {
  return openFile(path, { lock, onWarning, writable: true });
}

async function storageOf(source: ImageSource, options: WritableOptions): Promise<Storage> {
  checkBooleans(options, ['lock']);
  if (typeof source === 'string' || source instanceof URL) return openFile(source, options);
  if (!('fd' in source)) return source;
  const storage = FileStorage.fromHandle(source, { writable: options.writable === true });
  const kind = lockKind(options);
  if (kind !== undefined) await storage.lock(kind, listenerFor(source, options));
  return storage;
}

type WritableOptions = FileOptions & Pick<OpenStorageOptions, 'writable'>;

function openFile(source: string | URL, options: WritableOptions, create?: 'new'): Promise<FileStorage> {
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
function listenerFor(source: ImageSource, { onWarning }: FileOptions): WarningListener | undefined {
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

function pathOf(target: string | URL): string {
  return typeof target === 'string' ? target : fileURLToPath(target);
}

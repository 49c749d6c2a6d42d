import { rm } from 'node:fs/promises';
import {
  CREATE_STORAGE_OPTIONS,
  type CreateStorageOptions,
  checkCreateOptions,
  createVhdStorage,
} from './disk/create-storage.ts';
import type { Disk } from './disk/disk.ts';
import type { ChildOptions } from './disk/new-child.ts';
import {
  checkOpenOptions,
  OPEN_STORAGE_OPTIONS,
  type OpenStorageOptions,
  openVhdStorage,
} from './disk/open-storage.ts';
import { examine } from './disk/recognise.ts';
import type { VhdDisk } from './disk/vhd-disk.ts';
import { checkWriteOptions, WRITE_OPTIONS } from './disk/write-back.ts';
import { checkBooleans, checkOneOf, checkOptionNames } from './errors.ts';
import type { VhdType } from './format/spec.ts';
import type { ChainStart, OpenedParents } from './open-chain.ts';
import { checkJournal, forgetUndo } from './open-journal.ts';
import { checkParentOptions, PARENT_OPTIONS, type ParentOptions } from './open-parent-options.ts';
import { type OpenRawOptions, rawDisk } from './open-raw.ts';
import { recognise } from './open-recognise.ts';
import { type FileOptions, type ImageSource, listenerFor, openFile, pathOf, storageOf } from './open-source.ts';
import { FileStorage } from './storage/file.ts';
import { FileWatch } from './storage/file-watch.ts';
import type { Storage } from './storage/storage.ts';

/** How an image is opened, and where its parents are. */
export interface OpenOptions extends OpenStorageOptions, FileOptions, ParentOptions {}

/** What {@link OpenOptions} have that a storage does not need. */
const FILE_OPTIONS: readonly string[] = ['lock', ...PARENT_OPTIONS];

/**
 * Opens a VHD, for reading unless `writable` is set. Closing the disk closes what it was opened on, a `FileHandle` excepted.
 * The parents of a differencing image are looked for and opened along with it, for reading; of what is no path only with
 * `parentDirs`, or `parent` to give it.
 * @throws VhdError with the code that says what is wrong with the image or its chain, `ERR_VHD_IN_USE` if another program
 *   has one of its files locked, `ERR_VHD_JOURNAL` if an operation on one was not finished; errors of the system pass unwrapped
 * @throws TypeError on an unknown option
 */
export async function openVhd(source: ImageSource, options: OpenOptions = {}): Promise<VhdDisk> {
  checkAllOptions('openVhd', options);
  const storage = await storageOf(source, options);
  const start = await orClosed([storage, options.parent], async () => {
    await checkNoJournal(source, options);
    return { storage, path: pathIfAny(source), examination: await examine(storage, options) };
  });
  return (await openWithParents(start, source, options)).vhd;
}

function checkAllOptions(where: string, options: OpenOptions, moreNames: readonly string[] = []): void {
  checkOpenOptions(where, options, [...FILE_OPTIONS, ...moreNames]);
  checkParentOptions(options);
}

/** Does something with what is open, and closes that if it fails. */
async function orClosed<T>(opened: readonly (Closable | undefined)[], job: () => Promise<T>): Promise<T> {
  try {
    return await job();
  } catch (error) {
    for (const item of opened) await item?.close();
    throw error;
  }
}

type Closable = Pick<Storage, 'close'>;

function pathIfAny(source: ImageSource): string | undefined {
  return typeof source === 'string' || source instanceof URL ? pathOf(source) : undefined;
}

/** An operation that was not finished may have left what cannot be read, and must be finished before anything is written. */
async function checkNoJournal(source: ImageSource, { writable }: OpenOptions): Promise<void> {
  const path = pathIfAny(source);
  if (path !== undefined) await checkJournal(path, { writable });
}

/** What is written from now on would be lost with the last repair, if that were taken back. */
async function forgetLastChange(source: ImageSource, { writable }: OpenOptions): Promise<void> {
  const path = pathIfAny(source);
  if (writable === true && path !== undefined) await forgetUndo(path);
}

async function parentsOf(start: ChainStart, options: OpenOptions): Promise<OpenedParents | undefined> {
  if (start.examination.type !== 'differencing') return undefined;
  // Loaded when it is needed: most images have no parent.
  const { openParents } = await import('./open-chain.ts');
  return openParents(start, options);
}

interface WithParents {
  readonly vhd: VhdDisk;
  readonly parents: OpenedParents | undefined;
}

/** Opens an image in a storage, and before it its parents. A failure closes everything. */
async function openWithParents(start: ChainStart, source: ImageSource, options: OpenOptions): Promise<WithParents> {
  const { storage, path } = start;
  const isSearched = options.parent === undefined && (path !== undefined || (options.parentDirs?.length ?? 0) > 0);
  const parents = isSearched ? await orClosed([storage], () => parentsOf(start, options)) : undefined;
  const { writable, footer, sizeFrom, bitmap, durability } = options;
  const given = { writable, footer, sizeFrom, bitmap, durability, onWarning: listenerFor(source, options) };
  const vhd = await openVhdStorage(storage, { ...given, parent: options.parent ?? parents?.parent });
  if (parents !== undefined) vhd.addFindings(parents.findings);
  await orClosed([vhd], () => forgetLastChange(source, options));
  return { vhd, parents };
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
    const disk = await rawDisk(storage, { ...options, onWarning: listenerFor(source, options) });
    await forgetLastChange(source, options);
    return disk;
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
export const OPEN_DISK_OPTIONS: readonly string[] = [...OPEN_STORAGE_OPTIONS, ...FILE_OPTIONS, 'from', 'pad'];

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
  /** Paths of the parents that were opened along with it, the nearest first; empty if it has none, or was given one. */
  readonly parentPaths: readonly string[];
  /** What it and these parents are open on, by the depth that extents tell; those of parents that were given are not known. */
  readonly storages: readonly Storage[];
  /**
   * For the end of a long read, before closing: rejects with `ERR_VHD_SOURCE_CHANGED` if size, time or the bytes at either
   * end of a file of the chain are not what they were. Nothing to tell of a {@link Storage}, or of an image opened for
   * writing (but of its parents).
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
  checkAllOptions('openDisk', options, ['from', 'pad']);
  checkOneOf('from', options.from, ['raw', 'vhd']);
  const { from, pad, writable, durability } = options;
  const storage = await storageOf(source, options);
  const { watch, examination, kind } = await orClosed([storage, options.parent], async () => {
    await checkNoJournal(source, options);
    const isWatched = storage !== source && storage instanceof FileStorage && writable !== true;
    const examination = await examine(storage, options);
    return {
      watch: isWatched ? await FileWatch.start(storage) : undefined,
      examination,
      kind: from ?? (await recognise(storage, examination)),
    };
  });
  if (kind === 'raw') {
    const onWarning = listenerFor(source, options);
    const disk = await orClosed([storage, options.parent], async () => {
      if (options.parent !== undefined) throw new TypeError('parent: a raw disk has none');
      await forgetLastChange(source, options);
      return rawDisk(storage, { pad, writable, durability, onWarning });
    });
    const checkUnchanged = async (cause?: unknown): Promise<void> => watch?.check(cause);
    const isAssumedRaw = from === undefined;
    return { disk, type: 'raw', isAssumedRaw, vhd: undefined, parentPaths: [], storages: [storage], checkUnchanged };
  }
  const start = { storage, path: pathIfAny(source), examination };
  const { vhd, parents } = await openWithParents(start, source, options);
  const checkUnchanged = async (cause?: unknown): Promise<void> => {
    await watch?.check(cause);
    await parents?.checkUnchanged(cause);
  };
  const parentPaths = parents?.paths ?? [];
  const storages = [storage, ...(parents?.storages ?? [])];
  return { disk: vhd, type: vhd.type, isAssumedRaw: false, vhd, parentPaths, storages, checkUnchanged };
}

/** What a new image is to be; see {@link createVhdStorage}. The parent of a differencing one is given by its path. */
export interface CreateOptions
  extends Omit<CreateStorageOptions, 'parent' | 'parentReference'>,
    FileOptions,
    ParentOptions {
  /**
   * Path of the VHD that the new image is to be a child of, which must not change from then on. It is opened for reading,
   * with its own parents, and closed along with the new disk. Only for a target that is a path.
   */
  readonly parent?: string | URL | undefined;
}

/** The option names of {@link CreateOptions}. */
export const CREATE_OPTIONS: readonly string[] = [
  ...CREATE_STORAGE_OPTIONS.filter((name) => name !== 'parentReference'),
  ...FILE_OPTIONS,
];

/**
 * Makes a VHD and opens it for writing. A path that exists already is refused with `EEXIST`; the file appears under
 * its name at once, and `convert` or the command are the way to have it appear when it is complete.
 * @throws RangeError if a size or a field cannot be
 * @throws VhdError `ERR_VHD_LIMIT` if the type cannot hold the size; with `parent` everything `openDisk` throws about that
 */
export async function createVhd(target: string | URL | Storage, options: CreateOptions): Promise<VhdDisk> {
  checkOptionNames('createVhd', options, CREATE_OPTIONS);
  checkBooleans(options, ['lock']);
  checkParentOptions(options);
  const image = { ...imageOptions(options), onWarning: listenerFor(target, options) };
  if (typeof target !== 'string' && !(target instanceof URL)) {
    if (options.parent === undefined) return createVhdStorage(target, image);
    throw new TypeError('parent: of a storage, createVhdStorage takes the open disk of the parent');
  }
  return createFile(target, options, { ...image, ...(await parentFor(target, options)) });
}

/** What of the options is about the image itself. */
export function imageOptions(options: CreateOptions): Omit<CreateStorageOptions, keyof ChildOptions> {
  const { uuid, timestamp, creator, geometry, size, type, blockSize, preallocate, durability, signal } = options;
  return { uuid, timestamp, creator, geometry, size, type, blockSize, preallocate, durability, signal };
}

async function createFile(target: string | URL, options: CreateOptions, image: CreateStorageOptions): Promise<VhdDisk> {
  const storage = await orClosed([image.parent], () => {
    checkCreateOptions('createVhd', image);
    return openFile(target, { ...options, writable: true }, 'new');
  });
  try {
    return await createVhdStorage(storage, image);
  } catch (error) {
    await rm(pathOf(target), { force: true });
    throw error;
  }
}

async function parentFor(target: string | URL, options: CreateOptions): Promise<ChildOptions> {
  const { parent: given } = options;
  if (given === undefined) return {};
  // Loaded when it is needed: most images have no parent.
  const { openNewParent } = await import('./open-child.ts');
  const { parent, parentReference } = await openNewParent(pathOf(target), { ...options, parent: given });
  return { parent, parentReference };
}

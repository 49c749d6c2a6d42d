import * as fs from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { VhdError } from '../errors.ts';
import { syncDirectory } from '../open-directory.ts';
import { FileStorage } from '../storage/file.ts';

/** What the names of unfinished outputs look like. */
export const TEMPORARY_NAME = /^\..+\.[0-9a-z]{6,}\.tmp$/;

/** How an output is written. */
export interface OutputOptions {
  /** Replace a file that exists. */
  readonly force?: boolean | undefined;
  /** Refuse to replace a file that somebody has locked. Default true. */
  readonly lock?: boolean | undefined;
  /** See {@link FileStorage}. */
  readonly blockingWrites?: boolean | undefined;
}

interface Replaced {
  readonly owner: FileOwner;
  /** Keeps others from opening it until it is replaced; undefined if that is not to be, or cannot. */
  readonly held: FileStorage | undefined;
}

/**
 * A file that appears under its name only when it is complete: written under a temporary name beside it, made durable,
 * renamed, and the directory made durable. Mode and owner of a file it replaces are kept, and where the name is a
 * symbolic link, what it points to is replaced.
 */
export class OutputFile {
  /** The file being written. */
  readonly storage: FileStorage;
  readonly #temporaryPath: string;
  readonly #targetPath: string;
  readonly #replaced: Replaced | undefined;
  #isDone = false;

  private constructor(storage: FileStorage, temporaryPath: string, targetPath: string, replaced?: Replaced) {
    this.storage = storage;
    this.#temporaryPath = temporaryPath;
    this.#targetPath = targetPath;
    this.#replaced = replaced;
  }

  /**
   * Starts a file that is to become `path`.
   * @throws VhdError `ERR_VHD_EXISTS` if there is one and `force` is not given, or if it is no regular file;
   *   `ERR_VHD_IN_USE` if somebody has it locked
   */
  static async create(path: string, options: OutputOptions): Promise<OutputFile> {
    const existing = await checkTarget(path, options.force === true);
    const targetPath = await followLinks(path);
    // Unlikely to be there; if it is, creating it fails and nothing is lost.
    const suffix = `${process.pid.toString(36)}${Math.random().toString(36).slice(2, 8)}`;
    const stem = Array.from(basename(targetPath)).slice(0, 40).join('');
    const temporaryPath = join(dirname(targetPath), `.${stem}.${suffix}.tmp`);
    // Nobody may read it meanwhile who may not read what it replaces.
    const mode = existing === undefined ? 0o666 : (existing.mode & 0o777) | 0o600;
    const replaced = existing && { owner: existing, held: await holdReplaced(targetPath, options) };
    try {
      const blockingWrites = options.blockingWrites === true;
      const storage = await FileStorage.open(temporaryPath, { writable: true, create: 'new', mode, blockingWrites });
      return new OutputFile(storage, temporaryPath, targetPath, replaced);
    } catch (error) {
      await replaced?.held?.close();
      throw error;
    }
  }

  /**
   * Makes the file durable under its name, and returns its length; call it when everything is written. The storage may
   * be closed already.
   */
  async commit(): Promise<number> {
    const handle = await fs.open(this.#temporaryPath, 'r+');
    let byteLength: number;
    try {
      if (this.#replaced !== undefined) await copyOwner(handle, this.#replaced.owner);
      await handle.datasync();
      byteLength = (await handle.stat()).size;
    } finally {
      await handle.close();
    }
    await this.storage.close();
    await renameFile(this.#temporaryPath, this.#targetPath, this.#replaced !== undefined);
    this.#isDone = true;
    await this.#replaced?.held?.close();
    await syncDirectory(dirname(this.#targetPath));
    return byteLength;
  }

  /** Removes what was written, unless it was committed. Never rejects. */
  async discard(): Promise<void> {
    if (this.#isDone) return;
    this.#isDone = true;
    await this.storage.close().catch(() => undefined);
    await fs.rm(this.#temporaryPath, { force: true }).catch(() => undefined);
    await this.#replaced?.held?.close().catch(() => undefined);
  }
}

/**
 * Locks a file that is to be replaced: whoever has it open would go on writing into a file without a name, and lose it.
 * The lock ends when what is returned is closed; undefined if there is none to be had, as without the native helper.
 * @throws VhdError `ERR_VHD_IN_USE` if somebody else has it locked
 */
export async function holdReplaced(
  path: string,
  { lock }: Pick<OutputOptions, 'lock'>,
): Promise<FileStorage | undefined> {
  // Elsewhere nothing is locked, and Windows replaces no file that is open.
  if (lock === false || process.platform !== 'linux') return undefined;
  // For reading: that is enough for a writer's lock, and what is replaced need not be writable. What cannot be opened at
  // all can be replaced all the same.
  const storage = await FileStorage.open(path).catch(() => undefined);
  if (storage === undefined) return undefined;
  try {
    await storage.lock('write');
    return storage;
  } catch (error) {
    await storage.close();
    throw error;
  }
}

/**
 * Gives a file another name.
 * @param replaces true if a file of that name may be replaced
 * @throws VhdError `ERR_VHD_EXISTS` if there is one and it may not
 */
export async function renameFile(path: string, target: string, replaces: boolean): Promise<void> {
  if (replaces) return fs.rename(path, target);
  try {
    // Unlike a rename, a link refuses to take the place of a file that has come to be there meanwhile.
    await fs.link(path, target);
  } catch (error) {
    if (codeOf(error) === 'EEXIST') throw existsError(target);
    await checkTarget(target, false);
    return fs.rename(path, target);
  }
  await fs.unlink(path);
}

interface FileOwner {
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
}

async function copyOwner(handle: fs.FileHandle, owner: FileOwner): Promise<void> {
  // Only root may give files away; whoever may not keeps the new file as their own, and then what the mode gave to the
  // old group must not go to another one. Mode last: chown clears bits of it.
  const isOwned = await handle.chown(owner.uid, owner.gid).then(
    () => true,
    () => false,
  );
  await handle.chmod(isOwned ? owner.mode & 0o7777 : owner.mode & 0o707);
}

/** The path behind symbolic links, also where the last of them leads to nothing yet. */
export async function followLinks(path: string): Promise<string> {
  let current = path;
  for (let hops = 0; hops < 40; hops++) {
    const target = await fs.readlink(current).catch(() => undefined);
    if (target === undefined) return current;
    // By its real directory: `..` in a link leads up from where the link is, not from how one came there.
    current = resolve(await fs.realpath(dirname(current)), target);
  }
  throw Object.assign(new Error(`ELOOP: too many symbolic links, '${path}'`), { code: 'ELOOP', path });
}

/**
 * Looks at what a file of that name would take the place of; undefined if there is nothing.
 * @throws VhdError `ERR_VHD_EXISTS` if there is a file and `force` is not given, or something that is no regular file
 */
export async function checkTarget(path: string, force: boolean): Promise<FileOwner | undefined> {
  let existing;
  try {
    existing = await fs.stat(path);
  } catch (error) {
    if (codeOf(error) !== 'ENOENT') throw error;
    await refuseMissingDevice(path);
    return undefined;
  }
  if (!existing.isFile()) {
    throw new VhdError('ERR_VHD_EXISTS', 'the output exists and is no regular file', {
      storage: path,
      remedy: existing.isBlockDevice()
        ? 'name a file; vhd convert SRC DEVICE --to raw --force is what writes to a block device'
        : 'name a file; for a pipe write to standard output with -',
    });
  }
  if (!force) throw existsError(path);
  return existing;
}

/**
 * A device that is not there, or whose name is misspelt, must not become a file in the memory that `/dev` lies in: it
 * would fill up, and look like a device that was written.
 */
async function refuseMissingDevice(path: string): Promise<void> {
  const directory = await fs.realpath(dirname(path)).catch(() => '');
  if (!/^\/dev(?!\/shm(\/|$))(\/|$)/.test(directory)) return;
  throw Object.assign(new Error(`ENOENT: no such device, open '${path}'`), { code: 'ENOENT', syscall: 'open', path });
}

function existsError(path: string): VhdError {
  return new VhdError('ERR_VHD_EXISTS', 'the output exists already', { storage: path, remedy: '--force replaces it' });
}

/** The code of an error of the operating system, such as `ENOENT`. */
export function codeOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}

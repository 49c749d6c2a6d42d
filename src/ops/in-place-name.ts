import type { Stats } from 'node:fs';
import { access, constants, lstat, realpath, stat, unlink } from 'node:fs/promises';
import { dirname } from 'node:path';
import { VhdError } from '../errors.ts';
import { syncDirectory } from '../open-directory.ts';
import type { FileStorage } from '../storage/file.ts';
import { checkTarget, codeOf, followLinks, holdReplaced, type OutputOptions, renameFile } from './output-file.ts';

/** What becomes of the name of a file that is changed in place. */
export interface InPlaceName {
  /** The file itself, behind every link. */
  readonly path: string;
  /** Its new name; undefined if it keeps the one it has. */
  readonly target: string | undefined;
  /** True if a file of the new name is to be replaced. */
  readonly replaces: boolean;
  /** True if the file has the new name already beside its own, as after a renaming that was interrupted. */
  readonly isLinked: boolean;
}

/**
 * Checks everything about the names before the file is touched.
 * @throws VhdError `ERR_VHD_UNSUPPORTED` for what is no regular file, has other names, or would have to move to another
 *   file system; `ERR_VHD_EXISTS` if the new name is taken and `force` is not given; errors of the system pass
 */
export async function checkInPlaceName(path: string, target: string, force: boolean): Promise<InPlaceName> {
  const file = await stat(path);
  if (!file.isFile()) {
    throw unsupported(
      path,
      'only a regular file can be changed in place',
      'leave --in-place away, and write a new image',
    );
  }
  const real = await realpath(path);
  const wanted = await followLinks(target);
  const isKept = real === (await realpath(wanted).catch(() => undefined));
  const existing = isKept ? undefined : await statOrNothing(wanted);
  const isLinked = existing?.ino === file.ino && existing.dev === file.dev;
  checkLinks(path, file.nlink, isLinked);
  if (isKept) return { path: real, target: undefined, replaces: false, isLinked };
  if ((await lstat(path)).isSymbolicLink()) {
    throw unsupported(
      path,
      'it is a symbolic link, which would not follow a new name',
      `name the file itself: ${real}`,
    );
  }
  if (!isLinked) await checkTarget(wanted, force);
  await checkFolders(real, wanted, file);
  return { path: real, target: wanted, replaces: existing !== undefined, isLinked };
}

/** A new name that the file has already takes nothing from others. */
function checkLinks(path: string, linkCount: number, isLinked: boolean): void {
  if (linkCount <= (isLinked ? 2 : 1)) return;
  const message = `the file has ${linkCount} names (hard links), and would change under all of them`;
  throw unsupported(path, message, 'leave --in-place away, or copy it first');
}

async function checkFolders(path: string, target: string, file: Stats): Promise<void> {
  if ((await stat(dirname(target))).dev !== file.dev) {
    const remedy = 'give a name beside it, and move it with mv afterwards';
    throw unsupported(target, 'the new name lies on another file system than the file', remedy);
  }
  for (const name of [path, target]) await access(dirname(name), constants.W_OK);
}

async function statOrNothing(path: string): Promise<Stats | undefined> {
  return stat(path).catch((error: unknown) => {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw error;
  });
}

function unsupported(storage: string, message: string, remedy: string): VhdError {
  return new VhdError('ERR_VHD_UNSUPPORTED', message, { storage, remedy });
}

/**
 * Locks the file that loses its name to this one, see {@link holdReplaced}.
 * @throws VhdError `ERR_VHD_IN_USE`
 */
export async function holdLosing(name: InPlaceName, options: OutputOptions): Promise<FileStorage | undefined> {
  const { target, replaces, isLinked } = name;
  return target === undefined || !replaces || isLinked ? undefined : holdReplaced(target, options);
}

/** Gives the file its new name, durably. */
export async function giveName({ path, target, replaces, isLinked }: InPlaceName): Promise<void> {
  if (target === undefined) return;
  if (isLinked) await unlink(path);
  else await renameFile(path, target, replaces);
  await syncDirectory(dirname(target));
  if (dirname(path) !== dirname(target)) await syncDirectory(dirname(path));
}

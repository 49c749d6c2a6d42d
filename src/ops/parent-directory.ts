import { realpath } from 'node:fs/promises';
import { dirname, isAbsolute, relative, resolve, sep } from 'node:path';
import { VhdError } from '../errors.ts';
import { shortest } from '../open-error-paths.ts';
import { refuseSameFile } from './same-file.ts';

/**
 * The directory of a parent, if that is neither the one of its child nor below it: what `parentDirs` must have for the
 * child to be opened.
 * @param child path of the child, which need not be there yet
 * @param parent path of the parent
 */
export async function parentDirectory(child: string, parent: string): Promise<string | undefined> {
  const [from, to] = await Promise.all([realpath(dirname(resolve(child))), realpath(parent)]);
  const way = relative(from, dirname(to));
  return way === '..' || way.startsWith(`..${sep}`) || isAbsolute(way) ? shortest(dirname(to)) : undefined;
}

/**
 * Refuses to write a child over its own parent, or one of the parents of that.
 * @throws VhdError `ERR_VHD_SAME_FILE`
 */
export async function refuseOwnParents(parents: readonly string[], child: string): Promise<void> {
  for (const path of parents) {
    await refuseSameFile(path, child).catch((error: unknown) => {
      if (!(error instanceof VhdError)) throw error;
      const message = 'the new image would replace its own parent, or a parent of that';
      throw new VhdError(error.code, message, { storage: child, remedy: error.remedy });
    });
  }
}

import { opendir, stat } from 'node:fs/promises';
import { examine } from './disk/recognise.ts';
import { HERE } from './open-parent-paths.ts';
import { identityOf } from './open-parent-places.ts';
import { isNamedLikeLink } from './open-recognise.ts';
import { FileStorage } from './storage/file.ts';

/** Names of a directory that are gone through. */
const MAX_NAMES = 10_000;
/** Files that are opened, in all directories. */
const MAX_OPENED = 1000;

/**
 * Looks for an image with an identifier in some directories, to tell of it: a few sectors of up to 1000 files that are
 * named like images.
 * @param directories behind all links
 * @param uniqueId the 16 bytes in file order
 * @param without identities of files that are not looked at
 * @returns the path of the first in the order of their names; undefined if there is none, or if it cannot be told
 */
export async function findByIdentifier(
  directories: readonly string[],
  uniqueId: Uint8Array,
  without: ReadonlySet<string>,
): Promise<string | undefined> {
  let left = MAX_OPENED;
  for (const directory of directories) {
    const paths = await imagesIn(directory).catch(() => []);
    for (const path of paths) {
      if (left-- <= 0) return undefined;
      if (await hasIdentifier(path, uniqueId, without).catch(() => false)) return path;
    }
  }
  return undefined;
}

/** Regular files only: to open another one does something. */
async function imagesIn(directory: string): Promise<string[]> {
  const paths: string[] = [];
  let left = MAX_NAMES;
  for await (const entry of await opendir(directory)) {
    if (left-- <= 0) break;
    if (entry.isFile() && isNamedLikeLink(entry.name)) paths.push(HERE.join(directory, entry.name));
  }
  return paths.sort();
}

async function hasIdentifier(path: string, uniqueId: Uint8Array, without: ReadonlySet<string>): Promise<boolean> {
  if (without.has(identityOf(await stat(path, { bigint: true })))) return false;
  const storage = await FileStorage.open(path);
  try {
    const { footer, refusal } = await examine(storage);
    return refusal === undefined && footer?.uniqueId.every((byte, index) => byte === uniqueId[index]) === true;
  } finally {
    await storage.close();
  }
}

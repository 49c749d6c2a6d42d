import { stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { examine } from '../disk/recognise.ts';
import { VhdError } from '../errors.ts';
import { quote } from '../format/bytes.ts';
import { closeLinks, walkChain } from '../open-chain.ts';
import { identityOf } from '../open-parent-places.ts';
import { FileStorage } from '../storage/file.ts';

/**
 * Refuses a parent that would have itself among its parents, as far as those can be found in the directories of both and
 * in those that the caller knows.
 * @throws VhdError `ERR_VHD_PARENT_LOOP`
 */
export async function refuseLoop(child: string, parent: string, dirs: readonly string[] = []): Promise<void> {
  const self = identityOf(await stat(child, { bigint: true }));
  const storage = await FileStorage.open(parent);
  try {
    const start = { storage, path: parent, examination: await examine(storage) };
    const parentDirs = [dirname(parent), dirname(child), ...dirs];
    const { links, error } = await walkChain(start, { parentDirs, lock: false, allowRawParent: true });
    try {
      for (const link of links) await refuseSame(self, { link: link.path, parent, child });
    } finally {
      await closeLinks(links.slice(1));
    }
    // What else keeps the parent's own chain from being found is no matter of this image.
    if (error instanceof VhdError && error.code === 'ERR_VHD_PARENT_LOOP') throw error;
  } finally {
    await storage.close();
  }
}

async function refuseSame(
  self: string,
  { link, parent, child }: { readonly link: string; readonly parent: string; readonly child: string },
): Promise<void> {
  if (identityOf(await stat(link, { bigint: true })) !== self) return;
  const isItself = link === parent;
  const message = isItself
    ? 'an image cannot be its own parent'
    : `its parent cannot be ${quote(parent)}, which is based on it itself`;
  throw new VhdError('ERR_VHD_PARENT_LOOP', `${message}: the chain would never end`, {
    storage: child,
    remedy: isItself ? 'name its parent' : 'name another parent: vhd tree DIR shows which images there are',
  });
}

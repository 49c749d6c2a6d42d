import { whyUnchangeable } from './disk/unchangeable.ts';
import type { VhdDisk } from './disk/vhd-disk.ts';
import { VhdError } from './errors.ts';
import type { ParentReference } from './format/parent-reference.ts';
import { shellPath } from './format/shell.ts';
import { type OpenedDisk, openDisk } from './open.ts';
import { type ChainOptions, checkParentOptions } from './open-parent-options.ts';
import { parentReferenceFor } from './open-parent-reference.ts';
import { type FileOptions, pathOf } from './open-source.ts';

/** The parent of an image that is to be made, and where its own parents are. */
export interface NewParentOptions extends ChainOptions, Pick<FileOptions, 'onWarning'> {
  /** Path of the VHD that the new image is to be a child of: fixed, dynamic, or differencing with all of its chain there. */
  readonly parent: string | URL;
}

/** A parent, open for reading, for a child that is to be made. */
export interface NewParent extends Pick<OpenedDisk, 'checkUnchanged'> {
  /** Its disk, all of its chain open. */
  readonly parent: VhdDisk;
  /** What the child is to say about it. */
  readonly parentReference: ParentReference;
  /** Paths of it and of its own parents, the nearest first: none of them may be written over. */
  readonly paths: readonly string[];
}

/**
 * Opens what an image is to be a child of.
 * @param childPath where the child will be, for the way from there to the parent
 * @throws VhdError `ERR_VHD_NOT_VHD` for a raw disk, with the command that makes a VHD of it; `ERR_VHD_IN_USE` if another
 *   program writes to it or means to delete it; everything `openDisk` throws
 */
export async function openNewParent(childPath: string, options: NewParentOptions): Promise<NewParent> {
  checkParentOptions(options);
  const { parentDirs, followParents, strictParent, maxChainLength, allowRawParent, lock, onWarning } = options;
  const path = pathOf(options.parent);
  const chain = { parentDirs, followParents, strictParent, maxChainLength, allowRawParent };
  const { disk, vhd, parentPaths, checkUnchanged } = await openDisk(path, { ...chain, lock, onWarning });
  try {
    if (vhd === undefined) throw rawParentError(path);
    refuseUnfit(vhd);
    const parentReference = await parentReferenceFor(childPath, path, vhd.footer);
    return { parent: vhd, parentReference, paths: [path, ...parentPaths], checkUnchanged };
  } catch (error) {
    await disk.close();
    throw error;
  }
}

function rawParentError(path: string): VhdError {
  const [raw, base] = [shellPath(path), shellPath(`${path.replace(/\.(raw|img|dd|bin)$/i, '')}.vhd`)];
  return new VhdError(
    'ERR_VHD_NOT_VHD',
    'it is a raw disk: a child knows its parent by an identifier, which only a VHD has',
    {
      storage: path,
      expected: 'a VHD',
      found: 'a raw disk',
      remedy: `vhd convert ${raw} ${base}, and make ${base} the parent   (--to fixed --in-place only adds a footer)`,
    },
  );
}

/** Refuses what would not stay as it is. */
function refuseUnfit(parent: VhdDisk): void {
  const unchangeable = whyUnchangeable(parent);
  // The machine that was saved with it can go on as long as it stays as it is, which it does now.
  if (unchangeable === undefined || unchangeable.kind === 'saved') return;
  throw new VhdError('ERR_VHD_IN_USE', `it must not become a parent: ${unchangeable.why}`, {
    storage: parent.name,
    remedy: 'convert it into a new image and make that the parent',
  });
}

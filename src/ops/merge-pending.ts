import { dirname } from 'node:path';
import { examine } from '../disk/recognise.ts';
import { VhdError } from '../errors.ts';
import { type ChainStart, closeLinks, type ResolvedLink, walkChain } from '../open-chain.ts';
import { pendingError, readJournal, refuseUncovered } from '../open-journal.ts';
import { FileStorage } from '../storage/file.ts';

/** A child that is to get another parent. */
export interface PendingCheck {
  /** Its file; stays open. */
  readonly storage: FileStorage;
  /** Its path. */
  readonly path: string;
  /** Path of the parent that it is to get. */
  readonly parent: string;
  /** True if that is another image than its parent so far, and not the same one in another place. */
  readonly isOther: boolean;
}

/**
 * Refuses another parent for an image while a merge is pending in one of its ancestors, or of those it is to get: what is
 * half merged is read rightly through the links it is merged from, in their order, and only so. Ancestors are looked for
 * in the directories of the child and of the parent.
 * @throws VhdError `ERR_VHD_JOURNAL`
 */
export async function refuseForPendingMerge({ storage, path, parent, isOther }: PendingCheck): Promise<void> {
  const examination = await examine(storage);
  const parentDirs = [dirname(path), dirname(parent)];
  if (isOther) {
    await withChain({ storage, path, examination }, parentDirs, async ([, ...ancestors]) => {
      await refusePendingIn(ancestors);
    });
  }
  const uuid = examination.footer?.uniqueId;
  const file = await FileStorage.open(parent);
  try {
    await withChain(
      { storage: file, path: parent, examination: await examine(file) },
      parentDirs,
      async (links, error) => {
        if (uuid !== undefined) await refuseOtherChain([uuid, ...uuidsOf(links)], error);
      },
    );
  } finally {
    await file.close();
  }
}

/**
 * Refuses a merge in place, or what else would change the chain, while another is pending further up or down in it.
 * @throws VhdError `ERR_VHD_JOURNAL`
 */
export async function refusePendingIn(links: readonly Pick<ResolvedLink, 'path'>[]): Promise<void> {
  for (const { path } of links) {
    const journal = await readJournal(path);
    if (journal !== undefined) throw pendingError(path, journal);
  }
}

/** A chain that ends at a pending merge has to be the one which that was begun from. */
async function refuseOtherChain(uuidsAbove: readonly Uint8Array[], error: Error | undefined): Promise<void> {
  const image = error instanceof VhdError && error.code === 'ERR_VHD_JOURNAL' ? error.storage : undefined;
  if (image === undefined) return;
  const journal = await readJournal(image);
  if (journal !== undefined) refuseUncovered(image, journal, uuidsAbove);
}

async function withChain(
  start: ChainStart,
  parentDirs: readonly string[],
  use: (links: readonly ResolvedLink[], error: Error | undefined) => Promise<void>,
): Promise<void> {
  const { links, error } = await walkChain(start, { parentDirs, lock: false, allowRawParent: true });
  try {
    await use(links, error);
  } finally {
    await closeLinks(links.slice(1));
  }
}

function uuidsOf(links: readonly ResolvedLink[]): readonly Uint8Array[] {
  return links.map(({ examination }) => examination.footer?.uniqueId).filter((uuid) => uuid !== undefined);
}

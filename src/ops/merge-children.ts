import { realpath } from 'node:fs/promises';
import { VhdError } from '../errors.ts';
import { shellPath } from '../format/shell.ts';
import { readJournal } from '../open-journal.ts';
import { findChildren, refuseBreakingChildren } from './children.ts';
import type { MergeChain } from './merge-chain.ts';
import type { MergeOptions } from './merge-options.ts';

/** What is to be known of the children of images that are merged. */
export interface MergedChildren {
  /** Commands that make children of the child children of the target. */
  readonly relinks: readonly string[];
}

const NEW_REMEDY = 'merge into a new image with -o NEW, or --allow-breaking-children if they may be lost';

/**
 * Refuses a merge in place that others would be broken by. Children of the target, and of the links between, would read
 * sectors that are the child's; children of the child go on reading what they read, as long as it is there.
 * @throws VhdError `ERR_VHD_HAS_CHILDREN`
 */
export async function checkMergedChildren(chain: MergeChain, options: MergeOptions): Promise<MergedChildren> {
  const { allowBreakingChildren, deleteMerged, signal } = options;
  const { above, target } = chain;
  // Whom it breaks is broken since it was begun; finishing it breaks nobody else.
  const allow = allowBreakingChildren === true || (await readJournal(target.path)) !== undefined;
  const paths = [...above, target].map(({ path }) => path);
  for (const [position, path] of paths.entries()) {
    const except = paths.slice(position - 1, position);
    if (position > 0) await refuseBreakingChildren(path, { allow, except, signal, remedy: NEW_REMEDY });
  }
  const relinks: string[] = [];
  const needed: string[] = [];
  for (const [position, path] of paths.slice(0, -1).entries()) {
    const own = position === 0 ? undefined : await realpath(paths[position - 1] ?? path);
    for (const child of await findChildren(path, { signal })) {
      if ((await realpath(child.path)) === own) continue;
      needed.push(child.path);
      // What the others read is in no image any more.
      if (position === 0) {
        relinks.push(`vhd relink ${shellPath(child.path)} --parent ${shellPath(target.path)} --allow-uuid-mismatch`);
      }
    }
  }
  if (deleteMerged === true && needed.length > 0) throw neededError(above[0].path, needed, relinks);
  return { relinks };
}

function neededError(path: string, needed: readonly string[], relinks: readonly string[]): VhdError {
  const found = needed.map((child) => shellPath(child)).join(', ');
  return new VhdError(
    'ERR_VHD_HAS_CHILDREN',
    `what is merged cannot be deleted, others have it as their parent: ${found}`,
    {
      storage: path,
      expected: 'no children',
      found,
      remedy: `merge without --delete-merged${relinks.length > 0 ? `, then ${relinks.join(' && ')}` : ''}`,
    },
  );
}

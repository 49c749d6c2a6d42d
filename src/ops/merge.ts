import { BITMAP_POLICIES } from '../disk/bitmap-rule.ts';
import { checkBooleans, checkOneOf, checkOptionNames } from '../errors.ts';
import { checkParentOptions, PARENT_OPTIONS } from '../open-parent-options.ts';
import { closeMergeChain, type MergeChain, openMergeChain } from './merge-chain.ts';
import { checkMergedChildren } from './merge-children.ts';
import { finishDeleting } from './merge-delete.ts';
import { type MergeOutcome, mergeInPlace } from './merge-in-place.ts';
import { MERGE_BOOLEANS, MERGE_OPTIONS, type MergeOptions, type MergeResult } from './merge-options.ts';
import { refusePendingIn } from './merge-pending.ts';

/**
 * Merges a differencing image into its parent, or `into` an ancestor: that reads afterwards what the child reads. The child
 * and the links between stay as they are, byte for byte, and read the same before, during and after it; nothing needs them
 * any more. An ancestor that is smaller than the child becomes larger first.
 *
 * A journal beside the ancestor makes it resumable: killed or failed at any moment, the same call finishes it, what is to be
 * deleted too; until then only the child, and what is based on it, can be read.
 * @throws VhdError `ERR_VHD_NO_SPACE` before anything is written; `ERR_VHD_HAS_CHILDREN` if other images in the directory
 *   would read other bytes, or need what is to be deleted; `ERR_VHD_JOURNAL` if something else was begun on the ancestor;
 *   `ERR_VHD_IN_USE`, `ERR_VHD_UNSUPPORTED`, `ERR_VHD_PARENT_MISSING`, `ERR_VHD_PARENT_SIZE`, `ERR_VHD_SAME_FILE`,
 *   `ERR_VHD_EXISTS`, and what is wrong with an image of the chain
 */
export async function merge(childPath: string, options: MergeOptions = {}): Promise<MergeResult> {
  checkMergeOptions(options);
  const startedAt = performance.now();
  options.signal?.throwIfAborted();
  const { output, deleteMerged, dryRun } = options;
  const finished = await finishDeleting(childPath, options);
  if (finished !== undefined) return finished;
  const chain = await openMergeChain(childPath, options);
  const relinks = output === undefined ? await relinksFor(chain, options) : [];
  const outcome = await mergeTo(output, chain, options);
  const merged = chain.above.map(({ path }) => path);
  const deleted = deleteMerged === true && dryRun !== true;
  // Before it is merged, nothing is safe to delete.
  const isUnneeded = output === undefined && dryRun !== true && !deleted && relinks.length === 0;
  return {
    ...outcome,
    seconds: (performance.now() - startedAt) / 1000,
    into: chain.target.path,
    merged,
    safeToDelete: isUnneeded ? merged : [],
    outdated: output === undefined && !deleted ? merged.slice(1) : [],
    deleted,
    relinks,
  };
}

function checkMergeOptions(options: MergeOptions): void {
  checkOptionNames('merge', options, [...MERGE_OPTIONS, ...PARENT_OPTIONS]);
  checkBooleans(options, MERGE_BOOLEANS);
  checkOneOf('bitmap', options.bitmap, BITMAP_POLICIES);
  checkParentOptions(options);
  if (options.output !== undefined && options.deleteMerged === true) {
    throw new TypeError('deleteMerged: is for merging in place, and output leaves all inputs as they are');
  }
}

async function relinksFor(chain: MergeChain, options: MergeOptions): Promise<readonly string[]> {
  const { above, below } = chain;
  try {
    // Another merge that is under way in the chain needs it as it is, and the child too.
    await refusePendingIn([...above.slice(1), ...below]);
    return (await checkMergedChildren(chain, options)).relinks;
  } catch (error) {
    await closeMergeChain(chain);
    throw error;
  }
}

async function mergeTo(output: string | undefined, chain: MergeChain, options: MergeOptions): Promise<MergeOutcome> {
  if (output === undefined) return mergeInPlace(chain, options);
  // It brings the encoder along.
  const { mergeToNew } = await import('./merge-output.ts');
  return mergeToNew(chain, output, options);
}

import type { VhdType } from '../format/spec.ts';
import type { ParentOptions } from '../open-parent-options.ts';
import type { FileOptions } from '../open-source.ts';
import type { ProgressListener } from './progress.ts';

/** How a differencing image is merged. */
export interface MergeOptions extends ParentOptions, FileOptions {
  /** Path of the ancestor that gets everything; one of the child's chain. Default: its parent. */
  readonly into?: string | undefined;
  /**
   * Path of a new image that becomes what the ancestor would have become; nothing else is changed. Without, the ancestor is
   * changed in place.
   */
  readonly output?: string | undefined;
  /** Replace an `output` that exists. Default false. */
  readonly force?: boolean | undefined;
  /** Delete the child and the links between when everything is merged and durable. Not with `output`. Default false. */
  readonly deleteMerged?: boolean | undefined;
  /** Change images even if others in their directory have them as parent and will read other bytes. Default false. */
  readonly allowBreakingChildren?: boolean | undefined;
  /** Write nothing, only find out what there is to do. Default false. */
  readonly dryRun?: boolean | undefined;
  /** What a clear bitmap bit over bytes that are not zero means in an ancestor without a parent; see `openVhd`. */
  readonly bitmap?: 'strict' | 'honour' | 'ignore' | undefined;
  /**
   * Write by calls that block the process: faster for a program that has nothing else to do meanwhile, such as the
   * command. Default false.
   */
  readonly blockingWrites?: boolean | undefined;
  /** Told what is about to be done, before the first byte is written. */
  readonly onPlan?: ((plan: MergePlan) => void | Promise<void>) | undefined;
  /** Told how far it is. */
  readonly onProgress?: ProgressListener | undefined;
  /** Stops it: in place, the same call finishes it; an unfinished `output` is removed. */
  readonly signal?: AbortSignal | undefined;
}

/** The option names of {@link MergeOptions}, without those of parents. */
export const MERGE_OPTIONS: readonly string[] = [
  ...['into', 'output', 'force', 'deleteMerged', 'allowBreakingChildren', 'dryRun', 'bitmap', 'blockingWrites'],
  ...['onPlan', 'onProgress', 'signal', 'lock', 'onWarning'],
];

/** Those that say yes or no. */
export const MERGE_BOOLEANS: readonly string[] = [
  ...['force', 'deleteMerged', 'allowBreakingChildren', 'dryRun', 'blockingWrites', 'lock'],
];

/** What a merge is about to do. */
export interface MergePlan {
  /** Path of the child. */
  readonly child: string;
  /** Path of the image that is written: the ancestor, or the new one. */
  readonly path: string;
  /** Bytes of the disk that the child and the links between decide: at most so many are moved. */
  readonly mergedBytes: number;
  /** Blocks that get a place in the ancestor, at most; 0 where it is fixed, or not changed. */
  readonly newBlocks: number;
  /** Bytes that the file system has to have free. */
  readonly neededBytes: number;
  /** Bytes that it has free; undefined if it does not say. */
  readonly freeBytes: number | undefined;
  /** Virtual size of the ancestor before, in bytes, if it becomes larger. */
  readonly grownFrom: number | undefined;
  /** True if a call that was killed or failed had begun the same. */
  readonly isResumed: boolean;
  /** See {@link MergeResult}. */
  readonly outdated: readonly string[];
  /** What the user should know before, one sentence each; the same as in the result. */
  readonly warnings: readonly string[];
  /** The command that goes on with it, should it be cut short; undefined for a new image, of which nothing would be left. */
  readonly finishCommand: string | undefined;
}

/** What was merged. */
export interface MergeResult {
  /** Path of the image that was written: the ancestor, or the new one. */
  readonly path: string;
  /** Its type. */
  readonly type: VhdType;
  /** Its virtual size in bytes. */
  readonly virtualSize: number;
  /** Bytes of its file. */
  readonly fileSize: number;
  /** Bytes that were moved. */
  readonly copiedBytes: number;
  /** Bytes that are zero and were not moved. */
  readonly skippedBytes: number;
  /** Blocks that got, or would get, a place in the ancestor, at most; see {@link MergePlan}. */
  readonly newBlocks: number;
  /** Seconds it took. */
  readonly seconds: number;
  /** What the user should know, one sentence each, and which image it is about. */
  readonly warnings: readonly string[];
  /** Path of the ancestor. */
  readonly into: string;
  /** Paths of the images whose contents are in it now: the child, then the links between. */
  readonly merged: readonly string[];
  /** Of those, the ones that nothing needs any more; empty if they were deleted, or if something is named in `relinks`. */
  readonly safeToDelete: readonly string[];
  /**
   * Paths of the links between, which go on holding what they held and, over an ancestor that has become the child, no
   * longer read what they did: merging one of them would undo the merge. Empty if they were deleted.
   */
  readonly outdated: readonly string[];
  /** True if they were deleted. */
  readonly deleted: boolean;
  /** Commands that make children of the child, found beside it, children of the ancestor. */
  readonly relinks: readonly string[];
  /** True if the ancestor became larger. */
  readonly grown: boolean;
  /** True if this finished what an earlier call had begun. */
  readonly resumed: boolean;
}

import { checkBooleans, checkOneOf, checkOptionNames } from '../errors.ts';
import { SECTOR_BYTES, type VhdType } from '../format/spec.ts';
import { checkParentOptions, PARENT_OPTIONS, type ParentOptions } from '../open-parent-options.ts';
import type { FileOptions } from '../open-source.ts';
import type { ChangedImage } from './changed-image.ts';
import type { ProgressListener } from './progress.ts';

/** How an image gets another size. One of `size` and `growBy` at most; none: only rounded, or what was begun finished. */
export interface ResizeOptions extends ParentOptions, FileOptions {
  /** Virtual size in bytes afterwards, a multiple of 512 unless `roundTo` makes it one. */
  readonly size?: number | undefined;
  /** Bytes to be added to the size it has; not twice as long as a journal is there that tells of it. */
  readonly growBy?: number | undefined;
  /** Round the size up to a multiple of so many bytes, itself a multiple of 512. */
  readonly roundTo?: number | undefined;
  /** It may become smaller, as long as nothing but free space is cut. Default false. */
  readonly shrink?: boolean | undefined;
  /** It may become smaller, whatever is cut; and one that ends inside a partition may become larger. Default false. */
  readonly allowDataLoss?: boolean | undefined;
  /** Change the image though others beside it have it as their parent. Default false. */
  readonly allowBreakingChildren?: boolean | undefined;
  /** Path of a new image that gets the other size; the image itself stays as it is. */
  readonly output?: string | undefined;
  /** Replace that file if it exists. Default false. */
  readonly force?: boolean | undefined;
  /** Write nothing, only tell what would be. Default false. */
  readonly dryRun?: boolean | undefined;
  /** What a clear bitmap bit over bytes that are not zero means; see `openVhd`. */
  readonly bitmap?: 'strict' | 'honour' | 'ignore' | undefined;
  /** The time for the journal. Default: now. */
  readonly now?: Date | undefined;
  /** Told how far it is: what is cut is looked at, and a new image written. */
  readonly onProgress?: ProgressListener | undefined;
  /** Ends it before the first byte is written; an unfinished `output` is removed. */
  readonly signal?: AbortSignal | undefined;
}

/** What became of an image that got another size. */
export interface ResizeResult extends ChangedImage {
  /** Its type. */
  readonly type: VhdType;
  /** Its virtual size in bytes now. */
  readonly virtualSize: number;
  /** Its virtual size in bytes before. */
  readonly previousSize: number;
  /** Bytes of its file before. */
  readonly previousFileSize: number;
  /** True if something was written, or would be; false if it has that size already. */
  readonly changed: boolean;
  /** `moved`: the backup GPT is at the new end; `left`: it could not be moved, as a warning says; `none`: there is no GPT. */
  readonly gpt: 'moved' | 'left' | 'none';
  /** True if the block allocation table was in the way of the first blocks, and is behind the last now. */
  readonly tableMoved: boolean;
  /** The creator that the footers named, if they name `win ` now because qemu would not believe the new size of it; else null. */
  readonly creatorBefore: string | null;
  /** Blocks that lost their place in the file. */
  readonly freedBlocks: number;
  /** What is left to do inside the guest, one sentence each. */
  readonly guestSteps: readonly string[];
  /**
   * The directory that `parentDirs` must have for a new image to be opened; only where its parent is not in its own
   * directory or below it.
   */
  readonly parentDir?: string;
  /** True if `undo` can take it back; false for a new image, and if more was cut than is kept. */
  readonly canUndo: boolean;
  /** True if a resize that was begun before was finished first. */
  readonly finishedJournal: boolean;
}

const BOOLEANS: readonly string[] = [
  ...['shrink', 'allowDataLoss', 'allowBreakingChildren', 'force', 'dryRun', 'lock'],
];
const OPTIONS: readonly string[] = [
  ...['size', 'growBy', 'roundTo', 'output', 'bitmap', 'now', 'onProgress', 'signal', 'onWarning'],
  ...BOOLEANS,
  ...PARENT_OPTIONS,
];

/** Checks options before a file is touched. */
export function checkResizeOptions(options: ResizeOptions): void {
  checkOptionNames('resize', options, OPTIONS);
  checkBooleans(options, BOOLEANS);
  checkOneOf('bitmap', options.bitmap, ['strict', 'honour', 'ignore']);
  checkParentOptions(options);
  const { size, growBy, roundTo } = options;
  if (size !== undefined && growBy !== undefined) {
    throw new TypeError('resize: expected one of size and growBy, found both');
  }
  const isRounded = roundTo !== undefined;
  checkBytes('size', size, isRounded);
  checkBytes('growBy', growBy, isRounded);
  checkBytes('roundTo', roundTo, false);
}

function checkBytes(name: string, value: number | undefined, isAnyNumber: boolean): void {
  if (value === undefined) return;
  const isWhole = Number.isSafeInteger(value) && value > 0;
  if (isWhole && (isAnyNumber || value % SECTOR_BYTES === 0)) return;
  throw new RangeError(`${name}: expected a positive multiple of 512 bytes, found ${value}`);
}

/** The size that is asked for of an image that has one; undefined if none is. */
export function wantedSize({ size, growBy, roundTo }: ResizeOptions, before: number): number | undefined {
  if (size === undefined && growBy === undefined && roundTo === undefined) return undefined;
  const wanted = size ?? before + (growBy ?? 0);
  return roundTo === undefined ? wanted : Math.ceil(wanted / roundTo) * roundTo;
}

import type { BitmapPolicy } from '../disk/bitmap-rule.ts';
import type { UnusedRanges } from '../disk/unused-blocks.ts';
import type { VhdType } from '../format/spec.ts';
import type { FreeSpace } from '../inspect/free-space.ts';
import type { ParentOptions } from '../open-parent-options.ts';
import type { FileOptions } from '../open-source.ts';
import type { ChangedImage } from './changed-image.ts';
import type { Watched } from './check-bitmaps.ts';

/** How an image is compacted. */
export interface CompactOptions extends FileOptions, ParentOptions, Watched {
  /** Path of a new file that gets the compacted image; the image itself stays as it is. Default: in place. */
  readonly output?: string | undefined;
  /** Replace that file if it exists. Default false. */
  readonly force?: boolean | undefined;
  /** Write nothing, only tell what there would be. Default false. */
  readonly dryRun?: boolean | undefined;
  /** What it is; default: recognised by both ends of the file. */
  readonly from?: 'raw' | 'vhd' | undefined;
  /** What bytes under clear bits of a dynamic image are; default as for reading it. */
  readonly bitmap?: BitmapPolicy | undefined;
  /**
   * Tells which ranges of the disk hold nothing of use, see {@link UnusedRanges}: blocks that lie in them as a whole go, of
   * fixed and raw images their room. They read as zeros then. Of a differencing image only blocks go whose parent has zeros
   * there, so that nothing of that comes to light. Default: none; only what is zero goes.
   */
  readonly unusedRanges?: UnusedRanges | undefined;
}

/** What was compacted. Bytes. */
export interface CompactResult extends Omit<ChangedImage, 'type'> {
  /** Type of the image. */
  readonly type: VhdType | 'raw';
  /** Bytes of the file before. */
  readonly fileSizeBefore: number;
  /** Bytes that the file system had for it before; null if that is not known. */
  readonly storedBytesBefore: number | null;
  /** Bytes that it has for it now, or for the new file; null if that is not known, as after a dry run. */
  readonly storedBytes: number | null;
  /**
   * Bytes of blocks that held nothing but zeros, or nothing else than the parent, and are given back; of fixed and raw
   * images what the file system stores less, but for what it keeps about holes.
   */
  readonly droppedBytes: number;
  /** Blocks that were dropped; 0 for fixed and raw images. */
  readonly droppedBlocks: number;
  /** Blocks that moved towards the front; 0 for fixed and raw images. */
  readonly movedBlocks: number;
  /**
   * The directory that `parentDirs` must have for a new image to be opened; only where its parent is not in its own
   * directory or below it.
   */
  readonly parentDir?: string;
  /** True if something was written, or would be. */
  readonly changed: boolean;
  /** What is free inside the file systems on the disk, as far as they tell: this cannot be seen as zeros. */
  readonly freeSpace: readonly FreeSpace[];
}

/** The option names of {@link CompactOptions} besides those about parents. */
export const COMPACT_OPTIONS: readonly string[] = [
  ...['output', 'force', 'dryRun', 'from', 'bitmap', 'unusedRanges', 'lock', 'onWarning', 'signal', 'onProgress'],
];

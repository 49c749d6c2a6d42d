import { realpath } from 'node:fs/promises';
import type { SoundExamination } from '../disk/recognise.ts';
import { VhdError } from '../errors.ts';
import { warningsOf } from '../format/rules.ts';
import { shellPath } from '../format/shell.ts';
import { SECTOR_BYTES } from '../format/spec.ts';
import { guestSteps } from '../inspect/guest-steps.ts';
import type { Journal } from '../open-journal.ts';
import { listenerFor, openFile } from '../open-source.ts';
import { FileWatch } from '../storage/file-watch.ts';
import { refuseBreakingChildren } from './children.ts';
import { sizeWarnings } from './convert-child.ts';
import { isUndoable } from './journal.ts';
import { finishBegun } from './journal-begun.ts';
import type { WatchedImage } from './open-image.ts';
import { type ContentsOptions, type ContentsPlan, planContents } from './resize-contents.ts';
import { changeInPlace } from './resize-in-place.ts';
import { checkLimit, openResized, soundImage } from './resize-open.ts';
import { checkResizeOptions, type ResizeOptions, type ResizeResult, wantedSize } from './resize-options.ts';
import { type Resized, resizeToNew } from './resize-output.ts';

/**
 * Gives an image another virtual size: in place through one journal, which is kept for `undo`, or as a new image. What it
 * gains reads as zeros; what is cut is gone. Footers, geometry and header follow, the original size too, and on the disk
 * the backup GPT. Killed at any moment, the same call finishes it; only where `growBy` was done already, and what is kept for
 * `undo` was there, the same call adds again: give `size` after a kill.
 * @throws VhdError `ERR_VHD_SHRINK` if it would become smaller and that was not said, or more would be cut than free space;
 *   `ERR_VHD_LIMIT` if its type cannot hold the size; `ERR_VHD_HAS_CHILDREN`, `ERR_VHD_IN_USE` (also for a saved state),
 *   `ERR_VHD_JOURNAL`, `ERR_VHD_NO_SPACE`, `ERR_VHD_EXISTS`, `ERR_VHD_SAME_FILE`, `ERR_VHD_SOURCE_CHANGED`,
 *   and what opening it and its parents throws
 * @throws TypeError, RangeError on a size that no disk has
 */
export async function resize(path: string, options: ResizeOptions): Promise<ResizeResult> {
  checkResizeOptions(options);
  options.signal?.throwIfAborted();
  const start = performance.now();
  const real = await realpath(path);
  const isInPlace = options.output === undefined && options.dryRun !== true;
  const { lock, onWarning } = options;
  const storage = await openFile(real, { lock, writable: isInPlace, onWarning: listenerFor(path, { onWarning }) });
  try {
    const image: WatchedImage = { storage, path: real, shown: path, watch: await FileWatch.start(storage) };
    const begun = await finishBegun(image, 'resize', { mayFinish: isInPlace, journal: 'kept' });
    const outcome = await resizeOpen(image, begun, options);
    return { ...outcome, seconds: (performance.now() - start) / 1000, finishedJournal: begun !== undefined };
  } finally {
    await storage.close();
  }
}

type Outcome = Omit<ResizeResult, 'seconds' | 'finishedJournal'>;

async function resizeOpen(image: WatchedImage, begun: Journal | undefined, options: ResizeOptions): Promise<Outcome> {
  const { shown } = image;
  const { output, allowBreakingChildren: allow, signal } = options;
  const found = await soundImage(image, options);
  const same = unchanged(found, begun, options, shown);
  const { virtualSize: size } = same;
  if (size !== found.virtualSize && size % SECTOR_BYTES !== 0) throw oddSizeError(shown, found.virtualSize, size);
  checkLimit(found, size, shown);
  if (size === found.virtualSize) {
    if (output !== undefined) throw sameSizeError(shown, output, size);
    return same;
  }
  if (output === undefined) await refuseBreakingChildren(shown, { allow, signal });
  const { plan, told, written } = await withContents({ image, found, size }, options);
  // Where a resize was finished first, that is not what this one changes.
  const before = { previousSize: found.virtualSize, previousFileSize: found.fileSize };
  if (written !== undefined) return { ...same, ...before, ...told, ...written, changed: true, canUndo: false };
  const done = await changeInPlace({ image, found, size, contents: plan }, options);
  return { ...same, ...before, ...told, ...done, warnings: [...told.warnings, ...done.warnings], changed: true };
}

/** What is told of an image to which nothing was done, but for the size that is wanted. */
function unchanged(
  { type, virtualSize, fileSize }: SoundExamination,
  begun: Journal | undefined,
  options: ResizeOptions,
  shown: string,
): Outcome {
  // What is added counts from before, where it was added already.
  const before = begun?.details?.['sizeBefore'];
  const previousSize = typeof before === 'number' ? before : virtualSize;
  const size = wantedSize(options, previousSize) ?? finishedSize(virtualSize, begun);
  return {
    ...{ path: shown, type, virtualSize: size, fileSize, previousSize, previousFileSize: begun?.fileSize ?? fileSize },
    ...{ changed: false, gpt: 'none', tableMoved: false, creatorBefore: null, freedBlocks: 0, guestSteps: [] },
    ...{ warnings: [], copiedBytes: 0, skippedBytes: 0, canUndo: begun !== undefined && isUndoable(begun) },
  };
}

interface Decided {
  readonly plan: ContentsPlan;
  readonly told: Pick<Outcome, 'gpt' | 'guestSteps' | 'warnings'>;
  /** What was written to a new image; undefined if it is to be changed in place. */
  readonly written: Pick<Outcome, 'path' | keyof Resized> | undefined;
}

/** Looks at what is on the disk, and writes a new image if that is wanted: both read the image, and its parents. */
async function withContents(
  { image, found, size }: { readonly image: WatchedImage; readonly found: SoundExamination; readonly size: number },
  options: ResizeOptions,
): Promise<Decided> {
  const { output } = options;
  const { disk, parentPaths, checkUnchanged } = await openResized(image, found, options);
  try {
    const plan = await planContents(disk, size, contentsOptions(image.shown, options));
    const parentSize = disk.parent?.size ?? Number.POSITIVE_INFINITY;
    const warnings = [...warningsOf(disk.findings), ...sizeWarnings(size, parentSize), ...plan.warnings];
    const told = { gpt: plan.gpt, guestSteps: guestSteps(plan.contents, disk.size, size), warnings };
    if (output === undefined) return { plan, told, written: undefined };
    const paths = [image.path, ...parentPaths];
    const written = await resizeToNew(
      { disk, paths, size, contents: plan, beforeCommit: checkUnchanged },
      output,
      options,
    );
    return { plan, told, written: { path: output, ...written } };
  } finally {
    await disk.close();
  }
}

/** The size that it has already, if that is what was begun. */
function finishedSize(size: number, begun: Journal | undefined): number {
  if (begun !== undefined) return size;
  throw new TypeError('resize: expected one of size, growBy and roundTo, found none');
}

function contentsOptions(shown: string, { shrink, allowDataLoss, signal, onProgress }: ResizeOptions): ContentsOptions {
  return { shown, shrink: shrink === true, allowDataLoss: allowDataLoss === true, signal, onProgress };
}

/** What is added to a size that is no whole number of sectors is none either. */
function oddSizeError(shown: string, before: number, size: number): VhdError {
  return new VhdError('ERR_VHD_SIZE', `expected a multiple of 512 bytes, found ${size}: the disk has ${before} now`, {
    ...{ storage: shown, expected: 'a multiple of 512 bytes', found: `${size} bytes` },
    remedy: `vhd resize ${shellPath(shown)} --round 512`,
  });
}

function sameSizeError(shown: string, output: string, size: number): VhdError {
  return new VhdError('ERR_VHD_SIZE', `it has ${size} bytes already: there is nothing to make a new image for`, {
    storage: shown,
    expected: 'another size',
    found: `${size} bytes`,
    remedy: `vhd convert ${shellPath(shown)} ${shellPath(output)} makes a copy`,
  });
}

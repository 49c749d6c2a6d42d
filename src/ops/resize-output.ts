import { checkImageSize, identityFields } from '../disk/create-storage.ts';
import type { Disk } from '../disk/disk.ts';
import { blockSizeForChild } from '../disk/new-child.ts';
import { OverlayDisk } from '../disk/overlay.ts';
import { VhdDisk } from '../disk/vhd-disk.ts';
import { VhdError } from '../errors.ts';
import { type ChildFront, childLayout } from '../format/child-front.ts';
import { encodeFooter } from '../format/footer.ts';
import { newFooter } from '../format/new-footer.ts';
import { shellPath } from '../format/shell.ts';
import { DEFAULT_BLOCK_SIZE } from '../format/spec.ts';
import { parentReferenceFor } from '../open-parent-reference.ts';
import { measureDelta, writeDeltaFile } from './convert-child.ts';
import { measureDisk, type Written, writeDiskToFile } from './convert-disk.ts';
import { freeBytesAt, noSpaceError } from './merge-plan.ts';
import { checkTarget } from './output-file.ts';
import { parentDirectory } from './parent-directory.ts';
import type { ContentsPlan } from './resize-contents.ts';
import type { ResizeOptions } from './resize-options.ts';
import { leadsToDevice, refuseSameFile } from './same-file.ts';

/** An image of which a new one of another size is made. */
export interface OutputInput {
  /** The image, open for reading; stays open. */
  readonly disk: VhdDisk;
  /** Paths of it and of its parents, the nearest first: none of them may be written over. */
  readonly paths: readonly string[];
  /** Virtual size in bytes of the new one. */
  readonly size: number;
  /** What becomes of what is on it. */
  readonly contents: ContentsPlan;
  /** Asked when everything is written and the file not there yet: whether image and parents are still what they were. */
  readonly beforeCommit: () => Promise<void>;
}

/** What was written to a new file. */
export interface Resized extends Pick<Written, 'fileSize' | 'copiedBytes' | 'skippedBytes'> {
  /** The directory that has to be told to open it; only where its parent is not in its own or below it. */
  readonly parentDir?: string;
}

/**
 * Writes an image of another size to a new file, of the same type and with the same parent. It gets an identifier of its
 * own, and its blocks lie in a row.
 */
export async function resizeToNew(input: OutputInput, output: string, options: ResizeOptions): Promise<Resized> {
  const { disk, paths, size, contents, beforeCommit } = input;
  for (const path of paths) await refuseSameFile(path, output);
  if (await leadsToDevice(output)) throw deviceError(output, paths[0] ?? '');
  if (options.dryRun !== true) await checkTarget(output, options.force === true);
  const resized = new OverlayDisk(disk, size, contents.patches);
  const writer =
    disk.type === 'differencing'
      ? await childWriter(resized, input, output, options)
      : wholeWriter(resized, disk.type, blockSizeOf(disk), { output, options, beforeCommit });
  const isChild = disk.type === 'differencing';
  if (options.dryRun !== true) await checkRoom(resized, { output, isChild }, writer);
  const { fileSize, copiedBytes, skippedBytes } = await (options.dryRun === true ? writer.measure() : writer.write());
  const parentDir = isChild && options.dryRun !== true ? await parentDirectory(output, paths[1] ?? '') : undefined;
  return { fileSize, copiedBytes, skippedBytes, ...(parentDir === undefined ? {} : { parentDir }) };
}

function deviceError(output: string, path: string): VhdError {
  return new VhdError('ERR_VHD_EXISTS', 'the output is a block device: expected the name of a file', {
    storage: output,
    remedy: `name a file; vhd convert ${shellPath(path)} DEVICE --to raw --force writes a disk to a device`,
  });
}

/** Writes a new image, or finds out what there would be. */
interface Writer {
  readonly write: () => Promise<Written>;
  readonly measure: () => Promise<Written>;
}

function wholeWriter(
  disk: Disk,
  to: 'fixed' | 'dynamic',
  blockSize: number,
  {
    output,
    options,
    beforeCommit,
  }: { readonly output: string; readonly options: ResizeOptions } & Pick<OutputInput, 'beforeCommit'>,
): Writer {
  const { force, lock, onProgress, signal } = options;
  const given = { to, blockSize, force, lock, onProgress, signal };
  return {
    write: () => writeDiskToFile(disk, output, given, beforeCommit),
    measure: () => measureDisk(disk, given),
  };
}

/** That of the image, where such blocks are still made. */
function blockSizeOf({ blockSize }: VhdDisk): number {
  return blockSize === 512 * 1024 ? blockSize : DEFAULT_BLOCK_SIZE;
}

async function childWriter(
  disk: Disk,
  { disk: { parent }, paths: [, parentPath = ''], size, beforeCommit }: OutputInput,
  output: string,
  options: ResizeOptions,
): Promise<Writer> {
  if (!(parent instanceof VhdDisk)) {
    throw new VhdError('ERR_VHD_UNSUPPORTED', 'its parent is raw: a new child knows its parent by an identifier', {
      storage: parentPath,
      remedy: 'leave -o away, and resize it in place',
    });
  }
  const parentReference = await parentReferenceFor(output, parentPath, parent.footer);
  const blockSize = blockSizeForChild(parent);
  checkImageSize(size, 'differencing', blockSize, childLayout(size, blockSize, parentReference).byteLength);
  const footer = encodeFooter(newFooter({ type: 'differencing', size, ...identityFields({}) }));
  const front: ChildFront = { footer, size, blockSize, parent: parentReference };
  const { force, lock, onProgress, signal } = options;
  const pair = { disk, against: parent };
  return {
    write: () => writeDeltaFile(pair, front, output, { force, lock, onProgress, signal, beforeCommit }),
    measure: () => measureDelta(pair, front, { onProgress, signal }),
  };
}

/**
 * Bytes that the new image has to store at most; what is zero among them has to be read to be known.
 * @throws VhdError `ERR_VHD_NO_SPACE` if the file system has less room
 */
async function checkRoom(
  disk: Disk,
  { output, isChild }: { readonly output: string; readonly isChild: boolean },
  writer: Writer,
): Promise<void> {
  const freeBytes = await freeBytesAt(output);
  if (freeBytes === undefined) return;
  let neededBytes = 0;
  for await (const { length, kind, depth } of disk.extents()) {
    if (kind === 'data' && (!isChild || depth === 0)) neededBytes += length;
  }
  if (neededBytes <= freeBytes) return;
  const { copiedBytes } = await writer.measure();
  if (copiedBytes <= freeBytes) return;
  throw noSpaceError(output, copiedBytes, freeBytes, 'nothing was written: make room, or write it elsewhere');
}

import { stat } from 'node:fs/promises';
import { checkImageSize, identityFields } from '../disk/create-storage.ts';
import type { Disk } from '../disk/disk.ts';
import { blockSizeForChild } from '../disk/new-child.ts';
import { TailDisk } from '../disk/tail-disk.ts';
import { VhdDisk } from '../disk/vhd-disk.ts';
import { VhdError } from '../errors.ts';
import { childLayout } from '../format/child-front.ts';
import { encodeFooter } from '../format/footer.ts';
import { newFooter } from '../format/new-footer.ts';
import { shellPath } from '../format/shell.ts';
import { DEFAULT_BLOCK_SIZE } from '../format/spec.ts';
import { parentReferenceFor } from '../open-parent-reference.ts';
import { measureDelta, writeDeltaFile } from './convert-child.ts';
import { measureDisk, writeDiskToFile } from './convert-disk.ts';
import { copyDisk, HOLE_GRAIN_BYTES } from './copy.ts';
import { changedParents, closeMergeChain, type MergeChain, openLinks } from './merge-chain.ts';
import type { MergeOutcome } from './merge-in-place.ts';
import type { MergeOptions } from './merge-options.ts';
import { freeBytesAt, noSpaceError } from './merge-plan.ts';
import { checkTarget } from './output-file.ts';
import { ProgressMeter } from './progress.ts';
import { refuseSameFile } from './same-file.ts';

/**
 * Writes a new image that is what the target would become: of its type, with the same parent if it has one. It gets an
 * identifier of its own. The chain is closed when this settles.
 */
export async function mergeToNew(chain: MergeChain, output: string, options: MergeOptions): Promise<MergeOutcome> {
  const { above, target, below } = chain;
  let disk: Disk | undefined;
  try {
    for (const { path } of [...above, target, ...below]) await refuseSameFile(path, output);
    if (options.dryRun !== true) await checkFile(chain, output, options);
    disk = await openLinks([...above, target, ...below], undefined, options);
    if (disk === undefined) throw new Error('there is a chain');
    const { type, virtualSize } = target.examination;
    const size = Math.max(disk.size, virtualSize);
    const base = ancestorOf(disk, above.length);
    const whole = size > disk.size ? new TailDisk(disk, base) : disk;
    const warnings = changedParents(above);
    const { neededBytes, freeBytes } = await checkRoom(whole, output, above.length, options);
    await options.onPlan?.({
      ...{ child: above[0].path, path: output, mergedBytes: neededBytes, newBlocks: 0, neededBytes },
      ...{ freeBytes, grownFrom: undefined, isResumed: false },
      ...{ outdated: [], warnings, finishCommand: undefined },
    });
    const outcome = { path: output, type, virtualSize: size, newBlocks: 0, warnings, resumed: false };
    const grown = size > virtualSize;
    const written =
      type === 'differencing'
        ? await writeChild(whole, { output, chain, parent: parentOf(base) }, options)
        : await writeBase(whole, { output, type, blockSize: blockSizeOf(base) }, options);
    return { ...outcome, ...written, grown };
  } finally {
    await disk?.close();
    await closeMergeChain(chain);
  }
}

/** It becomes a regular file; `force` says whether one may be there. */
async function checkFile({ above }: MergeChain, output: string, { force }: MergeOptions): Promise<void> {
  const isSpecial = await stat(output).then(
    (stats) => !stats.isFile(),
    () => false,
  );
  if (!isSpecial) await checkTarget(output, force === true);
  else {
    throw new VhdError('ERR_VHD_EXISTS', 'the output exists and is no regular file', {
      storage: output,
      remedy: `name a file; vhd convert ${shellPath(above[0].path)} - flattens to a pipe`,
    });
  }
}

/** The disk of a link, `depth` links up the chain. */
function ancestorOf(disk: Disk, depth: number): Disk {
  let link = disk;
  for (let count = 0; count < depth; count++) link = parentOf(link);
  return link;
}

function parentOf(disk: Disk): Disk {
  const parent = disk instanceof VhdDisk ? disk.parent : undefined;
  if (parent === undefined) throw new Error('a link above another has a parent');
  return parent;
}

/** That of the target, where such blocks are still made. */
function blockSizeOf(disk: Disk): number {
  const blockSize = disk instanceof VhdDisk ? disk.blockSize : undefined;
  return blockSize === 512 * 1024 ? blockSize : DEFAULT_BLOCK_SIZE;
}

type Written = Pick<MergeOutcome, 'fileSize' | 'copiedBytes' | 'skippedBytes'>;

async function writeBase(
  disk: Disk,
  image: { output: string; type: 'fixed' | 'dynamic'; blockSize: number },
  { force, lock, dryRun, blockingWrites, onProgress, signal }: MergeOptions,
): Promise<Written> {
  const { output, type, blockSize } = image;
  const options = { to: type, blockSize, force, lock, blockingWrites, onProgress, signal };
  const { fileSize, copiedBytes, skippedBytes } =
    dryRun === true
      ? await measureDisk(disk, options)
      : await writeDiskToFile(disk, output, options, () => Promise.resolve());
  return { fileSize, copiedBytes, skippedBytes };
}

async function writeChild(
  disk: Disk,
  { output, chain, parent }: { output: string; chain: MergeChain; parent: Disk },
  options: MergeOptions,
): Promise<Written> {
  const [link] = chain.below;
  const footer = link?.examination.footer;
  if (link === undefined || footer === undefined) throw new Error('a differencing target has a parent with a footer');
  const parentReference = await parentReferenceFor(output, link.path, footer);
  const blockSize = blockSizeForChild(parent);
  checkImageSize(disk.size, 'differencing', blockSize, childLayout(disk.size, blockSize, parentReference).byteLength);
  const newest = newFooter({ type: 'differencing', size: disk.size, ...identityFields({}) });
  const front = { footer: encodeFooter(newest), size: disk.size, blockSize, parent: parentReference };
  const pair = { disk, against: parent };
  if (options.dryRun === true) return measureDelta(pair, front, options);
  const { force, lock, blockingWrites, onProgress, signal } = options;
  const beforeCommit = (): Promise<void> => Promise.resolve();
  return writeDeltaFile(pair, front, output, { force, lock, blockingWrites, onProgress, signal, beforeCommit });
}

/**
 * Bytes that the new image has to store at most: what the child, the links between and the target hold.
 * @throws VhdError `ERR_VHD_NO_SPACE` if the file system has less room, and not all of it is zeros
 */
async function checkRoom(disk: Disk, output: string, depth: number, options: MergeOptions): Promise<Room> {
  let neededBytes = 0;
  for await (const { length, kind, depth: decidedBy } of disk.extents()) {
    if (kind === 'data' && decidedBy <= depth) neededBytes += length;
  }
  const freeBytes = await freeBytesAt(output);
  if (freeBytes === undefined || neededBytes <= freeBytes) return { neededBytes, freeBytes };
  // What is zero takes no room, but has to be read to be known.
  let exactBytes = 0;
  const write = (bytes: Uint8Array): Promise<void> => {
    exactBytes += bytes.length;
    return Promise.resolve();
  };
  const meter = new ProgressMeter('plan', undefined, options.onProgress);
  const { signal } = options;
  await copyDisk(disk, { write }, { meter, grainBytes: HOLE_GRAIN_BYTES, belowDepth: depth + 1, signal });
  if (exactBytes <= freeBytes) return { neededBytes: exactBytes, freeBytes };
  throw noSpaceError(output, exactBytes, freeBytes, 'nothing was written: make room, or write it elsewhere');
}

interface Room {
  readonly neededBytes: number;
  readonly freeBytes: number | undefined;
}

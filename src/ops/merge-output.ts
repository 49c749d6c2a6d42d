import type { Disk } from '../disk/disk.ts';
import { TailDisk } from '../disk/tail-disk.ts';
import { VhdDisk } from '../disk/vhd-disk.ts';
import { DEFAULT_BLOCK_SIZE } from '../format/spec.ts';
import { parentReferenceFor } from '../open-parent-reference.ts';
import { encodeVhd } from '../stream/encode.ts';
import { measureDisk, writeDiskToFile } from './convert-disk.ts';
import { changedParents, closeMergeChain, type MergeChain, openLinks } from './merge-chain.ts';
import type { MergeOutcome } from './merge-in-place.ts';
import type { MergeOptions } from './merge-options.ts';
import { checkTarget, OutputFile } from './output-file.ts';
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
    if (options.dryRun !== true) await checkTarget(output, options.force === true);
    disk = await openLinks([...above, target, ...below], undefined, options);
    if (disk === undefined) throw new Error('there is a chain');
    const { type, virtualSize } = target.examination;
    const size = Math.max(disk.size, virtualSize);
    const base = ancestorOf(disk, above.length);
    const whole = size > disk.size ? new TailDisk(disk, base) : disk;
    const warnings = changedParents(above);
    await options.onPlan?.({
      ...{ child: above[0].path, path: output, mergedBytes: size, newBlocks: 0, neededBytes: 0 },
      ...{ freeBytes: undefined, grownFrom: undefined, isResumed: false },
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
  const { onProgress, signal } = options;
  const parentReference = await parentReferenceFor(output, link.path, footer);
  const encoded = await encodeVhd(disk, { type: 'differencing', against: parent, parentReference, signal });
  if (options.dryRun === true) return writtenOf(disk, encoded.byteLength, encoded.byteLength);
  const file = await OutputFile.create(output, options);
  try {
    const meter = new ProgressMeter('copy', encoded.byteLength, onProgress);
    let position = 0;
    for await (const bytes of encoded.stream) {
      signal?.throwIfAborted();
      await file.storage.write(bytes, position);
      position += bytes.length;
      meter.copied(bytes.length);
    }
    meter.finish();
    const fileSize = await file.commit();
    return writtenOf(disk, fileSize, meter.copiedBytes);
  } catch (error) {
    await file.discard();
    throw error;
  }
}

function writtenOf(disk: Disk, fileSize: number, copiedBytes: number): Written {
  return { fileSize, copiedBytes, skippedBytes: Math.max(0, disk.size - copiedBytes) };
}

import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Writable } from 'node:stream';
import { checkImageSize, identityFields } from '../disk/create-storage.ts';
import type { Disk } from '../disk/disk.ts';
import { blockSizeForChild } from '../disk/new-child.ts';
import { VhdDisk } from '../disk/vhd-disk.ts';
import { VhdError } from '../errors.ts';
import { type ChildFront, childLayout, encodeChildFront } from '../format/child-front.ts';
import { encodeFooter } from '../format/footer.ts';
import { blockEnd, blockLayout, footerOffsetFor, nextBlockOffset } from '../format/layout.ts';
import { newFooter } from '../format/new-footer.ts';
import { warningsOf } from '../format/rules.ts';
import { SECTOR_BYTES } from '../format/spec.ts';
import { dataRuns } from '../format/zeros.ts';
import { type NewParent, openNewParent } from '../open-child.ts';
import { type Storage, writeEach } from '../storage/storage.ts';
import { type DiskPair, deltaBlocks } from '../stream/delta-blocks.ts';
import { encodeDelta } from '../stream/encode-delta.ts';
import { childUuidOf } from './content-uuid.ts';
import type { Written } from './convert-disk.ts';
import {
  chainOptions,
  type FullConvertOptions,
  identityOf,
  type Outcome,
  wantsContentUuid,
} from './convert-options.ts';
import { HOLE_GRAIN_BYTES } from './copy.ts';
import { OutputFile, type OutputOptions } from './output-file.ts';
import { parentDirectory, refuseOwnParents } from './parent-directory.ts';
import { type ProgressListener, ProgressMeter } from './progress.ts';
import { leadsToDevice } from './same-file.ts';
import { readWatched } from './source-change.ts';

/** What is told of a differencing image besides. */
export type WrittenChild = Pick<Outcome, 'parent' | 'parentDir' | 'warnings'>;

type ChildOptions = FullConvertOptions & { readonly parent: string };

/**
 * Writes a disk as a child of a VHD: to a file that appears when it is complete, or to a stream, which is not ended;
 * `beforeCommit` may still refuse. Names from the child to its parent begin in the current directory for a stream.
 */
export async function writeChild(
  disk: Disk,
  target: string | Writable,
  options: ChildOptions,
  beforeCommit: () => Promise<void>,
): Promise<Written & WrittenChild> {
  const isFile = typeof target === 'string';
  if (isFile && (await leadsToDevice(target))) throw deviceError(target);
  const path = isFile ? target : join(process.cwd(), 'child.vhd');
  const opened = await openNewParent(path, { ...chainOptions(options), parent: options.parent });
  try {
    await refuseOwnParents(opened.paths, path);
    const link = options.isOpenedByPath === true ? await linkAt(disk, options.parent) : undefined;
    const pair = { disk, against: link ?? opened.parent };
    const unchanged = async (): Promise<void> => {
      await opened.checkUnchanged();
      await beforeCommit();
    };
    const written = await readWatched(opened, () => write(pair, target, { options, opened, unchanged }));
    const parentDir = isFile ? await parentDirectory(path, options.parent) : undefined;
    const ofParent = warningsOf(opened.parent.findings).map((text) => `the parent: ${text}`);
    const warnings = [...ofParent, ...sizeWarnings(disk.size, opened.parent.size)];
    return { ...written, parent: options.parent, ...(parentDir === undefined ? {} : { parentDir }), warnings };
  } finally {
    await opened.parent.close();
  }
}

/** What is behind the end of a parent is zero; 7-Zip looks for it there all the same. */
export function sizeWarnings(size: number, parentSize: number): string[] {
  if (size <= parentSize) return [];
  return [`it has ${size} bytes and its parent ${parentSize}: 7-Zip reads no child that is larger than its parent`];
}

/** A block device has another end than the image on it, and a child that cannot grow is of no use. */
function deviceError(path: string): VhdError {
  return new VhdError(
    'ERR_VHD_UNSUPPORTED',
    'a differencing image is not written to a block device: it could not grow',
    {
      storage: path,
      remedy: 'write it to a file',
    },
  );
}

/**
 * The link of a disk's own chain that is the file at a path, as it is open there: of what the links above it do not hold
 * it is then certain that both read the same.
 */
async function linkAt(disk: Disk, path: string): Promise<Disk | undefined> {
  const wanted = await stat(path, { bigint: true });
  for (let link: Disk | undefined = disk; link instanceof VhdDisk; link = link.parent) {
    const found = await stat(link.name, { bigint: true }).catch(() => undefined);
    if (found?.dev === wanted.dev && found.ino === wanted.ino) return link;
  }
  return undefined;
}

interface Making {
  readonly options: ChildOptions;
  readonly opened: NewParent;
  /** Rejects if one of the files that were read has changed. */
  readonly unchanged: () => Promise<void>;
}

async function write(pair: DiskPair, target: string | Writable, making: Making): Promise<Written> {
  const { options, unchanged } = making;
  const front = await frontOf(pair.disk, making);
  if (options.dryRun === true) return measureDelta(pair, front, options);
  if (typeof target === 'string') return writeDeltaFile(pair, front, target, { ...options, beforeCommit: unchanged });
  const written = await writeStream(pair, front, target, options);
  await unchanged();
  return written;
}

async function frontOf(disk: Disk, { options, opened }: Making): Promise<ChildFront> {
  const { size } = disk;
  const { parent, parentReference } = opened;
  const blockSize = options.wantedBlockSize ?? blockSizeForChild(parent);
  checkImageSize(size, 'differencing', blockSize, childLayout(size, blockSize, parentReference).byteLength);
  const isOfContent = wantsContentUuid(options) && options.dryRun !== true;
  const uuid = isOfContent ? await childUuidOf(disk, parentReference.uniqueId, options.signal) : options.uuid;
  const fields = identityFields({ ...identityOf(options), uuid });
  return {
    footer: encodeFooter(newFooter({ type: 'differencing', size, ...fields })),
    size,
    blockSize,
    parent: parentReference,
  };
}

/** How a difference becomes a file. */
export interface DeltaFileOptions extends OutputOptions {
  /** Told how far it is. */
  readonly onProgress?: ProgressListener | undefined;
  /** Ends it; what was written is removed. */
  readonly signal?: AbortSignal | undefined;
  /** May still refuse. */
  readonly beforeCommit: () => Promise<void>;
}

/** Writes what two disks differ in as a file that appears when it is complete; what is not stored is left a hole. */
export async function writeDeltaFile(
  pair: DiskPair,
  front: ChildFront,
  path: string,
  options: DeltaFileOptions,
): Promise<Written> {
  const output = await OutputFile.create(path, options);
  try {
    const meter = new ProgressMeter('copy', front.size, options.onProgress);
    await fill(pair, front, output.storage, { meter, signal: options.signal });
    await options.beforeCommit();
    const fileSize = await output.commit();
    return { fileSize, copiedBytes: meter.copiedBytes, skippedBytes: meter.skippedBytes };
  } catch (error) {
    await output.discard();
    throw error;
  }
}

/** Reads everything once: where a block goes is known when it is its turn, and the front is written last. */
async function fill(
  pair: DiskPair,
  front: ChildFront,
  storage: Storage,
  { meter, signal }: { readonly meter: ProgressMeter; readonly signal: AbortSignal | undefined },
): Promise<void> {
  const { blockSize, footer } = front;
  const layout = blockLayout(blockSize, 'aligned');
  const sectors: [blockIndex: number, sector: number][] = [];
  let usedEnd = childLayout(front.size, blockSize, front.parent).byteLength;
  for await (const { blockIndex, bitmap, data, release } of deltaBlocks(pair, { blockSize, signal, meter })) {
    const blockOffset = nextBlockOffset(layout, usedEnd);
    const dataOffset = blockOffset + bitmap.length;
    const runs = dataRuns(data, HOLE_GRAIN_BYTES).map(({ start, length }) => {
      return { position: dataOffset + start, bytes: data.subarray(start, start + length) };
    });
    await writeEach(storage, [{ position: blockOffset, bytes: bitmap }, ...runs]);
    release();
    sectors.push([blockIndex, blockOffset / SECTOR_BYTES]);
    usedEnd = blockEnd(layout, blockOffset);
  }
  const end = { position: footerOffsetFor(layout, usedEnd), bytes: footer };
  await writeEach(storage, [...encodeChildFront(front, sectors), end]);
  meter.finish();
}

async function writeStream(
  pair: DiskPair,
  front: ChildFront,
  target: Writable,
  options: ChildOptions,
): Promise<Written> {
  const { signal, onProgress } = options;
  const [planMeter, meter] = ['plan', 'copy'].map((phase) => new ProgressMeter(phase, front.size, onProgress));
  const { byteLength, start } = await encodeDelta(pair, { front, signal, planMeter, meter });
  planMeter?.finish();
  const { pumpTo } = await import('./pump.ts');
  await pumpTo(start(), target, signal);
  meter?.finish();
  return { fileSize: byteLength, copiedBytes: meter?.copiedBytes ?? 0, skippedBytes: meter?.skippedBytes ?? 0 };
}

/** Finds out what there would be: reads both, writes nothing. */
export async function measureDelta(
  pair: DiskPair,
  front: ChildFront,
  options: Pick<DeltaFileOptions, 'onProgress' | 'signal'>,
): Promise<Written> {
  const planMeter = new ProgressMeter('plan', front.size, options.onProgress);
  const { byteLength } = await encodeDelta(pair, { front, signal: options.signal, planMeter });
  planMeter.finish();
  return { fileSize: byteLength, copiedBytes: planMeter.copiedBytes, skippedBytes: planMeter.skippedBytes };
}

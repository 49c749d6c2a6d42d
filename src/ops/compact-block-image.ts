import { batmapWithout } from '../disk/compact-batmap.ts';
import { compactBlocks } from '../disk/compact-blocks.ts';
import { type Compaction, planCompaction } from '../disk/compact-image.ts';
import type { CompactPlan } from '../disk/compact-plan.ts';
import type { Disk } from '../disk/disk.ts';
import type { FoundBlocks } from '../disk/open-blocks.ts';
import { openFound } from '../disk/open-storage.ts';
import type { SoundExamination } from '../disk/recognise.ts';
import { unusedBlocks } from '../disk/unused-blocks.ts';
import type { VhdDisk } from '../disk/vhd-disk.ts';
import { VhdError } from '../errors.ts';
import { describeFinding, type Finding } from '../format/rules.ts';
import { formatUuid } from '../format/uuid.ts';
import { type FreeSpace, freeSpaceOn } from '../inspect/free-space.ts';
import { type OpenedParents, tryParents } from '../open-chain.ts';
import type { Journal } from '../open-journal.ts';
import { borrowed } from '../storage/borrowed.ts';
import type { PlacedBytes } from '../storage/storage.ts';
import { type CopiedImage, writeCompacted } from './compact-copy.ts';
import type { CompactOptions } from './compact-options.ts';
import { beginChange, type CompactOutcome, type CompactSubject } from './compact-subject.ts';
import { unnamedWarnings } from './copied-child.ts';
import { performJournal, removeJournal } from './journal.ts';
import { parentDirectory } from './parent-directory.ts';
import { ProgressMeter } from './progress.ts';
import { refuseParents } from './same-file.ts';

/** What was found out without writing anything. */
interface Planned extends Compaction {
  readonly freeSpace: readonly FreeSpace[];
  readonly warnings: readonly string[];
  /** What of the batmap has to change along. */
  readonly batmap: readonly PlacedBytes[];
  /** Path of the parent; undefined if there is none. */
  readonly parentPath: string | undefined;
}

/** A dynamic or differencing image, with its table as the file has it. */
export interface BlockImage {
  /** What it is. */
  readonly image: SoundExamination;
  /** Its blocks. */
  readonly found: FoundBlocks;
}

/** Compacts a dynamic or differencing image. */
export async function compactBlockImage(
  subject: CompactSubject,
  blocks: BlockImage,
  options: CompactOptions,
): Promise<CompactOutcome> {
  const { image, found } = blocks;
  const planned = await planImage(subject, blocks, options);
  const { plan } = planned;
  const blockBytes = found.layout.blockSize + found.layout.bitmapBytes;
  const changed = isChange(plan, image);
  const written = await carryOutPlan(subject, image, planned, { ...options, changed });
  const parentDir = await parentDirOf(planned, options);
  const fileSize = written?.fileSize ?? Math.min(plan.fileSize, changed ? plan.fileSize : image.fileSize);
  return {
    path: options.output ?? subject.shown,
    ...{ type: image.type, virtualSize: image.virtualSize, ...(parentDir === undefined ? {} : { parentDir }) },
    ...{ fileSizeBefore: image.fileSize, fileSize },
    copiedBytes: written?.copiedBytes ?? plan.movedCount * blockBytes,
    skippedBytes: written?.skippedBytes ?? 0,
    ...{ droppedBytes: plan.dropped.length * found.layout.blockSize, droppedBlocks: plan.dropped.length },
    ...{
      movedBlocks: plan.movedCount,
      changed: changed || options.output !== undefined,
      freeSpace: planned.freeSpace,
      warnings: planned.warnings,
    },
  };
}

function isChange({ dropped, movedCount, tableOffset, fileSize }: CompactPlan, image: SoundExamination): boolean {
  return dropped.length > 0 || movedCount > 0 || tableOffset !== undefined || fileSize < image.fileSize;
}

function firstPath(parents: OpenedParents | undefined): string | undefined {
  return parents?.paths[0];
}

/** Where the parent of a new image is, if that has to be told to open it. */
async function parentDirOf({ parentPath }: Planned, { output, dryRun }: CompactOptions): Promise<string | undefined> {
  if (output === undefined || dryRun === true || parentPath === undefined) return undefined;
  return parentDirectory(output, parentPath);
}

/** What was written; undefined for a dry run. */
type Written = (Omit<CopiedImage, 'fileSize'> & { readonly fileSize?: number }) | undefined;

async function carryOutPlan(
  subject: CompactSubject,
  image: SoundExamination,
  planned: Planned,
  options: CompactOptions & { readonly changed: boolean },
): Promise<Written> {
  const { dryRun, output, signal, onProgress, changed } = options;
  const { found, plan } = planned;
  signal?.throwIfAborted();
  if (dryRun === true) return undefined;
  if (output !== undefined) {
    const { storage, path, watch } = subject;
    const source = { storage, path, parentPath: planned.parentPath, beforeCommit: () => watch.check() };
    return writeCompacted(source, image, planned, { ...options, output });
  }
  if (!changed) return { copiedBytes: 0, skippedBytes: 0 };
  await beginChange(subject);
  await clearBatmap(subject, image, planned.batmap);
  const blockBytes = found.layout.blockSize + found.layout.bitmapBytes;
  const meter = new ProgressMeter('move', plan.movedCount * blockBytes, onProgress);
  await compactBlocks(subject.storage, image, planned, { signal, onCopied: (bytes) => meter.copied(bytes) });
  meter.finish();
  return { copiedBytes: meter.copiedBytes, skippedBytes: 0 };
}

/** Map and checksum change together or not at all, which takes a journal; nothing else in an image does. */
async function clearBatmap(
  { storage, path }: CompactSubject,
  { footer, fileSize }: SoundExamination,
  batmap: readonly PlacedBytes[],
): Promise<void> {
  if (batmap.length === 0) return;
  const writes = [];
  for (const { position, bytes } of batmap) {
    const before = new Uint8Array(bytes.length);
    await storage.read(before, position);
    writes.push({ offset: position, before, after: bytes });
  }
  const journal: Journal = {
    verb: 'compact',
    ...{ uuid: formatUuid(footer.uniqueId), startedAt: new Date().toISOString() },
    ...{ fileSize, fileSizeAfter: fileSize, writes },
  };
  await performJournal({ storage, path }, journal, removeJournal);
}

async function planImage(subject: CompactSubject, blocks: BlockImage, options: CompactOptions): Promise<Planned> {
  const { storage } = subject;
  const { image, found } = blocks;
  const { parents, warnings } = await parentsOf(subject, image, options);
  const disk = await openDisk(subject, blocks, parents, options);
  try {
    if (options.output !== undefined) await refuseParents(parents?.paths ?? [], options.output);
    const { unusedRanges, signal, onProgress } = options;
    const blockSize = image.header?.blockSize ?? 1;
    const unused =
      unusedRanges === undefined || disk === undefined ? undefined : await unusedBlocks(disk, blockSize, unusedRanges);
    const meter = new ProgressMeter('plan', undefined, onProgress);
    const compaction = await planCompaction(storage, image, found, {
      disk: image.type === 'differencing' ? comparable(parents) : disk,
      ...{ unused, signal, onBlock: (bytes: number) => meter.skipped(bytes) },
    });
    meter.finish();
    const freeSpace = disk === undefined ? [] : await freeSpaceOn(disk);
    await parents?.checkUnchanged();
    const batmap = await batmapWithout(storage, image, compaction.plan.dropped);
    return { ...compaction, freeSpace, warnings, batmap, parentPath: firstPath(parents) };
  } finally {
    await disk?.close();
  }
}

/** Closes the parents with itself. */
async function openDisk(
  { storage }: CompactSubject,
  { image, found }: BlockImage,
  parents: OpenedParents | undefined,
  { bitmap }: CompactOptions,
): Promise<VhdDisk | undefined> {
  if (image.type === 'differencing' && parents === undefined) return undefined;
  return openFound(borrowed(storage), image, found, { bitmap, parent: parents?.parent });
}

/** A parent that was written to since the child was made may be another state of it: what is equal there may be by chance. */
function comparable(parents: OpenedParents | undefined): Disk | undefined {
  return parents?.findings.some(isTimestamp) === true ? undefined : parents?.parent;
}

function isTimestamp({ rule }: Finding): boolean {
  return rule === 'parent.timestamp';
}

interface Parents {
  readonly parents: OpenedParents | undefined;
  readonly warnings: readonly string[];
}

async function parentsOf(
  { storage, path, shown }: CompactSubject,
  examination: SoundExamination,
  options: CompactOptions,
): Promise<Parents> {
  if (examination.type !== 'differencing') return { parents: undefined, warnings: [] };
  const { parents, error } = await tryParents({ storage, path: shown, examination }, options);
  if (error !== undefined) {
    if (!(error instanceof VhdError) || error.code !== 'ERR_VHD_PARENT_MISSING') throw error;
    const warning = `its parent is not there, so only blocks go that own nothing: ${error.message}`;
    const ofCopy = options.output === undefined ? [] : await unnamedWarnings(path, options.output, error.message);
    return { parents: undefined, warnings: [warning, ...ofCopy] };
  }
  const warnings = (parents?.findings ?? []).filter(isTimestamp).map((item) => {
    return `only blocks go that own nothing, and none that are equal to the parent: ${describeFinding(item)}`;
  });
  return { parents, warnings };
}

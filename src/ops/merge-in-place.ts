import { resolve } from 'node:path';
import type { Disk } from '../disk/disk.ts';
import { examine, type SoundExamination } from '../disk/recognise.ts';
import { refuseUndecidedEnd } from '../disk/refuse-undecided-end.ts';
import { whyUnchangeable } from '../disk/unchangeable.ts';
import { VhdError } from '../errors.ts';
import { warningsOf } from '../format/rules.ts';
import { shellPath } from '../format/shell.ts';
import { formatUuid } from '../format/uuid.ts';
import {
  checkJournalOf,
  finishCommand,
  type Journal,
  journalPath,
  pendingError,
  readJournal,
  refuseUncovered,
} from '../open-journal.ts';
import { listenerFor } from '../open-source.ts';
import { FileStorage } from '../storage/file.ts';
import { removeJournal, writeJournal } from './journal.ts';
import { changedParents, type MergeChain, openLinks, UnreadDisk } from './merge-chain.ts';
import { carryOutMerge } from './merge-copy.ts';
import { deleteMerged } from './merge-delete.ts';
import type { MergeOptions, MergePlan, MergeResult } from './merge-options.ts';
import { type CopyPlan, planCopy } from './merge-plan.ts';

/** What the parts of a merge report. */
export type MergeOutcome = Pick<
  MergeResult,
  | 'path'
  | 'type'
  | 'virtualSize'
  | 'fileSize'
  | 'copiedBytes'
  | 'skippedBytes'
  | 'newBlocks'
  | 'warnings'
  | 'grown'
  | 'resumed'
>;

/**
 * Writes what the links above the target decide into the target; the chain is closed when this settles.
 *
 * Nothing that is written can be seen through the child: the links above decide those sectors, and none of their bytes
 * changes. So the child reads the same at any moment, and a merge that was cut short is finished by doing all of it once
 * more: a sector written before is written again with what the links above hold now. Should the child have been written
 * to in between, that is what is wanted; sectors that it has come to own are merged with the others, and no link ever
 * stops owning one that it owned, since a discard leaves zeros in it. The journal only keeps others away from a target that
 * is neither what it was nor what it is to be, and remembers how long the file was before.
 */
export async function mergeInPlace(chain: MergeChain, options: MergeOptions): Promise<MergeOutcome> {
  const { above, target, below } = chain;
  const { path } = target;
  const open: { close(): Promise<void> }[] = [...above, ...below].map(({ storage }) => storage);
  try {
    // Once, and for writing if it is to be written: the lock for reading would be in the way.
    await target.storage.close();
    const storage = await openTarget(path, options);
    open.push(storage);
    const image = await examineTarget(storage, target.examination);
    const journal = await pendingJournal(chain);
    if (journal === undefined) await refuseUndecidedEnd(storage, image, path);
    const source = await openLinks(above, new UnreadDisk(path, image.virtualSize), options);
    if (source === undefined) throw new Error('there are links above the target');
    open.push(source);
    const base = await openLinks(below, undefined, options);
    if (base !== undefined) open.push(base);
    const fileSizeBefore = journal?.fileSize;
    const input = { storage, target: image, source, depth: above.length, below: base, fileSizeBefore };
    const plan = await planCopy(input, options);
    if (journal !== undefined) checkNoneLost(path, journal, plan);
    const sizes = await sizesFor(storage, plan, image);
    const begun = journal ?? journalFor(chain, { image, sizes, options, mergedBytes: plan.mergedBytes });
    const warnings = [...warningsAbout(path, image, source), ...changedParents(chain.above)];
    const told = { isResumed: journal !== undefined, warnings, finishCommand: finishCommand(path, begun) };
    await options.onPlan?.({ ...planFor(chain, plan, options), ...told });
    const planned = { path, type: image.type, newBlocks: plan.newBlocks, resumed: journal !== undefined };
    const grown = sizeBefore(journal, image) < sizes.virtualSize;
    if (options.dryRun === true) {
      return { ...planned, ...sizes, copiedBytes: plan.mergedBytes, skippedBytes: 0, grown, warnings };
    }
    options.signal?.throwIfAborted();
    if (journal === undefined) await writeJournal(path, begun);
    const moved = await carryOutMerge({ plan, storage, source, below: base, type: image.type }, options).catch(
      (error: unknown) => {
        throw causeOf(error);
      },
    );
    if (options.deleteMerged === true) {
      await deleteMerged(
        path,
        begun,
        chain.above.map((link) => link.path),
      );
    }
    await removeJournal(path);
    return { ...planned, ...sizes, ...moved, fileSize: await storage.size(), grown, warnings };
  } finally {
    await closeAll(open);
  }
}

/** Every storage and disk is closed once more than needed where a disk has closed its storage: that is idempotent. */
async function closeAll(open: readonly { close(): Promise<void> }[]): Promise<void> {
  for (const each of [...open].reverse()) await each.close();
}

function openTarget(path: string, { dryRun, lock, onWarning, blockingWrites }: MergeOptions): Promise<FileStorage> {
  const writable = dryRun !== true;
  const kind = writable ? 'write' : 'read';
  return FileStorage.open(path, {
    writable,
    lock: lock === false ? undefined : kind,
    onWarning: listenerFor(path, { onWarning }),
    blockingWrites: blockingWrites === true,
  });
}

/** The target as it is, now that nobody else can write to it; it has to be the image that the chain was found through. */
async function examineTarget(storage: FileStorage, found: SoundExamination): Promise<SoundExamination> {
  const image = await examine(storage);
  const { footer, type, virtualSize, refusal } = image;
  if (refusal !== undefined) throw refusal;
  const isSame = footer !== undefined && formatUuid(footer.uniqueId) === formatUuid(found.footer.uniqueId);
  if (!isSame || type === undefined || virtualSize === undefined) {
    throw new VhdError('ERR_VHD_SOURCE_CHANGED', 'it was replaced by another image meanwhile', {
      storage: storage.name,
      expected: `the image with the identifier ${formatUuid(found.footer.uniqueId)}`,
      found: footer === undefined ? 'none' : formatUuid(footer.uniqueId),
    });
  }
  const sound = { ...image, footer, type, virtualSize };
  checkMayChange(sound, storage.name);
  return sound;
}

function checkMayChange(image: SoundExamination, name: string): void {
  const found = whyUnchangeable(image);
  if (found === undefined) return;
  throw new VhdError('ERR_VHD_IN_USE', `nothing may be merged into it: ${found.why}`, {
    storage: name,
    remedy: 'merge into a new image with -o NEW',
  });
}

/**
 * The journal of an earlier call for the same child and the same links; undefined if there is none.
 * @throws VhdError `ERR_VHD_JOURNAL` if it is of something else
 */
async function pendingJournal({ above, target }: MergeChain): Promise<Journal | undefined> {
  const [child] = above;
  const journal = await readJournal(target.path);
  if (journal === undefined) return undefined;
  const isOurs =
    journal.verb === 'merge' &&
    journal.uuid === formatUuid(target.examination.footer.uniqueId) &&
    journal.childUuid === formatUuid(child.examination.footer.uniqueId);
  if (!isOurs) {
    checkJournalOf(target.path, journal, formatUuid(target.examination.footer.uniqueId));
    throw pendingError(target.path, journal);
  }
  refuseUncovered(
    target.path,
    journal,
    above.map(({ examination }) => examination.footer.uniqueId),
  );
  return journal;
}

/** A merge that was begun may have made the target larger already. */
function sizeBefore(journal: Journal | undefined, image: SoundExamination): number {
  const told = journal?.details?.['sizeBefore'];
  return typeof told === 'number' ? told : image.virtualSize;
}

/** A child never stops owning what it owned: one that owns less is another state of it, as from a backup. */
function checkNoneLost(path: string, { details, startedAt }: Journal, { mergedBytes }: CopyPlan): void {
  const before = details?.['mergedBytes'];
  if (typeof before !== 'number' || mergedBytes >= before) return;
  const message = `what is to be merged into it is less than when that was begun at ${startedAt}: the child is an older one`;
  throw new VhdError('ERR_VHD_JOURNAL', message, {
    ...{ storage: path, rule: 'file.journal', expected: `${before} bytes at least`, found: `${mergedBytes} bytes` },
    remedy: `put the child back that was there; if what is merged of it may stay: rm ${shellPath(journalPath(path))}`,
  });
}

interface Beginning {
  readonly image: SoundExamination;
  readonly sizes: Sizes;
  readonly options: MergeOptions;
  readonly mergedBytes: number;
}

function journalFor(
  { above: [child, ...between], target }: MergeChain,
  { image, sizes, options, mergedBytes }: Beginning,
): Journal {
  const { parentDirs, followParents = false, allowRawParent = false, deleteMerged = false } = options;
  const links = between.map(({ path, examination }) => {
    return { uuid: formatUuid(examination.footer.uniqueId), path: resolve(path) };
  });
  return {
    verb: 'merge',
    uuid: formatUuid(target.examination.footer.uniqueId),
    startedAt: new Date().toISOString(),
    fileSize: image.fileSize,
    fileSizeAfter: Math.max(image.fileSize, sizes.fileSize),
    writes: [],
    childUuid: formatUuid(child.examination.footer.uniqueId),
    childPath: resolve(child.path),
    ...(links.length === 0 ? {} : { links }),
    ...(parentDirs === undefined || parentDirs.length === 0
      ? {}
      : { parentDirs: parentDirs.map((path) => resolve(path)) }),
    details: {
      ...{ sizeBefore: image.virtualSize, sizeAfter: sizes.virtualSize, mergedBytes },
      ...{ followParents, allowRawParent, deleteMerged },
    },
  };
}

interface Sizes {
  readonly virtualSize: number;
  readonly fileSize: number;
}

async function sizesFor(storage: FileStorage, { growth }: CopyPlan, image: SoundExamination): Promise<Sizes> {
  if (growth !== undefined) return { virtualSize: growth.size, fileSize: growth.fileSize };
  return { virtualSize: image.virtualSize, fileSize: await storage.size() };
}

function planFor(
  { above, target }: MergeChain,
  plan: CopyPlan,
  { deleteMerged: deletes }: MergeOptions,
): Omit<MergePlan, 'isResumed' | 'warnings' | 'finishCommand'> {
  const { mergedBytes, newBlocks, neededBytes, freeBytes, growth } = plan;
  return {
    ...{ child: above[0].path, path: target.path, mergedBytes, newBlocks, neededBytes, freeBytes },
    ...{ grownFrom: growth?.fromSize, outdated: deletes === true ? [] : above.slice(1).map(({ path }) => path) },
  };
}

function warningsAbout(path: string, image: SoundExamination, source: Disk): string[] {
  const { virtualSize } = image;
  const isLarger = virtualSize > source.size;
  const kept = `it is larger than the child, ${virtualSize} bytes against ${source.size}: what lies behind stays as it is`;
  return [...warningsOf(image.findings), ...(isLarger ? [kept] : [])].map((text) => `${path}: ${text}`);
}

/** What the system said, where small writes that were gathered failed: a full disk is told as one. */
function causeOf(error: unknown): unknown {
  if (!(error instanceof VhdError) || error.code !== 'ERR_VHD_POISONED') return error;
  let { cause } = error;
  while (cause instanceof VhdError) cause = cause.cause;
  return cause instanceof Error && 'code' in cause ? cause : error;
}

import { rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { examine, type SoundExamination } from '../disk/recognise.ts';
import { warningsOf } from '../format/rules.ts';
import { formatUuid } from '../format/uuid.ts';
import { syncDirectory } from '../open-directory.ts';
import { checkJournalOf, type Journal, type JournalLink, pendingError, readJournal } from '../open-journal.ts';
import { openWritableFile } from '../open-source.ts';
import { FileStorage } from '../storage/file.ts';
import { removeJournal, writeJournal } from './journal.ts';
import { possibleTargets } from './merge-chain.ts';
import type { MergeOptions, MergeResult } from './merge-options.ts';
import { codeOf } from './output-file.ts';

/**
 * Deletes what was merged, from the child down: a link is gone only after what has it as parent. The journal says so before
 * the first of them goes and is removed after the last, so that whatever is left of them is never taken for whole.
 */
export async function deleteMerged(target: string, journal: Journal, paths: readonly string[]): Promise<void> {
  await writeJournal(target, { ...journal, details: { ...journal.details, deleteMerged: true, deleting: true } }, true);
  for (const path of paths) await remove(path);
}

async function remove(path: string): Promise<void> {
  await rm(path, { force: true });
  // In this order too if the power fails.
  await syncDirectory(dirname(path));
}

/**
 * Finishes the deletions of a merge that was killed when its child was deleted already; undefined if there is none to be
 * finished. Of the paths in the journal only the last part is used, in the directories of the child, of the ancestor and
 * of `parentDirs`; what is found there has to have the identifier of the link.
 * @throws VhdError `ERR_VHD_JOURNAL` if they are not to be deleted according to this call
 */
export async function finishDeleting(childPath: string, options: MergeOptions): Promise<MergeResult | undefined> {
  const startedAt = performance.now();
  if (options.output !== undefined || (await exists(childPath))) return undefined;
  const target = await findDeleting(childPath, options);
  if (target === undefined) return undefined;
  if (options.deleteMerged !== true) throw pendingError(target.path, target.journal);
  const { lock, onWarning, dryRun = false } = options;
  const storage = dryRun
    ? await FileStorage.open(target.path)
    : await openWritableFile(target.path, { lock, onWarning });
  try {
    const image = await examineTarget(storage, target);
    const left = await filesOf(target, childPath, options);
    if (!dryRun) {
      for (const path of left) await remove(path);
      await removeJournal(target.path);
    }
    return resultOf(target, image, { childPath, left, dryRun, startedAt });
  } finally {
    await storage.close();
  }
}

interface Target {
  readonly path: string;
  readonly journal: Journal;
}

async function findDeleting(childPath: string, options: MergeOptions): Promise<Target | undefined> {
  for (const path of await possibleTargets(childPath, options)) {
    const journal = await readJournal(path).catch(() => undefined);
    const isDeleting = journal?.verb === 'merge' && journal.details?.['deleting'] === true;
    if (isDeleting && basename(journal.childPath ?? '') === basename(childPath)) return { path, journal };
  }
  return undefined;
}

/** The ancestor, now that nobody else can write to it; it has to be the image of the journal. */
async function examineTarget(storage: FileStorage, { path, journal }: Target): Promise<SoundExamination> {
  const image = await examine(storage);
  const { footer, type, virtualSize, refusal } = image;
  if (refusal !== undefined) throw refusal;
  if (footer === undefined || type === undefined || virtualSize === undefined) {
    throw new Error('a sound image has these');
  }
  checkJournalOf(path, journal, formatUuid(footer.uniqueId));
  return { ...image, footer, type, virtualSize };
}

/** What is left of the links between. */
async function filesOf({ path, journal }: Target, childPath: string, options: MergeOptions): Promise<string[]> {
  const directories = [dirname(childPath), dirname(path), ...(options.parentDirs ?? [])];
  const left: string[] = [];
  for (const link of journal.links ?? []) {
    const places = directories.map((directory) => join(directory, basename(link.path)));
    for (const place of places) {
      if (!(await isLink(place, link))) continue;
      left.push(place);
      break;
    }
  }
  return left;
}

async function isLink(path: string, { uuid }: JournalLink): Promise<boolean> {
  if (!(await exists(path))) return false;
  const storage = await FileStorage.open(path);
  try {
    const { footer } = await examine(storage);
    return footer !== undefined && formatUuid(footer.uniqueId) === uuid;
  } finally {
    await storage.close();
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return false;
    throw error;
  }
}

interface Finished {
  readonly childPath: string;
  readonly left: readonly string[];
  readonly dryRun: boolean;
  readonly startedAt: number;
}

function resultOf(
  { path, journal }: Target,
  { type, virtualSize, fileSize, findings }: SoundExamination,
  { childPath, left, dryRun, startedAt }: Finished,
): MergeResult {
  const grown = journal.details?.['sizeBefore'] !== virtualSize;
  return {
    ...{ path, into: path, type, virtualSize, fileSize, grown, resumed: true },
    ...{ warnings: warningsOf(findings).map((text) => `${path}: ${text}`) },
    ...{ copiedBytes: 0, skippedBytes: 0, newBlocks: 0, seconds: (performance.now() - startedAt) / 1000 },
    ...{ merged: [childPath, ...left], deleted: !dryRun, safeToDelete: [], outdated: [], relinks: [] },
  };
}

import { realpath } from 'node:fs/promises';
import { examine } from '../disk/recognise.ts';
import { checkBooleans, checkOneOf, checkOptionNames, VhdError } from '../errors.ts';
import { describeFinding, type RuleId } from '../format/rules.ts';
import { formatUuid } from '../format/uuid.ts';
import { closeLinks, walkChain } from '../open-chain.ts';
import type { Journal } from '../open-journal.ts';
import { type FileOptions, openWritableFile } from '../open-source.ts';
import { FileStorage } from '../storage/file.ts';
import { FileWatch } from '../storage/file-watch.ts';
import type { ChangedImage } from './changed-image.ts';
import type { Watched } from './check-bitmaps.ts';
import { withRemedies } from './check-remedies.ts';
import { type CheckFinding, sortedFindings } from './check-report.ts';
import { refuseBreakingChildren } from './children.ts';
import { nameParentFrom, unnamedWarnings } from './copied-child.ts';
import { isUndoable, keepForUndo, performJournal } from './journal.ts';
import { finishBegun } from './journal-begun.ts';
import type { WatchedImage } from './open-image.ts';
import { checkTarget } from './output-file.ts';
import { parentDirectory } from './parent-directory.ts';
import type { RepairLoss, RepairPermits } from './repair-context.ts';
import { copyDraft } from './repair-copy.ts';
import type { DraftChanges } from './repair-draft.ts';
import { type MendedFinding, type PlanOptions, planRepair, type RepairPlan } from './repair-plan.ts';
import { refuseParents, refuseSameFile } from './same-file.ts';

/** How an image is repaired. What loses information is done only where an option permits it. */
export interface RepairOptions extends FileOptions, Watched {
  /** Write nothing, only tell what would be. Default false. */
  readonly dryRun?: boolean | undefined;
  /** Cut bytes off the end that do not belong to the image, though they are not zero. Default false. */
  readonly cut?: boolean | undefined;
  /** Set blocks aside whose place cannot be right: they read as zeros, or as the parent. Default false. */
  readonly dropBlocks?: boolean | undefined;
  /** Put zeros where the file ends before the disk, or before one of its blocks, does. Default false. */
  readonly zeroFill?: boolean | undefined;
  /** Mark every sector of every block of a dynamic image as written. Default false. */
  readonly setBits?: boolean | undefined;
  /** Find header and table again by the blocks where they are damaged, as far as that is certain. Default false. */
  readonly rebuildBat?: boolean | undefined;
  /** Which of two footers is right that contradict each other. Default: the one that fits the file, if only one does. */
  readonly footer?: 'start' | 'end' | undefined;
  /** Change the image though others beside it have it as their parent and would read something else. Default false. */
  readonly allowBreakingChildren?: boolean | undefined;
  /**
   * Path of a new file that gets the repaired image; the image itself stays as it is. Where nothing of an image that is not
   * well can be mended, no file is written, and what has that name stays.
   */
  readonly output?: string | undefined;
  /** Replace that file if it exists. Default false. */
  readonly force?: boolean | undefined;
  /** The time that time stamps are held against, and that the journal gets. Default: now. */
  readonly now?: Date | undefined;
}

/** What was repaired, and what was not. */
export interface RepairResult extends ChangedImage {
  /** True if something was written, or would be. */
  readonly changed: boolean;
  /** What was mended, or would be. */
  readonly mended: readonly MendedFinding[];
  /** What was given up for that. */
  readonly losses: readonly RepairLoss[];
  /** What is not mended because an option would have to permit what is lost by it. */
  readonly needed: readonly RepairLoss[];
  /** What a check of the image by itself finds afterwards. */
  readonly findings: readonly CheckFinding[];
  /** True if no errors are left, nor warnings that an option would mend. */
  readonly ok: boolean;
  /**
   * The directory that `parentDirs` must have for a copy to be opened; only where its parent is not in its own directory or
   * below it.
   */
  readonly parentDir?: string;
  /** True if `undo` can take it back; false if nothing was changed, or more was cut than is kept. */
  readonly canUndo: boolean;
  /** True if a repair that was begun before was finished first. */
  readonly finishedJournal: boolean;
}

const PERMITS = ['cut', 'dropBlocks', 'zeroFill', 'setBits', 'rebuildBat'] as const;
const OPTIONS: readonly string[] = [
  ...PERMITS,
  ...['dryRun', 'footer', 'allowBreakingChildren', 'output', 'force', 'now', 'lock', 'onWarning', 'signal'],
  'onProgress',
];

/**
 * Mends what is wrong with an image, as far as that is certain: see the rule table. All of it is planned before anything is
 * written, a journal beside the image makes it whole or not at all, and is kept for `undo` afterwards. What would lose
 * information is only told, unless an option permits it.
 * @throws VhdError `ERR_VHD_JOURNAL` if another operation was begun and not finished; `ERR_VHD_HAS_CHILDREN` if it would read
 *   differently and others have it as their parent; `ERR_VHD_LIMIT` if more changes than a journal holds;
 *   `ERR_VHD_UNSUPPORTED` for what is no file; `ERR_VHD_IN_USE`; `ERR_VHD_EXISTS`, `ERR_VHD_SAME_FILE`,
 *   `ERR_VHD_SOURCE_CHANGED` for `output`
 */
export async function repair(path: string, options: RepairOptions = {}): Promise<RepairResult> {
  checkOptionNames('repair', options, OPTIONS);
  checkBooleans(options, [...PERMITS, 'dryRun', 'allowBreakingChildren', 'force', 'lock']);
  checkOneOf('footer', options.footer, ['start', 'end']);
  options.signal?.throwIfAborted();
  const start = performance.now();
  const real = await realpath(path);
  await checkOutput(path, options);
  const isInPlace = options.output === undefined && options.dryRun !== true;
  const storage = isInPlace ? await openWritableFile(real, options) : await openForReading(real, options);
  try {
    checkFile(storage, path);
    const image: WatchedImage = { storage, path: real, shown: path, watch: await FileWatch.start(storage) };
    const begun = await finishBegun(image, 'repair', { mayFinish: isInPlace, journal: 'kept' });
    const outcome = await repairOpen(image, options);
    return { ...outcome, seconds: (performance.now() - start) / 1000, finishedJournal: begun !== undefined };
  } finally {
    await storage.close();
  }
}

/** Refused before it is known whether there will be anything to write. */
async function checkOutput(path: string, { output, force, dryRun }: RepairOptions): Promise<void> {
  if (output === undefined) return;
  await refuseSameFile(path, output);
  if (dryRun !== true) await checkTarget(output, force === true);
}

function openForReading(path: string, { lock, onWarning }: RepairOptions): Promise<FileStorage> {
  return FileStorage.open(path, { lock: lock === false ? undefined : 'read', onWarning });
}

/** What has no room to grow has no place for a journal beside it either. */
function checkFile({ capabilities }: FileStorage, shown: string): void {
  if (capabilities.growable !== false) return;
  throw new VhdError('ERR_VHD_UNSUPPORTED', 'an image on a block device cannot be repaired: expected a file', {
    ...{ storage: shown, expected: 'a file', found: 'a block device' },
    remedy: 'copy it into a file, repair that, and put it back',
  });
}

type Outcome = Omit<RepairResult, 'seconds' | 'finishedJournal'>;

async function repairOpen(image: WatchedImage, options: RepairOptions): Promise<Outcome> {
  const { signal, onProgress, output, now = new Date() } = options;
  const before = await examine(image.storage);
  const planning: PlanOptions = { permits: permitsOf(options), nowMilliseconds: now.getTime(), signal, onProgress };
  const plan = await planRepair(image.storage, planning);
  const changes = await plan.draft.changes();
  const isChanged = changes.writes.length > 0 || changes.fileSizeAfter !== before.fileSize;
  const decided: Decided = { plan, planning, changes, isChanged };
  if (output !== undefined) return intoFile(image, decided, { ...options, output });
  const journal = journalFor(plan, changes, before.footer && formatUuid(before.footer.uniqueId), { ...before, now });
  return inPlace(image, { ...decided, journal }, options);
}

/** What is to be done. */
interface Decided {
  readonly plan: RepairPlan;
  readonly planning: PlanOptions;
  readonly changes: DraftChanges;
  readonly isChanged: boolean;
}

async function inPlace(
  image: WatchedImage,
  { journal, ...decided }: Decided & { readonly journal: Journal },
  options: RepairOptions,
): Promise<Outcome> {
  const { plan, changes, isChanged } = decided;
  const state = await stateOf(decided, image.shown);
  options.signal?.throwIfAborted();
  if (isChanged && options.dryRun !== true) await change(image, plan, journal, options);
  return {
    ...{ ...state, fileSize: changes.fileSizeAfter, copiedBytes: bytesOf(changes), skippedBytes: 0 },
    warnings: warningsFor(plan, !isUndoable(journal)),
    ...{ changed: isChanged, canUndo: isChanged && isUndoable(journal) },
  };
}

/** A copy that is as damaged as the image is of no use, and may replace one that is not. */
async function intoFile(
  image: WatchedImage,
  decided: Decided,
  options: RepairOptions & { readonly output: string },
): Promise<Outcome> {
  const { plan, changes, isChanged } = decided;
  const { output, dryRun, signal } = options;
  const isOfUse = isChanged || isWell(plan);
  const state = await stateOf(decided, isOfUse ? output : image.shown);
  const warnings = warningsFor(plan, false);
  if (!isOfUse) warnings.push(`nothing can be mended as it is: ${output} is not written`);
  signal?.throwIfAborted();
  const planned = { fileSize: changes.fileSizeAfter, copiedBytes: bytesOf(changes), skippedBytes: 0 };
  const told = { ...state, ...planned, changed: isChanged, canUndo: false };
  if (!isOfUse || dryRun === true) return { ...told, warnings };
  const { warnings: ofParent, ...named } = await nameParent(image, plan, output);
  const beforeCommit = (): Promise<void> => image.watch.check();
  const copied = await copyDraft(plan.draft, image.shown, output, { ...options, beforeCommit });
  return { ...told, fileSize: await plan.draft.size(), ...copied, ...named, warnings: [...warnings, ...ofParent] };
}

/** Has a child name its parent from where the copy will lie, as far as it can be opened there at all. */
async function nameParent(
  { path, shown }: WatchedImage,
  { draft, after }: RepairPlan,
  output: string,
): Promise<Pick<Outcome, 'parentDir' | 'warnings'>> {
  const { examination, findings } = after;
  const { type, refusal } = examination;
  if (type !== 'differencing' || refusal !== undefined || after.storage !== draft) return { warnings: [] };
  const { links, error } = await walkChain({ storage: draft, path: shown, examination }, { lock: false });
  const [, ...parents] = links;
  await closeLinks(parents);
  const paths = parents.map(({ path }) => path);
  await refuseParents(paths, output);
  const [parentPath] = paths;
  // Where a name is put goes by the blocks, which have to be where they belong.
  const damage = findings.find(({ severity }) => severity === 'error');
  const why = damage === undefined ? error?.message : describeFinding(damage);
  if (parentPath === undefined || damage !== undefined) {
    return { warnings: await unnamedWarnings(path, output, why ?? 'it names none') };
  }
  await nameParentFrom({ storage: draft, source: path, output, parentPath });
  const parentDir = await parentDirectory(output, parentPath);
  return { ...(parentDir === undefined ? {} : { parentDir }), warnings: [] };
}

/** What the image is afterwards. */
async function stateOf(
  { plan, planning }: Decided,
  path: string,
): Promise<Pick<Outcome, 'path' | 'type' | 'virtualSize' | 'mended' | 'losses' | 'needed' | 'findings' | 'ok'>> {
  const { mended, losses, needed } = plan;
  const { type = null, virtualSize = null } = plan.after.examination;
  const findings = await findingsOf(plan, path, planning);
  return { path, type, virtualSize, mended, losses, needed, findings, ok: isWell(plan) };
}

function isWell({ after, needed }: RepairPlan): boolean {
  // Which disk a file without its end is, is not decided: that is not well.
  const isNeeded = (rule: RuleId): boolean => {
    return rule === 'footer.end-missing' || needed.some((loss) => loss.rule === rule);
  };
  return after.findings.every(
    ({ rule, severity }) => severity === 'note' || (severity === 'warning' && !isNeeded(rule)),
  );
}

function permitsOf(options: RepairOptions): RepairPermits {
  const { cut, dropBlocks, zeroFill, setBits, rebuildBat, footer } = options;
  return {
    ...{ cut: cut === true, dropBlocks: dropBlocks === true, zeroFill: zeroFill === true },
    ...{ setBits: setBits === true, rebuildBat: rebuildBat === true, footer },
  };
}

const NO_UUID = formatUuid(new Uint8Array(16));

function journalFor(
  { after }: RepairPlan,
  { fileSizeAfter, writes, cut }: DraftChanges,
  uuidBefore: string | undefined,
  { fileSize, now }: { readonly fileSize: number; readonly now: Date },
): Journal {
  const { footer } = after.examination;
  const uuidAfter = footer === undefined ? NO_UUID : formatUuid(footer.uniqueId);
  const uuid = uuidBefore ?? uuidAfter;
  return {
    ...{ verb: 'repair', uuid, startedAt: now.toISOString(), fileSize, fileSizeAfter, writes },
    ...(uuidAfter === uuid ? {} : { uuidAfter }),
    ...(cut === undefined ? { details: { undo: false } } : { cut }),
  };
}

function bytesOf({ writes }: DraftChanges): number {
  return writes.reduce((sum, { after }) => sum + after.length, 0);
}

/** Changes the image in place, and looks whether it is then what was planned. */
async function change(image: WatchedImage, plan: RepairPlan, journal: Journal, options: RepairOptions): Promise<void> {
  const { virtualSize } = await examine(image.storage);
  const isOtherSize = virtualSize !== undefined && virtualSize !== plan.after.examination.virtualSize;
  const hasLosses = plan.losses.some(({ ranges }) => ranges.length > 0);
  const isOther = journal.uuidAfter !== undefined || isOtherSize || hasLosses;
  if (isOther) {
    await refuseBreakingChildren(image.shown, { allow: options.allowBreakingChildren, signal: options.signal });
  }
  await performJournal(image, journal, async () => {
    const { findings } = await examine(image.storage);
    const planned = await examine(plan.draft);
    if (JSON.stringify(findings) !== JSON.stringify(planned.findings)) {
      throw new VhdError('ERR_VHD_SOURCE_CHANGED', 'it is not what was written: another program changes it too', {
        storage: image.shown,
        remedy: 'keep other programs from it; vhd undo takes the repair back',
      });
    }
    await keepForUndo(image, journal);
  });
}

/** What is left, with the command that mends it now, or why none does. */
async function findingsOf(plan: RepairPlan, path: string, planning: PlanOptions): Promise<CheckFinding[]> {
  const { permits } = planning;
  const options = { ...planning, footer: permits.footer, path, known: { permits, plan } };
  const findings = await withRemedies(plan.draft, plan.after.findings, options);
  return sortedFindings(findings.map((item) => ({ path, finding: item })));
}

function warningsFor({ mended, losses }: RepairPlan, isForGood: boolean): string[] {
  const warnings = losses.map(({ message }) => message);
  if (mended.some(({ rule }) => rule === 'footer.poisoned')) {
    warnings.push('blktap marks an image so while it has it open: make sure that it has not');
  }
  if (isForGood) warnings.push('what is cut off is more than is kept: it cannot be taken back');
  return warnings;
}

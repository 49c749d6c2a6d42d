import { realpath } from 'node:fs/promises';
import { examine } from '../disk/recognise.ts';
import { whyUnchangeable } from '../disk/unchangeable.ts';
import { checkBooleans, checkOptionNames, VhdError } from '../errors.ts';
import { decodeParentName } from '../format/dynamic-header.ts';
import { DISK_TYPE } from '../format/spec.ts';
import { formatUuid } from '../format/uuid.ts';
import { checkJournal, type Journal, readJournal } from '../open-journal.ts';
import { parentReferenceFor } from '../open-parent-reference.ts';
import { type FileOptions, openFile } from '../open-source.ts';
import { refuseBreakingChildren } from './children.ts';
import { performJournal, removeJournal } from './journal.ts';
import { finishBegun } from './journal-begun.ts';
import { refuseForPendingMerge } from './merge-pending.ts';
import type { OpenImage } from './open-image.ts';
import { parentDirectory } from './parent-directory.ts';
import { refuseLoop } from './relink-loop.ts';
import { examineParent } from './relink-parent.ts';
import { planRelink, type RelinkImage } from './relink-plan.ts';

/** How an image gets another parent, or the same one in another place. */
export interface RelinkOptions extends FileOptions {
  /**
   * Path of the parent. Without, only a relink is finished that was begun and not finished.
   */
  readonly parent?: string | undefined;
  /**
   * Accept a parent with another identifier, if it is not smaller than the child. Its contents are compared with nothing:
   * what the child does not hold will be what they are. Default false.
   */
  readonly allowUuidMismatch?: boolean | undefined;
  /** Accept a parent with another identifier also where others have the child as their parent. Default false. */
  readonly allowBreakingChildren?: boolean | undefined;
  /** Where else the parents of the parent may be: none of them may be the child. */
  readonly parentDirs?: readonly string[] | undefined;
  /** Write nothing, only tell what would be. Default false. */
  readonly dryRun?: boolean | undefined;
  /** Seconds since 1970 for the journal. Default: now. */
  readonly now?: number | undefined;
  /** Ends it before the first byte is written; from then on it is carried out. */
  readonly signal?: AbortSignal | undefined;
}

/** What was done to an image. */
export interface RelinkResult {
  /** Path of the child. */
  readonly path: string;
  /** Path of the parent as it was given; null if a relink was finished and nothing else asked for. */
  readonly parent: string | null;
  /** Identifier of the parent, the 16 bytes in file order. */
  readonly parentUuid: string;
  /** The parent's name field before. */
  readonly previousName: string;
  /** The parent's name field now. */
  readonly name: string;
  /** True if something was written, or would be; false: all was right already. */
  readonly changed: boolean;
  /** True if a relink that was begun before was finished first. */
  readonly finishedJournal: boolean;
  /**
   * The directory that `parentDirs` must have for the image to be opened; only where the parent is not in the image's own
   * directory or below it.
   */
  readonly parentDir?: string;
  /** What the user should know, one sentence each. */
  readonly warnings: readonly string[];
}

const OPTIONS: readonly string[] = [
  ...[
    'parent',
    'allowUuidMismatch',
    'allowBreakingChildren',
    'parentDirs',
    'dryRun',
    'now',
    'signal',
    'lock',
    'onWarning',
  ],
];

/**
 * Makes a differencing image name its parent where that is now: locators, name, identifier, time stamp and checksum. A
 * journal beside the image makes it whole or not at all: killed at any moment, the same call finishes it.
 * @throws VhdError `ERR_VHD_PARENT_UUID` if the parent is not the one that the child names; `ERR_VHD_PARENT_SIZE` if it is
 *   smaller and `allowUuidMismatch`; `ERR_VHD_PARENT_LOOP` if it is the child, or has it in its chain;
 *   `ERR_VHD_HAS_CHILDREN` if others read through the child and would read other bytes; `ERR_VHD_JOURNAL` if another
 *   operation was begun on either and not finished; `ERR_VHD_UNSUPPORTED` for what is no differencing
 *   image, or no file; `ERR_VHD_IN_USE`, and what is wrong with either image
 */
export async function relink(childPath: string, options: RelinkOptions = {}): Promise<RelinkResult> {
  checkOptionNames('relink', options, OPTIONS);
  checkBooleans(options, ['allowUuidMismatch', 'allowBreakingChildren', 'dryRun', 'lock']);
  return relinkImage(childPath, options, true);
}

/** The same for a parent that is known not to have the image among its own parents: of a long chain that takes long to find out. */
export async function relinkUnlooped(childPath: string, options: RelinkOptions): Promise<RelinkResult> {
  return relinkImage(childPath, options, false);
}

async function relinkImage(childPath: string, options: RelinkOptions, mayLoop: boolean): Promise<RelinkResult> {
  const { parent, lock, onWarning, dryRun } = options;
  const path = await realpath(childPath);
  const storage = await openFile(path, { lock, onWarning, writable: dryRun !== true });
  try {
    checkFile(storage, childPath);
    const child: OpenImage = { storage, path, shown: childPath };
    const how = { mayFinish: options.dryRun !== true, check: checkModest, journal: 'removed' } as const;
    const finishedJournal = (await finishBegun(child, 'relink', how)) !== undefined;
    if (parent !== undefined) {
      const image = await examineChild(child);
      if (mayLoop) await refuseLoop(childPath, parent, options.parentDirs);
      return { ...(await relinkTo(child, image, { ...options, parent })), finishedJournal };
    }
    if (!finishedJournal) throw new TypeError('relink: expected a parent, since no relink was begun on the image');
    return { ...(await resultFor(child)), parent: null, changed: true, finishedJournal };
  } finally {
    await storage.close();
  }
}

/** What has no room to grow has no place for a journal beside it either. */
function checkFile({ capabilities }: OpenImage['storage'], shown: string): void {
  if (capabilities.growable !== false) return;
  throw new VhdError('ERR_VHD_UNSUPPORTED', 'an image on a block device cannot be relinked: expected a file', {
    ...{ storage: shown, expected: 'a file', found: 'a block device' },
    remedy: 'copy it into a file, relink that, and put it back',
  });
}

/** What a relink writes, in bytes: header, names of up to 64 KiB each, a footer. */
const MAX_WRITTEN_BYTES = 1024 * 1024;

/** A journal that wants to do more than a relink does was not written by one. */
function checkModest({ fileSize, fileSizeAfter, writes }: Journal, shown: string): void {
  const written = writes.reduce((sum, { after }) => sum + after.length, 0);
  const growth = fileSizeAfter - fileSize;
  if (written <= MAX_WRITTEN_BYTES && growth >= 0 && growth <= MAX_WRITTEN_BYTES) return;
  const message = `its journal tells of a relink that writes ${written} bytes and makes it ${growth} bytes longer`;
  throw new VhdError('ERR_VHD_JOURNAL', `${message}: expected at most ${MAX_WRITTEN_BYTES}`, {
    ...{ storage: shown, rule: 'file.journal', remedy: 'it was written by somebody else: find out by whom' },
  });
}

/** A differencing image that can be written to, and its header. */
async function examineChild({ storage, shown }: OpenImage): Promise<RelinkImage> {
  const examination = await examine(storage);
  const { refusal, footer, header, virtualSize } = examination;
  if (refusal !== undefined) throw refusal;
  // Hidden or saved with a machine, it still reads the same afterwards.
  const unchangeable = footer === undefined ? undefined : whyUnchangeable({ ...examination, footer });
  if (unchangeable?.kind === 'poisoned') {
    throw new VhdError('ERR_VHD_IN_USE', `it must not be written to: ${unchangeable.why}`, { storage: storage.name });
  }
  if (footer?.diskType === DISK_TYPE.differencing && header !== undefined && virtualSize !== undefined) {
    return { ...examination, storage, footer, header, virtualSize };
  }
  throw new VhdError('ERR_VHD_UNSUPPORTED', 'it has no parent: expected a differencing disk', {
    storage: shown,
    expected: 'a differencing disk',
    found: `a ${examination.type ?? 'unknown'} disk`,
    remedy: 'name the child first, and its parent with --parent',
  });
}

type Outcome = Omit<RelinkResult, 'finishedJournal'>;

async function relinkTo(
  child: OpenImage,
  image: RelinkImage,
  options: RelinkOptions & { readonly parent: string },
): Promise<Outcome> {
  const { parent, signal } = options;
  await checkParentJournal(parent, image);
  const found = await examineParent(image, child.shown, options);
  if (found.isOther) await refuseChangedChildren(child, options);
  await refuseForPendingMerge({ storage: child.storage, path: child.path, parent, isOther: found.isOther });
  const reference = await parentReferenceFor(child.path, parent, found);
  const plan = await planRelink(image, reference);
  const changed = plan.writes.length > 0;
  signal?.throwIfAborted();
  if (changed && options.dryRun !== true) {
    const uuid = formatUuid(image.footer.uniqueId);
    const startedAt = new Date((options.now ?? Math.floor(Date.now() / 1000)) * 1000).toISOString();
    await performJournal(child, { verb: 'relink', uuid, startedAt, fileSize: image.fileSize, ...plan }, removeJournal);
  }
  const parentDir = await parentDirectory(child.shown, parent);
  return {
    ...{ path: child.shown, parent, parentUuid: formatUuid(reference.uniqueId) },
    ...{ previousName: decodeParentName(image.header), name: reference.name, changed },
    ...(parentDir === undefined ? {} : { parentDir }),
    warnings: found.warnings,
  };
}

/** A parent that is being merged into reads right only through the child whose merge it is, as long as that is its child. */
async function checkParentJournal(parent: string, { footer, header }: RelinkImage): Promise<void> {
  const journal = await readJournal(parent);
  const isKnown = journal?.uuid === formatUuid(header.parentUniqueId);
  await checkJournal(parent, { uuidsAbove: isKnown ? [footer.uniqueId] : [] });
}

/** With another parent the image reads otherwise, and so does what reads through it. */
async function refuseChangedChildren(
  { shown }: OpenImage,
  { allowBreakingChildren: allow, signal }: RelinkOptions,
): Promise<void> {
  const remedy = 'if the parent holds the same as the one before, they stay right: --allow-breaking-children';
  await refuseBreakingChildren(shown, { allow, remedy, signal });
}

async function resultFor(child: OpenImage): Promise<Omit<Outcome, 'parent' | 'changed'>> {
  const { header } = await examineChild(child);
  const name = decodeParentName(header);
  const parentUuid = formatUuid(header.parentUniqueId);
  return { path: child.shown, parentUuid, previousName: name, name, warnings: [] };
}

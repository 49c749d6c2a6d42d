import { realpath } from 'node:fs/promises';
import { type Examination, examine } from '../disk/recognise.ts';
import { checkBooleans, checkOptionNames, VhdError } from '../errors.ts';
import { decodeParentName } from '../format/dynamic-header.ts';
import { shellPath } from '../format/shell.ts';
import { DISK_TYPE } from '../format/spec.ts';
import { formatUuid } from '../format/uuid.ts';
import { checkJournal, checkJournalOf, type Journal, readJournal } from '../open-journal.ts';
import { parentReferenceFor } from '../open-parent-reference.ts';
import { type FileOptions, openWritableFile } from '../open-source.ts';
import { FileStorage } from '../storage/file.ts';
import { carryOut, performJournal, removeJournal } from './journal.ts';
import { refuseForPendingMerge } from './merge-pending.ts';
import { refuseLoop } from './relink-loop.ts';
import { planRelink, type RelinkImage } from './relink-plan.ts';

/** How an image gets another parent, or the same one in another place. */
export interface RelinkOptions extends FileOptions {
  /**
   * Path of the parent. Without, only a relink is finished that was begun and not finished.
   */
  readonly parent?: string | undefined;
  /**
   * Accept a parent with another identifier, if its virtual size is that of the child. Its contents are compared with
   * nothing: what the child does not hold will be what they are. Default false.
   */
  readonly allowUuidMismatch?: boolean | undefined;
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
  /** What the user should know, one sentence each. */
  readonly warnings: readonly string[];
}

const OPTIONS: readonly string[] = [...['parent', 'allowUuidMismatch', 'dryRun', 'now', 'signal', 'lock', 'onWarning']];

/**
 * Makes a differencing image name its parent where that is now: locators, name, identifier, time stamp and checksum. A
 * journal beside the image makes it whole or not at all: killed at any moment, the same call finishes it.
 * @throws VhdError `ERR_VHD_PARENT_UUID` if the parent is not the one that the child names; `ERR_VHD_PARENT_SIZE` if it has
 *   another size and `allowUuidMismatch`; `ERR_VHD_PARENT_LOOP` if it is the child, or has it in its chain;
 *   `ERR_VHD_JOURNAL` if another operation was begun and not finished; `ERR_VHD_UNSUPPORTED` for what is no differencing
 *   image, or no file; `ERR_VHD_IN_USE`, and what is wrong with either image
 */
export async function relink(childPath: string, options: RelinkOptions = {}): Promise<RelinkResult> {
  checkOptionNames('relink', options, OPTIONS);
  checkBooleans(options, ['allowUuidMismatch', 'dryRun', 'lock']);
  if (options.parent !== undefined) await refuseLoop(childPath, options.parent);
  return relinkUnlooped(childPath, options);
}

/** The same for a parent that is known not to have the image among its own parents: of a long chain that takes long to find out. */
export async function relinkUnlooped(childPath: string, options: RelinkOptions): Promise<RelinkResult> {
  const { parent, lock, onWarning } = options;
  const path = await realpath(childPath);
  const storage = await openWritableFile(path, { lock, onWarning });
  try {
    checkFile(storage, childPath);
    const child: Child = { storage, path, shown: childPath };
    const finishedJournal = await finishBegun(child, options);
    if (parent !== undefined) return { ...(await relinkTo(child, parent, options)), finishedJournal };
    if (!finishedJournal) throw new TypeError('relink: expected a parent, since no relink was begun on the image');
    return { ...(await resultFor(child)), parent: null, changed: true, finishedJournal };
  } finally {
    await storage.close();
  }
}

/** What has no room to grow has no place for a journal beside it either. */
function checkFile({ capabilities }: FileStorage, shown: string): void {
  if (capabilities.growable !== false) return;
  throw new VhdError('ERR_VHD_UNSUPPORTED', 'an image on a block device cannot be relinked: expected a file', {
    ...{ storage: shown, expected: 'a file', found: 'a block device' },
    remedy: 'copy it into a file, relink that, and put it back',
  });
}

interface Child {
  readonly storage: FileStorage;
  /** Behind symbolic links. */
  readonly path: string;
  /** As it was given. */
  readonly shown: string;
}

/** Finishes what a call began that was killed; true if there was such a thing. */
async function finishBegun({ storage, path, shown }: Child, { dryRun }: RelinkOptions): Promise<boolean> {
  const journal = await readJournal(path);
  if (journal === undefined) return false;
  if (journal.verb !== 'relink' || dryRun === true) await checkJournal(shown, { writable: true });
  const { footer } = await examine(storage);
  checkJournalOf(shown, journal, footer && formatUuid(footer.uniqueId));
  checkModest(journal, shown);
  await carryOut(storage, journal);
  await removeJournal(path);
  return true;
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
async function examineChild({ storage, shown }: Child): Promise<RelinkImage> {
  const examination = await examine(storage);
  const { refusal, footer, header, virtualSize } = examination;
  if (refusal !== undefined) throw refusal;
  checkNotPoisoned(examination);
  if (footer?.diskType === DISK_TYPE.differencing && header !== undefined && virtualSize !== undefined) {
    return { ...examination, storage, footer, header, virtualSize };
  }
  throw new VhdError('ERR_VHD_UNSUPPORTED', 'it has no parent: expected a differencing disk', {
    storage: shown,
    expected: 'a differencing disk',
    found: `a ${examination.type ?? 'unknown'} disk`,
  });
}

function checkNotPoisoned({ findings, name }: Examination): void {
  if (findings.every((item) => item.rule !== 'footer.poisoned')) return;
  const why = 'another program has it open, or crashed while it had (its end footer is overwritten)';
  throw new VhdError('ERR_VHD_IN_USE', `it must not be written to: ${why}`, { storage: name });
}

type Outcome = Omit<RelinkResult, 'finishedJournal'>;

async function relinkTo(child: Child, parent: string, options: RelinkOptions): Promise<Outcome> {
  const image = await examineChild(child);
  await checkJournal(parent, { uuidsAbove: [image.footer.uniqueId] });
  const found = await parentOf(parent, image, options);
  const warnings = checkParent(image, found, { parent, child: child.shown, allow: options.allowUuidMismatch === true });
  const isOther = formatUuid(image.header.parentUniqueId) !== formatUuid(found.uniqueId);
  await refuseForPendingMerge({ storage: child.storage, path: child.path, parent, isOther });
  const reference = await parentReferenceFor(child.path, parent, found);
  const plan = await planRelink(image, reference);
  const changed = plan.writes.length > 0;
  options.signal?.throwIfAborted();
  if (changed && options.dryRun !== true) {
    const uuid = formatUuid(image.footer.uniqueId);
    const startedAt = new Date((options.now ?? Math.floor(Date.now() / 1000)) * 1000).toISOString();
    await performJournal(child, { verb: 'relink', uuid, startedAt, fileSize: image.fileSize, ...plan }, removeJournal);
  }
  return {
    ...{ path: child.shown, parent, parentUuid: formatUuid(reference.uniqueId) },
    ...{ previousName: decodeParentName(image.header), name: reference.name, changed, warnings },
  };
}

interface FoundParent {
  readonly uniqueId: Uint8Array;
  readonly timestamp: number;
  /** Undefined for a raw disk, which has no identifier either. */
  readonly virtualSize: number | undefined;
}

/** What the parent's footer says; of a raw disk, which blktap takes for a parent too, there is nothing to be said. */
async function parentOf(path: string, { header }: RelinkImage, { lock }: RelinkOptions): Promise<FoundParent> {
  const storage = await FileStorage.open(path, { lock: lock === false ? undefined : 'read' });
  try {
    const { footer, refusal, virtualSize } = await examine(storage);
    const isRawExpected = header.parentUniqueId.every((byte) => byte === 0);
    if (isRawExpected && refusal?.code === 'ERR_VHD_NOT_VHD') {
      return { uniqueId: header.parentUniqueId, timestamp: header.parentTimestamp, virtualSize: undefined };
    }
    if (refusal !== undefined) throw refusal;
    if (footer === undefined) throw new Error('an image that is not refused has a footer');
    const { uniqueId, timestamp } = footer;
    return { uniqueId, timestamp, virtualSize };
  } finally {
    await storage.close();
  }
}

/** Refuses a parent that is another one than the child names; returns what is to be said of one that is accepted. */
function checkParent(
  { header, virtualSize }: RelinkImage,
  found: FoundParent,
  { parent, child, allow }: { readonly parent: string; readonly child: string; readonly allow: boolean },
): string[] {
  const [expected, is] = [formatUuid(header.parentUniqueId), formatUuid(found.uniqueId)];
  if (expected === is) return [];
  const about = { storage: parent, expected, found: is };
  if (!allow) {
    throw new VhdError(
      'ERR_VHD_PARENT_UUID',
      `it is not the parent that ${shellPath(child)} names: expected identifier ${expected}, found ${is}`,
      { ...about, remedy: 'find the right one with vhd tree DIR; --allow-uuid-mismatch takes this one, right or not' },
    );
  }
  if (found.virtualSize !== virtualSize) {
    throw new VhdError(
      'ERR_VHD_PARENT_SIZE',
      `its virtual size is not that of its child: expected ${virtualSize} bytes, found ${found.virtualSize ?? 'a raw disk'}`,
      { storage: parent, expected: `${virtualSize} bytes`, found: String(found.virtualSize ?? 'a raw disk') },
    );
  }
  return [
    `${parent} has another identifier than the parent that ${child} was made with; contents were not compared: if they ` +
      'are not the same, the child reads wrong from now on',
  ];
}

async function resultFor(child: Child): Promise<Omit<Outcome, 'parent' | 'changed'>> {
  const { header } = await examineChild(child);
  const name = decodeParentName(header);
  const parentUuid = formatUuid(header.parentUniqueId);
  return { path: child.shown, parentUuid, previousName: name, name, warnings: [] };
}

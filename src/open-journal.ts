import { lstat, realpath, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { examine } from './disk/recognise.ts';
import { VhdError } from './errors.ts';
import { type Finding, finding } from './format/rules.ts';
import { shellPath } from './format/shell.ts';
import { formatUuid } from './format/uuid.ts';
import { syncDirectory } from './open-directory.ts';
import { shortest } from './open-error-paths.ts';
import { FileStorage } from './storage/file.ts';

/** A verb that changes an image in place, and may leave a journal. */
export type JournalVerb = 'repair' | 'resize' | 'set' | 'merge' | 'compact' | 'relink';
/** All of them. */
export const JOURNAL_VERBS: readonly JournalVerb[] = [
  ...(['repair', 'resize', 'set', 'merge', 'compact', 'relink'] as const),
];

/** Bytes of the image that are to become others. */
export interface JournalWrite {
  /** Byte offset in the file. */
  readonly offset: number;
  /** What stood there before; shorter than `after` where the file ended. */
  readonly before: Uint8Array;
  /** What is to stand there. */
  readonly after: Uint8Array;
}

/** A link that lay between the child and the image when a merge was begun. */
export interface JournalLink {
  /** Its identifier, the 16 bytes in file order. */
  readonly uuid: string;
  /** Its path, to be told and not to be opened. */
  readonly path: string;
}

/** Bytes of the image that are cut off. */
export interface JournalCut {
  /** Byte offset in the file as it was before. */
  readonly offset: number;
  /** What stood there. */
  readonly before: Uint8Array;
}

/**
 * What an operation in place wrote down before it began, so that the same command finishes it after a crash. It is input
 * like any file: nothing in it is believed that the image does not confirm, and no path in it is followed.
 */
export interface Journal {
  /** The verb that wrote it. */
  readonly verb: JournalVerb;
  /** Identifier of the image that is changed, the 16 bytes in file order. */
  readonly uuid: string;
  /** The identifier that it gets; undefined if it keeps its own. */
  readonly uuidAfter?: string | undefined;
  /** When the operation began, ISO 8601 UTC. */
  readonly startedAt: string;
  /** Bytes of the file before. */
  readonly fileSize: number;
  /** Bytes of the file afterwards, as far as the writes below decide it. */
  readonly fileSizeAfter: number;
  /** Every byte that changes, in file order; empty where the verb finds out again what to do. */
  readonly writes: readonly JournalWrite[];
  /** What is cut off the end of the file and is not zero, in file order; undefined if nothing is, or it is not kept. */
  readonly cut?: readonly JournalCut[] | undefined;
  /** Merge: identifier of the child that is merged, which owns every sector that changes. */
  readonly childUuid?: string | undefined;
  /** Merge: the child's path, to be told and not to be opened. */
  readonly childPath?: string | undefined;
  /** Merge: the links between the child and the image, from the child down; undefined if there are none. */
  readonly links?: readonly JournalLink[] | undefined;
  /** Merge: where else parents were looked for, to be told. */
  readonly parentDirs?: readonly string[] | undefined;
  /** Further fields of a verb: names of letters and digits. */
  readonly details?: Readonly<Record<string, string | number | boolean>> | undefined;
}

/** Largest journal that is read, in bytes. */
export const MAX_JOURNAL_BYTES = 16 * 1024 * 1024;

/** Where the journal of an image is; `image` is its path, behind all symbolic links. */
export function journalPath(image: string): string {
  return `${image}.vhd-journal`;
}

/** The same for any path of an image; undefined if there is no such file. */
export async function findJournalPath(image: string): Promise<string | undefined> {
  const path = await orUndefined(realpath(image));
  return path === undefined ? undefined : journalPath(path);
}

/**
 * Where the journal of the last repair, resize or set stands when that is done: what `undo` takes it back by. It keeps nobody
 * from using the image. `image` is its path, behind all symbolic links.
 */
export function undoPath(image: string): string {
  return `${image}.vhd-undo`;
}

/**
 * Reads the journal beside an image; undefined if there is none.
 * @throws VhdError `ERR_VHD_JOURNAL` if there is one that is damaged, too large, or no regular file
 */
export async function readJournal(image: string): Promise<Journal | undefined> {
  const path = await orUndefined(realpath(image));
  return path === undefined ? undefined : readJournalFile(journalPath(path));
}

/**
 * The same for what was kept of the last change that can be undone.
 * @throws VhdError `ERR_VHD_UNDO` if that is damaged
 */
export async function readUndo(image: string): Promise<Journal | undefined> {
  return readJournalFile(undoPath(await realpath(image)));
}

/**
 * Removes, durably, what was kept of the last change of a file that is going to be written to: taking that change back would
 * take with it what is written now. Nothing is done where nothing was kept.
 */
export async function forgetUndo(image: string): Promise<void> {
  const real = await orUndefined(realpath(image));
  if (real === undefined) return;
  const path = undoPath(real);
  if ((await orUndefined(lstat(path))) === undefined) return;
  await rm(path, { force: true });
  await syncDirectory(dirname(path));
}

async function readJournalFile(path: string): Promise<Journal | undefined> {
  const stats = await orUndefined(lstat(path));
  if (stats === undefined) return undefined;
  if (!stats.isFile()) throw damagedError(path, 'it is no regular file');
  // It may be done with and removed in this moment.
  const file = await orUndefined(FileStorage.open(path));
  if (file === undefined) return undefined;
  try {
    const byteLength = await file.size();
    if (byteLength > MAX_JOURNAL_BYTES) {
      throw damagedError(path, `expected at most ${MAX_JOURNAL_BYTES} bytes, found ${byteLength}`);
    }
    const bytes = new Uint8Array(byteLength);
    await file.read(bytes, 0);
    // Nearly every image has no journal: what reads one is loaded only where there is one.
    const { decodeJournal } = await import('./open-journal-record.ts');
    const { journal, problem } = decodeJournal(bytes);
    if (journal === undefined) throw damagedError(path, problem);
    return journal;
  } finally {
    await file.close();
  }
}

/** Who wants to open an image. */
export interface JournalCheck {
  /** True if it is to be written to. */
  readonly writable?: boolean | undefined;
  /** Identifiers of the links above it in the chain that is being opened, the child first, 16 bytes each. Default: none. */
  readonly uuidsAbove?: readonly Uint8Array[] | undefined;
}

/**
 * Refuses an image that an operation in place was begun on and not finished: to writers always, to readers if it cannot
 * be read as it stands. A merge into it may have changed sectors that the merged child owns, or a link between: through that
 * child and those links, and only so, everything reads as before.
 * @throws VhdError `ERR_VHD_JOURNAL`, with the command that finishes it as remedy
 */
export async function checkJournal(image: string, { writable, uuidsAbove = [] }: JournalCheck = {}): Promise<void> {
  const journal = await readJournal(image);
  if (journal === undefined) return;
  const uuid = await uuidOf(image);
  checkJournalOf(image, journal, uuid);
  if (writable === true) throw pendingError(image, journal);
  refuseUncovered(image, journal, uuidsAbove);
}

/**
 * Refuses what is pending unless it is a merge that was begun from the very chain that ends here.
 * @param uuidsAbove identifiers of the links above the image, the child first, 16 bytes each
 * @throws VhdError `ERR_VHD_JOURNAL`
 */
export function refuseUncovered(image: string, journal: Journal, uuidsAbove: readonly Uint8Array[]): void {
  const { verb, childUuid, links = [] } = journal;
  const uuids = uuidsAbove.map(formatUuid);
  if (verb !== 'merge' || childUuid === undefined || !uuids.includes(childUuid)) throw pendingError(image, journal);
  const chain = [childUuid, ...links.map(({ uuid }) => uuid)];
  const above = uuids.slice(-chain.length);
  if (above.length !== chain.length || chain.some((uuid, index) => uuid !== above[index])) {
    throw otherChainError(image, journal);
  }
}

/**
 * What is to be said of the journal beside an image, for reports; nothing if there is none. Rejects only if reading fails.
 * @param severity of one that belongs to the image: a report that works all the same only warns of it
 */
export async function journalFindings(image: string, severity: 'warning' | 'error' = 'error'): Promise<Finding[]> {
  try {
    const journal = await readJournal(image);
    if (journal === undefined) return [];
    checkJournalOf(image, journal, await uuidOf(image));
    const found = `${journal.verb}, begun ${journal.startedAt}`;
    const remedy = finishCommand(image, journal);
    return [finding('file.journal', { expected: `${remedy} finishes it`, found, severity, remedy })];
  } catch (error) {
    if (!(error instanceof VhdError)) throw error;
    return [finding('file.journal', { message: error.message, severity: 'error', remedy: error.remedy })];
  }
}

/** The command that finishes an operation. */
export function finishCommand(image: string, journal: Pick<Journal, FinishFields>): string {
  const { verb, childPath, parentDirs = [], details = {} } = journal;
  if (verb !== 'merge') return `vhd ${verb} ${shellPath(image)}`;
  const places = parentDirs.map((directory) => ` --parent-dir ${shellPath(shortest(directory))}`);
  const flags = Object.entries(MERGE_FLAGS).map(([name, flag]) => (details[name] === true ? ` ${flag}` : ''));
  const child = childPath === undefined ? 'CHILD' : shellPath(shortest(childPath));
  return `vhd merge ${child} --into ${shellPath(image)}${[...places, ...flags].join('')}`;
}

type FinishFields = 'verb' | 'childPath' | 'parentDirs' | 'details';

/** What a merge was called with, by the name of the detail that tells it: finishing it needs the same. */
const MERGE_FLAGS: Readonly<Record<string, string>> = {
  followParents: '--follow-parents',
  allowRawParent: '--allow-raw-parent',
  deleteMerged: '--delete-merged',
};

/** An operation was begun on an image and not finished. */
export function pendingError(image: string, journal: Journal): VhdError {
  const message = `a ${journal.verb} was begun on it at ${journal.startedAt} and not finished`;
  const remedy = `${finishCommand(image, journal)}   (finishes it)`;
  return new VhdError('ERR_VHD_JOURNAL', message, { storage: image, rule: 'file.journal', remedy });
}

/** The child is another image's child than it was when the merge was begun: what it owned, and what not, has changed. */
function otherChainError(image: string, journal: Journal): VhdError {
  const { links = [], startedAt } = journal;
  const child = journal.childPath === undefined ? 'CHILD' : shellPath(shortest(journal.childPath));
  const paths = links.map(({ path }) => shortest(path));
  const between = paths.map((path) => shellPath(path)).join(', ') || 'nothing';
  const message = `a merge of ${child} was begun on it at ${startedAt}, and the chain between them is another now`;
  const [parent = image] = paths;
  return new VhdError('ERR_VHD_JOURNAL', `${message}: expected ${between} between them`, {
    ...{ storage: image, rule: 'file.journal', expected: `${between} between the child and this image` },
    remedy: `vhd relink ${child} --parent ${shellPath(parent)} --allow-uuid-mismatch, if nothing was written since; then ${finishCommand(image, journal)}`,
  });
}

/**
 * Checks that a journal is of the image that it stands beside.
 * @param uuid identifier of the image as it stands; undefined if that cannot be told
 * @throws VhdError `ERR_VHD_JOURNAL`
 */
export function checkJournalOf(image: string, journal: Pick<Journal, 'uuid' | 'uuidAfter'>, uuid?: string): void {
  if (uuid === undefined || uuid === journal.uuid || uuid === journal.uuidAfter) return;
  throw strayError(image, journal.uuid, uuid);
}

/** A journal that was left behind by an image which had that name before. */
function strayError(image: string, expected: string, found: string): VhdError {
  const message = `the journal beside it is of another image: expected identifier ${expected}, found ${found}`;
  const remedy = `if that image was replaced by this one, remove the journal: rm ${shellPath(journalPath(image))}`;
  return new VhdError('ERR_VHD_JOURNAL', message, { storage: image, rule: 'file.journal', expected, found, remedy });
}

function damagedError(path: string, problem: string): VhdError {
  if (path.endsWith(undoPath(''))) {
    return new VhdError('ERR_VHD_UNDO', `what was kept of the last change cannot be read: ${problem}`, {
      storage: path,
      remedy: `the image is whole without it, but nothing can be taken back: rm ${shellPath(path)}`,
    });
  }
  return new VhdError('ERR_VHD_JOURNAL', `the journal beside the image cannot be read: ${problem}`, {
    storage: path,
    rule: 'file.journal',
    remedy: `get a good copy of image and journal; if nothing was under way, remove it: rm ${shellPath(path)}`,
  });
}

/** The identifier of the image as it stands; undefined if that cannot be told. */
async function uuidOf(image: string): Promise<string | undefined> {
  const storage = await FileStorage.open(image);
  try {
    const { footer } = await examine(storage);
    return footer === undefined ? undefined : formatUuid(footer.uniqueId);
  } finally {
    await storage.close();
  }
}

/** Undefined where there is nothing of that name, or can be nothing. */
async function orUndefined<T>(looking: Promise<T>): Promise<T | undefined> {
  try {
    return await looking;
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    if (code === 'ENOENT' || code === 'ENOTDIR' || code === 'ENAMETOOLONG') return undefined;
    throw error;
  }
}

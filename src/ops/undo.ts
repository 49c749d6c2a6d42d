import { realpath } from 'node:fs/promises';
import { examine } from '../disk/recognise.ts';
import { checkBooleans, checkOptionNames, VhdError } from '../errors.ts';
import { formatUuid } from '../format/uuid.ts';
import {
  checkJournalOf,
  finishCommand,
  type Journal,
  type JournalVerb,
  readJournal,
  readUndo,
} from '../open-journal.ts';
import { type FileOptions, openFile } from '../open-source.ts';
import type { FileStorage } from '../storage/file.ts';
import type { ChangedImage } from './changed-image.ts';
import { refuseBreakingChildren } from './children.ts';
import { beginUndo, checkUnchanged, isDone, isUndoable, isUnwritten, removeJournal, rollBack } from './journal.ts';

/** How a change is taken back. */
export interface UndoOptions extends FileOptions {
  /** Write nothing, only tell what would be. Default false. */
  readonly dryRun?: boolean | undefined;
  /** Take a change back though others have the image as their parent, and know it as it is now. Default false. */
  readonly allowBreakingChildren?: boolean | undefined;
}

/** What was taken back. */
export interface UndoResult extends ChangedImage {
  /** The verb that was taken back. */
  readonly verb: JournalVerb;
  /** When that began, ISO 8601 UTC. */
  readonly startedAt: string;
  /** True if it had not been finished. */
  readonly wasPending: boolean;
}

/** What can be taken back: their journals hold every byte from before. */
const UNDOABLE: readonly JournalVerb[] = ['repair', 'resize', 'set'];

/**
 * Takes the last repair, resize or set of an image back, finished or not: the bytes that it changed, and the size of the file,
 * are again what they were. Whatever was written to the file since, wherever, keeps it from being taken back. Killed at any moment, the same call finishes it.
 * @throws VhdError `ERR_VHD_UNDO` if there is nothing to take back, or the image was changed since; `ERR_VHD_JOURNAL` if
 *   another operation was begun and not finished; `ERR_VHD_HAS_CHILDREN`, `ERR_VHD_IN_USE`
 */
export async function undo(path: string, options: UndoOptions = {}): Promise<UndoResult> {
  checkOptionNames('undo', options, ['dryRun', 'allowBreakingChildren', 'lock', 'onWarning']);
  checkBooleans(options, ['dryRun', 'allowBreakingChildren', 'lock']);
  const start = performance.now();
  const real = await realpath(path);
  const { lock, onWarning, dryRun } = options;
  const storage = await openFile(real, { lock, onWarning, writable: dryRun !== true });
  try {
    const pending = await readJournal(real);
    const journal = pending ?? (await readUndo(real));
    if (journal === undefined) throw nothingError(path);
    const image = { storage, shown: path };
    if (pending === undefined) await checkFinished(image, journal);
    else await checkPending(image, journal);
    if (isSeenByChildren(journal, pending === undefined)) {
      await refuseBreakingChildren(path, { allow: options.allowBreakingChildren });
    }
    if (options.dryRun !== true) {
      if (pending === undefined) await beginUndo(real);
      await rollBack(storage, journal);
      await removeJournal(real);
    }
    const seconds = (performance.now() - start) / 1000;
    return { ...(await resultFor(image, journal)), seconds, wasPending: pending !== undefined };
  } finally {
    await storage.close();
  }
}

/** Children know an image as it was when they were made: of one that was begun and not finished there are no new ones. */
function isSeenByChildren({ verb, uuidAfter }: Journal, isFinished: boolean): boolean {
  return uuidAfter !== undefined || (isFinished && verb !== 'set');
}

interface Image {
  readonly storage: FileStorage;
  /** As it was given. */
  readonly shown: string;
}

/** One that was begun and not finished: every sector is from before, or from after. */
async function checkPending({ storage, shown }: Image, journal: Journal): Promise<void> {
  const finish = finishCommand(shown, journal);
  if (!UNDOABLE.includes(journal.verb)) {
    throw new VhdError('ERR_VHD_JOURNAL', `a ${journal.verb} was begun on it, and cannot be taken back`, {
      ...{ storage: shown, rule: 'file.journal', remedy: `${finish}   (finishes it)` },
    });
  }
  checkJournalOf(shown, journal, await uuidOf(storage));
  await checkUnchanged(storage, journal);
  if (isUndoable(journal) || (await storage.size()) === journal.fileSize) return;
  throw new VhdError('ERR_VHD_UNDO', 'more was cut off its end than was kept', {
    storage: shown,
    remedy: `${finish}   (finishes the ${journal.verb})`,
  });
}

/** One that was finished: what it wrote has to be there still, and nothing may have been written since, wherever. */
async function checkFinished({ storage, shown }: Image, journal: Journal): Promise<void> {
  const uuid = await uuidOf(storage);
  const isSame =
    (uuid === undefined || uuid === (journal.uuidAfter ?? journal.uuid)) && UNDOABLE.includes(journal.verb);
  const isAsWritten = isSame && (await isDone(storage, journal));
  if (isAsWritten && (await isUnwritten(storage, journal))) return;
  // A copy of it has another time; and that of the change may not have been noted.
  const what = isAsWritten ? 'it may have been written to' : 'it was changed';
  const message = `${what} after the ${journal.verb} of ${journal.startedAt}, which cannot be taken back any more`;
  throw new VhdError('ERR_VHD_UNDO', message, {
    ...{
      storage: shown,
      expected: 'the file as it was written then',
      found: isAsWritten ? 'one of another time' : 'another',
    },
    remedy: 'take a copy from before the change, if there is one',
  });
}

async function uuidOf(storage: FileStorage): Promise<string | undefined> {
  const { footer } = await examine(storage);
  return footer && formatUuid(footer.uniqueId);
}

function nothingError(path: string): VhdError {
  return new VhdError(
    'ERR_VHD_UNDO',
    'there is nothing to take back: no repair, resize or set was done, or it was undone',
    {
      storage: path,
      expected: 'a file of the same name with .vhd-undo behind it',
      found: 'none',
      remedy: 'take a copy from before the change, if there is one',
    },
  );
}

async function resultFor(
  { storage, shown }: Image,
  { verb, startedAt, writes, cut = [] }: Journal,
): Promise<Omit<UndoResult, 'seconds' | 'wasPending'>> {
  const { type = null, virtualSize = null, fileSize } = await examine(storage);
  const copiedBytes = [...writes, ...cut].reduce((sum, { before }) => sum + before.length, 0);
  return {
    ...{ path: shown, type, virtualSize, fileSize, copiedBytes, skippedBytes: 0 },
    ...{ warnings: [], verb, startedAt },
  };
}

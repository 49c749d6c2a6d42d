import * as fs from 'node:fs/promises';
import { dirname } from 'node:path';
import { VhdError } from '../errors.ts';
import { shellPath } from '../format/shell.ts';
import { SECTOR_BYTES } from '../format/spec.ts';
import { syncDirectory } from '../open-directory.ts';
import {
  findJournalPath,
  forgetUndo,
  type Journal,
  type JournalWrite,
  journalPath,
  MAX_JOURNAL_BYTES,
  undoPath,
} from '../open-journal.ts';
import { decodeJournal, encodeJournal, journalNote, journalNoteOffset } from '../open-journal-record.ts';
import { FileStorage } from '../storage/file.ts';
import type { Storage } from '../storage/storage.ts';
import { renameFile } from './output-file.ts';

/**
 * Writes down what is going to be done to an image, durably: after a crash there is a whole journal or none. Lock the image
 * for writing before. What was kept of an earlier change goes first: it could not be taken back without this one.
 * @param replace put it in the place of one that is there; without, one that is there is an error
 * @param bytes what `sealJournal` made of it, where that was done before
 * @throws VhdError `ERR_VHD_EXISTS`, and what `sealJournal` throws
 */
export async function writeJournal(
  image: string,
  journal: Journal,
  replace = false,
  bytes: Uint8Array = sealJournal(image, journal),
): Promise<void> {
  const path = (await findJournalPath(image)) ?? journalPath(image);
  // Told of the directory: a file that cannot be made in it is none that anybody named.
  await fs.access(dirname(path), fs.constants.W_OK);
  const unfinished = unfinishedPath(path);
  // What a call left that was killed: whoever writes a journal has the image locked.
  await fs.rm(unfinished, { force: true });
  const storage = await FileStorage.open(unfinished, { writable: true, create: 'new' });
  try {
    await storage.write(bytes, 0);
    await storage.flush();
    await storage.close();
    await forgetUndo(image);
    await renameFile(unfinished, path, replace);
  } catch (error) {
    await storage.close();
    await fs.rm(unfinished, { force: true });
    throw error;
  }
  await syncDirectory(dirname(path));
}

/**
 * The bytes of a journal as a file, checked to be what is read back.
 * @param image its path, for the error
 * @throws VhdError `ERR_VHD_LIMIT` if there is more to be changed than one journal holds
 */
export function sealJournal(image: string, journal: Journal): Uint8Array {
  const bytes = encodeJournal(journal);
  if (bytes.length > MAX_JOURNAL_BYTES) throw tooManyChanges(image, `one of ${bytes.length} bytes`);
  const { problem } = decodeJournal(bytes);
  if (problem !== undefined) throw tooManyChanges(image, `one that cannot be read back: ${problem}`);
  return bytes;
}

/** A journal that is not whole yet. */
function unfinishedPath(path: string): string {
  return `${path}.tmp`;
}

/** Removes the journal of an image, durably: what it tells of is done and flushed. */
export async function removeJournal(image: string): Promise<void> {
  const path = (await findJournalPath(image)) ?? journalPath(image);
  await fs.rm(path, { force: true });
  await fs.rm(unfinishedPath(path), { force: true });
  await syncDirectory(dirname(path));
}

/**
 * Makes the journal of an image what `undo` takes the change back by, durably and at one stroke: what it tells of is done and
 * flushed. It notes when the image was written last. A journal that does not hold all that is needed just goes.
 * @param image.path behind all symbolic links
 */
export async function keepForUndo(
  { storage, path }: { readonly storage: FileStorage; readonly path: string },
  journal: Journal,
): Promise<void> {
  if (isUndoable(journal)) {
    // The change is done, whether that can be noted or not: without a note it cannot be undone.
    await noteWritten(path, await storage.modifiedAt()).catch(() => undefined);
    await fs.rename(journalPath(path), undoPath(path));
  } else await fs.rm(journalPath(path), { force: true });
  await syncDirectory(dirname(path));
}

/** In place, which mostly takes no room: the image is changed already, and must not stay shut for a disk that is full. */
async function noteWritten(image: string, writtenAt: bigint | undefined): Promise<void> {
  const storage = await FileStorage.open(journalPath(image), { writable: true });
  try {
    const bytes = new Uint8Array(await storage.size());
    await storage.read(bytes, 0);
    const offset = journalNoteOffset(bytes);
    if (offset === undefined) return;
    await storage.write(journalNote(writtenAt), offset);
    await storage.flush();
  } finally {
    await storage.close();
  }
}

/** True if nobody wrote to the image since `keepForUndo`; false where that was not noted, or cannot be told. */
export async function isUnwritten(storage: FileStorage, { details }: Journal): Promise<boolean> {
  const writtenAt = await storage.modifiedAt();
  return writtenAt !== undefined && details?.['writtenAt'] === `${writtenAt}`;
}

/** Makes what `keepForUndo` kept a journal again: from then on the image has to be made whole before it is used. */
export async function beginUndo(image: string): Promise<void> {
  await fs.rename(undoPath(image), journalPath(image));
  await syncDirectory(dirname(image));
}

/** True if it tells all that was there before. */
export function isUndoable({ details }: Journal): boolean {
  return details?.['undo'] !== false;
}

/**
 * Changes an image by a journal: journal, writes, barrier, and then `finish` says what becomes of the journal. What fails
 * is rolled back, as when the disk is full; if not even that can be done, the journal stays and says so.
 * @param path of the image, behind all symbolic links
 * @param bytes what `sealJournal` made of it, where that was done before
 */
export async function performJournal(
  { storage, path }: { readonly storage: Storage; readonly path: string },
  journal: Journal,
  finish: (path: string, journal: Journal) => Promise<void>,
  bytes?: Uint8Array,
): Promise<void> {
  await writeJournal(path, journal, false, bytes);
  try {
    await carryOut(storage, journal);
  } catch (error) {
    // Nothing was written yet: what is there is another program's.
    if (error instanceof VhdError && error.code === 'ERR_VHD_JOURNAL') {
      await removeJournal(path);
      throw meddledError(storage.name, error);
    }
    const isUndone = await rollBack(storage, journal).then(
      () => true,
      () => false,
    );
    if (isUndone) await removeJournal(path);
    throw error;
  }
  await finish(path, journal);
}

function meddledError(storage: string, { expected, found }: VhdError): VhdError {
  const message = `another program changed it in this moment: expected ${expected ?? ''}, found ${found ?? ''}`;
  const remedy = 'nothing was written to it: stop what uses it, then try again';
  return new VhdError('ERR_VHD_IN_USE', message, { storage, expected, found, remedy });
}

/**
 * Carries out what a journal wrote down, or the rest of it, and makes it durable. Every sector has to be as it was before
 * or as it is to be: an image that was changed otherwise is left alone.
 * @throws VhdError `ERR_VHD_JOURNAL` if the image is not the one the journal was written for, any more
 */
export async function carryOut(storage: Storage, journal: Journal): Promise<void> {
  const { fileSizeAfter, writes } = journal;
  await checkUnchanged(storage, journal);
  for (const { offset, after } of writes) await storage.write(after, offset);
  if ((await storage.size()) !== fileSizeAfter) await storage.truncate(fileSizeAfter);
  await storage.flush();
}

/**
 * Checks that an image is, sector by sector, what it was before or what it is to be.
 * @throws VhdError `ERR_VHD_JOURNAL` if it was changed otherwise
 */
export async function checkUnchanged(storage: Storage, journal: Journal): Promise<void> {
  const { fileSize, fileSizeAfter, writes } = journal;
  const byteLength = await storage.size();
  const [smallest, largest] = [Math.min(fileSize, fileSizeAfter), Math.max(fileSize, fileSizeAfter)];
  if (byteLength < smallest || byteLength > largest) {
    throw changedError(storage, journal, `a file of ${fileSize} bytes`, `${byteLength}`);
  }
  for (const write of writes) await checkPlace(storage, journal, write, byteLength);
}

/** True if every byte of the image that a journal tells of, and its size, is what they were to become. */
export async function isDone(storage: Storage, { fileSizeAfter, writes }: Journal): Promise<boolean> {
  if ((await storage.size()) !== fileSizeAfter) return false;
  for (const { offset, after } of writes) {
    const found = new Uint8Array(after.length);
    await storage.read(found, offset);
    if (!isSame(found, after, 0, after.length)) return false;
  }
  return true;
}

/**
 * Puts the image back to what it was before, and makes that durable.
 * @throws what the system throws: then the journal has to stay; VhdError `ERR_VHD_JOURNAL` if what was cut was not kept
 */
export async function rollBack(storage: Storage, journal: Journal): Promise<void> {
  const { fileSize, writes, cut = [] } = journal;
  const byteLength = await storage.size();
  if (byteLength < fileSize && !isUndoable(journal)) {
    throw changedError(storage, journal, `a file of ${fileSize} bytes`, `${byteLength}`);
  }
  for (const { offset, before } of writes) if (before.length > 0) await storage.write(before, offset);
  if (byteLength !== fileSize) await storage.truncate(fileSize);
  for (const { offset, before } of cut) await storage.write(before, offset);
  await storage.flush();
}

/** Sector by sector, because a write that a crash cut short left some sectors new and others old. */
async function checkPlace(storage: Storage, journal: Journal, write: JournalWrite, byteLength: number): Promise<void> {
  const { offset, before, after } = write;
  const found = new Uint8Array(Math.max(0, Math.min(after.length, byteLength - offset)));
  if (found.length > 0) await storage.read(found, offset);
  let start = 0;
  while (start < found.length) {
    const sectorEnd = start + SECTOR_BYTES - ((offset + start) % SECTOR_BYTES);
    const end = Math.min(found.length, sectorEnd, start < before.length ? before.length : sectorEnd);
    const is = (bytes: Uint8Array): boolean => isSame(found, bytes, start, end);
    // What the file gained and nobody wrote yet is zeros.
    if (!is(after) && !is(before) && !(offset + start >= journal.fileSize && is(new Uint8Array(end)))) {
      throw changedError(storage, journal, 'the bytes from before or after', `others at offset ${offset + start}`);
    }
    start = end;
  }
}

function isSame(found: Uint8Array, bytes: Uint8Array, start: number, end: number): boolean {
  for (let index = start; index < end; index++) if (found[index] !== bytes[index]) return false;
  return true;
}

/** More changes than one journal holds. */
export function tooManyChanges(storage: string, found = 'a larger one'): VhdError {
  return new VhdError('ERR_VHD_LIMIT', 'there is more to be changed than one journal holds', {
    storage,
    expected: `a journal of at most ${MAX_JOURNAL_BYTES} bytes`,
    found,
    remedy: 'write a new image with -o, which needs no journal; or vhd convert',
  });
}

function changedError(storage: Storage, journal: Journal, expected: string, found: string): VhdError {
  const message = `it was changed since the ${journal.verb} was begun that its journal tells of`;
  const remedy = `get a copy from before; if it is whole as it is, rm ${shellPath(journalPath(storage.name))}`;
  return new VhdError('ERR_VHD_JOURNAL', `${message}: expected ${expected}, found ${found}`, {
    ...{ storage: storage.name, expected, found, remedy },
  });
}

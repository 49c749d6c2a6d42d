// Resizes an image in a storage, the way the command does it to a file, and hands out the journal in between.
import type { Disk } from '../../src/disk/disk.ts';
import type { Patch } from '../../src/disk/overlay.ts';
import type { Journal } from '../../src/open-journal.ts';
import { decodeJournal, encodeJournal } from '../../src/open-journal-record.ts';
import { carryOut } from '../../src/ops/journal.ts';
import { draftResized } from '../../src/ops/resize-draft.ts';
import type { Storage } from '../../src/storage/storage.ts';

/** What an image becomes. */
export interface Resizing {
  readonly size: number;
  readonly patches?: readonly Patch[];
  readonly openParent?: () => Promise<Disk | undefined>;
}

const NO_PARENT = (): Promise<undefined> => Promise.resolve(undefined);

/** The journal of a resize, read back as it is from a file. */
export async function resizeJournal(
  storage: Storage,
  { size, patches = [], openParent = NO_PARENT }: Resizing,
): Promise<Journal> {
  const fileSize = await storage.size();
  const { draft } = await draftResized({ storage, size, patches, openParent });
  const { cut, ...changes } = await draft.changes();
  const journal: Journal = {
    ...{ verb: 'resize', uuid: '10111213-1415-1617-1819-1a1b1c1d1e1f', startedAt: '2026-11-24T10:00:00Z', fileSize },
    ...changes,
    ...(cut === undefined ? { details: { undo: false } } : { cut }),
  };
  const { journal: read, problem } = decodeJournal(encodeJournal(journal));
  if (read === undefined) throw new Error(problem);
  return read;
}

/** Resizes an image. */
export async function resizeStorage(storage: Storage, resizing: Resizing): Promise<void> {
  await carryOut(storage, await resizeJournal(storage, resizing));
}

import { examine, type SoundExamination } from '../disk/recognise.ts';
import { VhdError } from '../errors.ts';
import { remedyFor } from '../format/shell.ts';
import { formatUuid } from '../format/uuid.ts';
import type { Journal } from '../open-journal.ts';
import { isUndoable, keepForUndo, performJournal, sealJournal } from './journal.ts';
import { freeBytesAt, noSpaceError } from './merge-plan.ts';
import type { WatchedImage } from './open-image.ts';
import type { DraftChanges } from './repair-draft.ts';
import type { ContentsPlan } from './resize-contents.ts';
import { draftResized } from './resize-draft.ts';
import { parentsOf } from './resize-open.ts';
import type { ResizeOptions, ResizeResult } from './resize-options.ts';

/** A change of size that is decided. */
export interface Resizing {
  readonly image: WatchedImage;
  /** What it says of itself now. */
  readonly found: SoundExamination;
  /** Virtual size in bytes afterwards. */
  readonly size: number;
  /** What becomes of what is on it. */
  readonly contents: Pick<ContentsPlan, 'patches' | 'unclaimed'>;
}

type Done = Pick<
  ResizeResult,
  'fileSize' | 'copiedBytes' | 'tableMoved' | 'freedBlocks' | 'creatorBefore' | 'canUndo' | 'warnings'
>;

/** Changes the image in memory, writes down what that changes of the file, and then does it. */
export async function changeInPlace(resizing: Resizing, options: ResizeOptions): Promise<Done> {
  const { image, found, size, contents } = resizing;
  const { patches, unclaimed } = contents;
  const { storage, shown } = image;
  const openParent = async (): Promise<ParentDisk> => (await parentsOf(image, found, options))?.parent;
  const {
    draft,
    freedBlocks,
    isTableMoved,
    creatorBefore = null,
  } = await draftResized({
    ...{ storage, size, patches, openParent, bitmap: options.bitmap },
  });
  const changes = await draft.changes();
  const journal = journalFor(resizing, changes, options.now ?? new Date());
  if (unclaimed !== undefined && !isUndoable(journal)) throw unclaimed();
  const bytes = sealJournal(shown, journal);
  await checkRoom(shown, bytesOf(journal) + bytes.length);
  options.signal?.throwIfAborted();
  if (options.dryRun !== true) {
    const finish = async (): Promise<void> => {
      await checkResult(image, size);
      await keepForUndo(image, journal);
    };
    await performJournal(image, journal, finish, bytes);
  }
  const canUndo = isUndoable(journal);
  const told = { tableMoved: isTableMoved, freedBlocks, creatorBefore, canUndo };
  const warnings = canUndo ? [] : ['what is cut off is more than is kept: it cannot be taken back'];
  const copiedBytes = bytesOf(journal);
  return { fileSize: changes.fileSizeAfter, copiedBytes, ...told, warnings };
}

type ParentDisk = NonNullable<Awaited<ReturnType<typeof parentsOf>>>['parent'] | undefined;

function bytesOf({ writes }: Pick<Journal, 'writes'>): number {
  return writes.reduce((sum, { after }) => sum + after.length, 0);
}

function journalFor({ found, size }: Resizing, { fileSizeAfter, writes, cut }: DraftChanges, now: Date): Journal {
  const sizes = { sizeBefore: found.virtualSize, sizeAfter: size };
  return {
    ...{ verb: 'resize', uuid: formatUuid(found.footer.uniqueId), startedAt: now.toISOString() },
    ...{ fileSize: found.fileSize, fileSizeAfter, writes },
    ...(cut === undefined ? { details: { ...sizes, undo: false } } : { cut, details: sizes }),
  };
}

async function checkRoom(path: string, neededBytes: number): Promise<void> {
  const freeBytes = await freeBytesAt(path);
  if (freeBytes !== undefined && freeBytes < neededBytes) throw noSpaceError(path, neededBytes, freeBytes);
}

async function checkResult({ storage, shown }: WatchedImage, size: number): Promise<void> {
  const { refusal, virtualSize } = await examine(storage);
  if (refusal === undefined && virtualSize === size) return;
  throw new VhdError('ERR_VHD_SOURCE_CHANGED', 'it is not what was written: another program changes it too', {
    storage: shown,
    expected: `an image of ${size} bytes`,
    found: refusal?.message ?? `one of ${virtualSize ?? 0} bytes`,
    remedy: `keep other programs from it; ${remedyFor('vhd undo FILE', shown)} takes the resize back`,
  });
}

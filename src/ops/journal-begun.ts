import { examine } from '../disk/recognise.ts';
import { formatUuid } from '../format/uuid.ts';
import { checkJournalOf, type Journal, type JournalVerb, pendingError, readJournal } from '../open-journal.ts';
import { carryOut, keepForUndo, removeJournal } from './journal.ts';
import type { OpenImage } from './open-image.ts';

/** How a verb deals with what it began. */
export interface FinishBegun {
  /** False for a call that leaves the image as it is: what is pending is refused then. */
  readonly mayFinish: boolean;
  /** Throws on a journal that the verb cannot have written. */
  readonly check?: (journal: Journal, shown: string) => void;
  /** What becomes of the journal when all is done: kept for `undo`, or removed. */
  readonly journal: 'kept' | 'removed';
}

/**
 * Finishes what an earlier call of a verb began on an image and was killed at. Examine the image after it: that is not
 * what it was before.
 * @returns the journal that was carried out; undefined if nothing was pending
 * @throws VhdError `ERR_VHD_JOURNAL` on one of another verb, of another image, or if the image was changed otherwise since
 */
export async function finishBegun(
  { storage, path, shown }: OpenImage,
  verb: JournalVerb,
  { mayFinish, check, journal: afterwards }: FinishBegun,
): Promise<Journal | undefined> {
  const journal = await readJournal(path);
  if (journal === undefined) return undefined;
  const { footer } = await examine(storage);
  checkJournalOf(shown, journal, footer && formatUuid(footer.uniqueId));
  if (journal.verb !== verb || !mayFinish) throw pendingError(shown, journal);
  check?.(journal, shown);
  await carryOut(storage, journal);
  if (afterwards === 'kept') await keepForUndo({ storage, path }, journal);
  else await removeJournal(path);
  return journal;
}

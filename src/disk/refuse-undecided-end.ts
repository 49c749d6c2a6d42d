import { VhdError } from '../errors.ts';
import { remedyFor } from '../format/shell.ts';
import type { Storage } from '../storage/storage.ts';
import { findBlocks } from './open-blocks.ts';
import type { SoundExamination } from './recognise.ts';
import { doubtAboutEnd, type UsedSpace } from './undecided-end.ts';

/**
 * Refuses to cut, move or overwrite what may be the data of another disk, since the image has lost its end.
 * @param shown the path as it was given
 * @param found how far the file is used, where that was found out already
 * @throws VhdError `ERR_VHD_FOOTERS_DISAGREE`
 */
export async function refuseUndecidedEnd(
  storage: Storage,
  image: SoundExamination,
  shown: string,
  found?: UsedSpace,
): Promise<void> {
  // The table is loaded only where the end is lost.
  if (image.endFooterOffset !== undefined || image.header === undefined) return;
  const used = found ?? (await findBlocks(storage, image));
  if ((await doubtAboutEnd(storage, image, used)) === undefined) return;
  const message =
    'its footer at the end is lost, and behind its blocks are bytes that nothing refers to: blocks that were written before a loss of power, or the other data of a fixed disk whose guest keeps a VHD at its start';
  throw new VhdError('ERR_VHD_FOOTERS_DISAGREE', message, {
    ...{ storage: shown, rule: 'footer.end-missing', offset: used.usedEnd },
    ...{ expected: 'nothing but zeros and a footer behind the blocks', found: 'other bytes' },
    remedy: `${remedyFor('vhd repair FILE --footer start', shown)}   (if what stands at offset 0 is right)`,
  });
}

import { VhdError } from '../errors.ts';
import { hex } from '../format/bytes.ts';
import { shellPath } from '../format/shell.ts';
import type { PlacedBytes, Storage } from '../storage/storage.ts';
import { batmapChecksums, clearedBatmap, readBatmap } from './batmap.ts';
import type { SoundExamination } from './recognise.ts';

/** Says 1 if the blocks are encrypted (libvhd, `vhd_batmap_header`: the first byte of its `keyhash`). */
const ENCRYPTED_FIELD = 29;

/**
 * The batmap (blktap) with the bits of dropped blocks cleared, and the sector that tells its checksum: its bits say that a
 * block is whole, which would be wrong of one that blktap puts there anew. Empty if there is none, or nothing to clear.
 * @throws VhdError `ERR_VHD_UNSUPPORTED` if it is damaged, or the image is encrypted
 */
export async function batmapWithout(
  storage: Storage,
  { header, endFooterOffset, fileSize }: SoundExamination,
  dropped: Iterable<number>,
): Promise<PlacedBytes[]> {
  if (header === undefined) return [];
  const batmap = await readBatmap(storage, header, endFooterOffset ?? fileSize);
  if (batmap === undefined) return [];
  const { name } = storage;
  const { offset, mapOffset, byteLength, isPlaced, head } = batmap;
  if (head[ENCRYPTED_FIELD] === 1) throw refused(name, offset, 'blktap has encrypted it, so that zeros in it are none');
  if (!isPlaced) throw damaged(name, offset, `${byteLength} bytes at ${mapOffset}`);
  const { stored, computed } = batmapChecksums(batmap);
  if (stored !== computed) throw damaged(name, offset, `checksum ${hex(stored)}`);
  return clearedBatmap(batmap, dropped);
}

function damaged(name: string, offset: number, found: string): VhdError {
  return refused(name, offset, `its batmap (blktap) is damaged: found ${found}`);
}

function refused(storage: string, offset: number, why: string): VhdError {
  return new VhdError('ERR_VHD_UNSUPPORTED', `it cannot be compacted: ${why}`, {
    ...{ storage, offset },
    remedy: `vhd convert ${shellPath(storage)} NEW.vhd`,
  });
}

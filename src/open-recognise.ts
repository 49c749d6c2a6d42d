import { basename, extname } from 'node:path';
import type { Examination } from './disk/recognise.ts';
import { VhdError } from './errors.ts';
import { detectForeign, MAGIC_BYTES } from './format/magic.ts';
import { remedyFor } from './format/shell.ts';
import type { Storage } from './storage/storage.ts';

/** Endings of names that promise a raw image. */
export const RAW_NAMES: readonly string[] = ['.raw', '.img'];
/** Endings of names that promise a VHD. */
export const VHD_NAMES: readonly string[] = ['.vhd', '.avhd', '.vpc'];

/** Endings of names that links of a chain have. */
const LINK_NAMES: readonly string[] = [...VHD_NAMES, '.vud'];

/** True if a file is named like an image that can be a link of a chain. */
export function isNamedLikeLink(path: string): boolean {
  return LINK_NAMES.includes(extname(path).toLowerCase());
}

/** Tells raw from VHD by content, and refuses what is neither or could be both. */
export async function recognise(storage: Storage, examination: Examination): Promise<'raw' | 'vhd'> {
  const extension = extname(basename(storage.name)).toLowerCase();
  const isVhd = examination.footer !== undefined || looksDamaged(examination);
  const says = 'say --from raw or --from vhd';
  if (isVhd && RAW_NAMES.includes(extension)) {
    throw new VhdError('ERR_VHD_AMBIGUOUS', `it is named ${extension} but has the footer of a VHD`, {
      storage: storage.name,
      expected: 'no footer in a raw image',
      found: 'a footer',
      remedy: says,
    });
  }
  if (isVhd) return 'vhd';
  await refuseForeign(storage, examination.fileSize);
  if (VHD_NAMES.includes(extension) && examination.fileSize > 0) {
    throw new VhdError(
      'ERR_VHD_AMBIGUOUS',
      `it is named ${extension} but has no footer: expected 'conectix' at its end or start, found other bytes`,
      {
        storage: storage.name,
        expected: "'conectix' at its end or start",
        found: 'other bytes',
        remedy: `if it is a raw disk, say --from raw`,
      },
    );
  }
  return 'raw';
}

/** True if no footer is valid but a cookie stands where one belongs: a damaged VHD, not a raw disk. */
function looksDamaged(examination: Examination): boolean {
  return examination.refusal !== undefined && examination.refusal.code !== 'ERR_VHD_NOT_VHD';
}

async function refuseForeign(storage: Storage, fileSize: number): Promise<void> {
  const head = new Uint8Array(Math.min(MAGIC_BYTES, fileSize));
  await storage.read(head, 0);
  checkNotForeign(head, storage.name);
}

/**
 * Refuses the first bytes of a format that is not a disk image this library takes.
 * @throws VhdError `ERR_VHD_FOREIGN_FORMAT`, with the command that converts it as remedy
 */
export function checkNotForeign(head: Uint8Array, name: string): void {
  const foreign = detectForeign(head);
  if (foreign === undefined) return;
  throw new VhdError('ERR_VHD_FOREIGN_FORMAT', `this is a ${foreign.title} file: expected a VHD or a raw disk`, {
    storage: name,
    offset: 0,
    expected: 'a VHD or a raw disk',
    found: foreign.title,
    remedy: `${remedyFor(foreign.remedy, name)}   (--from raw takes its bytes as they are)`,
  });
}

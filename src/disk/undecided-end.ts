import { readLatin1 } from '../format/bytes.ts';
import { decodeFooter, type Footer, withCookie } from '../format/footer.ts';
import { type BlockLayout, footerOffsetFor } from '../format/layout.ts';
import { FOOTER_BYTES, FOOTER_COOKIE } from '../format/spec.ts';
import { isAllZeros } from '../format/zeros.ts';
import type { Storage } from '../storage/storage.ts';
import type { Examination } from './recognise.ts';
import { isZeroBetween } from './zero-between.ts';

/** Why the copy at offset 0 may not be the footer of its file: bytes behind all blocks, or something else in its place. */
export type EndDoubt = 'data-behind' | 'data-instead';

/** How far a file is used. */
export interface UsedSpace {
  /** How its blocks lie. */
  readonly layout: BlockLayout;
  /** Byte offset behind headers and blocks. */
  readonly usedEnd: number;
}

/**
 * Whether an image that has lost its footer at the end may be none, but what the guest of a fixed disk keeps at the start:
 * then what is behind its blocks are the other data of that disk. A loss of power leaves the same, when blocks were written
 * that the table does not name yet. Undefined if nothing speaks for that, or the end is there.
 */
export async function doubtAboutEnd(
  storage: Storage,
  { footer, endFooterOffset }: Pick<Examination, 'footer' | 'endFooterOffset'>,
  { layout, usedEnd }: UsedSpace,
): Promise<EndDoubt | undefined> {
  if (endFooterOffset !== undefined || footer === undefined) return undefined;
  const size = await storage.size();
  const usual = footerOffsetFor(layout, usedEnd);
  // Where the footer was: where it belongs, if the file ends within it, and else at the end.
  const place = Math.max(usedEnd, usual > size - FOOTER_BYTES ? Math.min(usual, size) : size - FOOTER_BYTES);
  if (!(await isZeroBetween(storage, usedEnd, Math.min(place, size)))) return 'data-behind';
  if (place >= size) return undefined;
  if ((await isRemainOf(storage, place, footer)) || (await isLikeFooter(storage, place))) return undefined;
  return place === usual ? 'data-instead' : 'data-behind';
}

/** True for a footer of the same image, or something that was one: what is left of it, or zeros. */
export async function isRemainOf(storage: Storage, offset: number, footer: Footer): Promise<boolean> {
  const bytes = await readToEnd(storage, offset);
  return isAllZeros(bytes) || (bytes.length === FOOTER_BYTES && isOfImage(decodeFooter(bytes, offset).value, footer));
}

/** True for what has the cookie of a footer, all but that, or the beginning of it; and for what blktap writes over one. */
async function isLikeFooter(storage: Storage, offset: number): Promise<boolean> {
  const bytes = await readToEnd(storage, offset);
  if (bytes.length < FOOTER_BYTES) return startsLikeFooter(bytes);
  const { findings } = decodeFooter(bytes, offset);
  return findings.every(({ rule }) => rule !== 'footer.cookie') || withCookie(bytes) !== undefined;
}

/** The bytes from an offset to the end of the file, those of a footer at most. */
async function readToEnd(storage: Storage, offset: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(Math.min(FOOTER_BYTES, Math.max(0, (await storage.size()) - offset)));
  await storage.read(bytes, offset);
  return bytes;
}

function startsLikeFooter(bytes: Uint8Array): boolean {
  const cookie = readLatin1(bytes, 0, Math.min(FOOTER_COOKIE.length, bytes.length));
  return FOOTER_COOKIE.startsWith(cookie);
}

/** True for a footer with the same identifier and type. */
function isOfImage({ uniqueId, diskType }: Footer, footer: Footer): boolean {
  return diskType === footer.diskType && uniqueId.every((byte, index) => byte === footer.uniqueId[index]);
}

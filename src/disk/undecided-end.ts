import { type Footer, withCookie } from '../format/footer.ts';
import { type BlockLayout, footerOffsetFor } from '../format/layout.ts';
import { FOOTER_BYTES } from '../format/spec.ts';
import type { Storage } from '../storage/storage.ts';
import { type Examination, readFooter } from './recognise.ts';
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
  const last = (await storage.size()) - FOOTER_BYTES;
  if (!(await isZeroBetween(storage, usedEnd, last))) return 'data-behind';
  if (last !== footerOffsetFor(layout, usedEnd) || (await isRemainOf(storage, last, footer))) return undefined;
  const { bytes, decoded } = await readFooter(storage, last, FOOTER_BYTES);
  const isNone = decoded.findings.some(({ rule }) => rule === 'footer.cookie') && withCookie(bytes) === undefined;
  return isNone ? 'data-instead' : undefined;
}

/** True for a footer of the same image, or something that was one: what is left of it, or what blktap wrote over it. */
export async function isRemainOf(storage: Storage, offset: number, footer: Footer): Promise<boolean> {
  const { bytes, decoded } = await readFooter(storage, offset, FOOTER_BYTES);
  return isOfImage(decoded.value, footer) || (await isZeroBetween(storage, offset, offset + bytes.length));
}

/** True for a footer with the same identifier and type. */
export function isOfImage({ uniqueId, diskType }: Footer, footer: Footer): boolean {
  return diskType === footer.diskType && uniqueId.every((byte, index) => byte === footer.uniqueId[index]);
}

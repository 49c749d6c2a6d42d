import { hexUint64, readUint64, viewOf } from '../format/bytes.ts';
import { encodeFooter, type Footer, withCookie } from '../format/footer.ts';
import { cookiesIn } from '../format/footer-search.ts';
import { finding } from '../format/rules.ts';
import { remedyFor, shellPath } from '../format/shell.ts';
import { DISK_TYPE, FOOTER_BYTES, SECTOR_BYTES, vhdTypeOf } from '../format/spec.ts';
import { isAllOnes, isAllZeros } from '../format/zeros.ts';
import type { Storage } from '../storage/storage.ts';
import type { ChosenFooter } from './footer-choice.ts';

/** As far before the end of the file as `id` and `check` look for a footer that other bytes follow. */
const SEARCH_BYTES = 1024 * 1024;

const NO_DATA_OFFSET = '0xffffffffffffffff';
const [DATA_OFFSET_FIELD, CURRENT_SIZE_FIELD, DISK_TYPE_FIELD] = [16, 48, 60];
interface TellingField {
  readonly offset: number;
  readonly byteLength: number;
  /** True for what such a field can say. */
  readonly canBe: (view: DataView) => boolean;
}

/** Data offset, disk type and identifier: what of a footer tells of which image it is. */
const TELLING_FIELDS: readonly TellingField[] = [
  { offset: DATA_OFFSET_FIELD, byteLength: 8, canBe: isDataOffset },
  { offset: DISK_TYPE_FIELD, byteLength: 4, canBe: (view) => vhdTypeOf(view.getUint32(0)) !== undefined },
  { offset: 68, byteLength: 16, canBe: (view) => !isBlank(view) },
];

function isDataOffset(view: DataView): boolean {
  const offset = readUint64(view, 0);
  return hexUint64(view, 0) === NO_DATA_OFFSET || (offset !== undefined && offset > 0 && offset % SECTOR_BYTES === 0);
}

/** True for zeros, and for ones. */
function isBlank(view: DataView): boolean {
  const bytes = new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
  return isAllZeros(bytes) || isAllOnes(bytes);
}

/**
 * The choice of the copy at offset 0, unless what is left of a footer near the end of the file says that this is another disk:
 * then what stands at offset 0 is the guest's, who keeps a VHD there. A fixed disk is as long as what is before its footer,
 * which no footer within a block of a dynamic disk can tell of its place; that counts also where the footer is damaged, or
 * other bytes follow it. One in which the file ends counts as well if most of what it tells of its image is otherwise, and could be.
 */
export async function withoutContradiction(
  chosen: ChosenFooter & { readonly footer: Footer },
  storage: Storage,
  fileSize: number,
): Promise<ChosenFooter> {
  const found = await footerNearEnd(storage, fileSize, encodeFooter(chosen.footer));
  if (found === undefined) return chosen;
  const contradiction = finding('footer.copy-contradicts', {
    offset: found.offset,
    message: 'what is left of the footer of another disk than the copy at offset 0 tells of stands',
    expected: `one of a disk of type ${chosen.footer.diskType}, as the copy`,
    found: found.isFixed ? 'one of a fixed disk' : 'one of another',
  });
  const whole = `if it is a fixed disk, all of it is: head -c ${found.offset} ${shellPath(storage.name)} > DISK.raw; `;
  const remedy = `${found.isFixed ? whole : ''}if what stands at offset 0 is right, say --footer start, or ${remedyFor('vhd repair FILE --footer start', storage.name)}`;
  return { ...chosen, findings: [...chosen.findings, contradiction], remedy };
}

interface FoundFooter {
  readonly offset: number;
  readonly isFixed: boolean;
}

async function footerNearEnd(storage: Storage, fileSize: number, copy: Uint8Array): Promise<FoundFooter | undefined> {
  const start = Math.max(FOOTER_BYTES, fileSize - SEARCH_BYTES - FOOTER_BYTES);
  const bytes = new Uint8Array(Math.max(0, fileSize - start));
  await storage.read(bytes, start);
  const last = bytes.length - FOOTER_BYTES;
  // At the very end a damaged one may have lost its cookie.
  if (last >= 0) {
    const end = bytes.subarray(last);
    const isOther = endsDisk(bytes, last, start + last) || (withCookie(end) !== undefined && isOfOther(end, copy));
    if (isOther) return told(bytes, last, start);
  }
  for (const at of cookiesIn(bytes, bytes.length)) {
    const isOther = endsDisk(bytes, at, start + at) || (at >= last && isOfOther(bytes.subarray(at), copy));
    if (isOther) return told(bytes, at, start);
  }
  return undefined;
}

function told(bytes: Uint8Array, at: number, start: number): FoundFooter {
  return { offset: start + at, isFixed: isFixed(bytes, at) };
}

/** True where the bytes say: a fixed disk, and it ends here. */
function endsDisk(bytes: Uint8Array, at: number, offset: number): boolean {
  if (at + CURRENT_SIZE_FIELD + 8 > bytes.length || !isFixed(bytes, at)) return false;
  const view = viewOf(bytes);
  const [high, low] = [view.getUint32(at + CURRENT_SIZE_FIELD), view.getUint32(at + CURRENT_SIZE_FIELD + 4)];
  return high * 0x1_0000_0000 + low === offset;
}

/** By its type, or by its data offset where that is cut off. */
function isFixed(bytes: Uint8Array, at: number): boolean {
  const view = viewOf(bytes);
  if (at + DISK_TYPE_FIELD + 4 <= bytes.length) return view.getUint32(at + DISK_TYPE_FIELD) === DISK_TYPE.fixed;
  return at + DATA_OFFSET_FIELD + 8 <= bytes.length && hexUint64(view, at + DATA_OFFSET_FIELD) === NO_DATA_OFFSET;
}

/**
 * True if most of the telling fields that are there say something else that a footer can say: one may be damaged, and what is
 * zeros or anything from some byte on tells nothing.
 */
function isOfOther(bytes: Uint8Array, copy: Uint8Array): boolean {
  const there = TELLING_FIELDS.filter(({ offset, byteLength }) => offset + byteLength <= bytes.length);
  const other = there.filter(({ offset, byteLength, canBe }) => {
    const [found, own] = [bytes, copy].map((each) => each.subarray(offset, offset + byteLength));
    return found?.some((byte, index) => byte !== own?.[index]) === true && canBe(viewOf(found));
  });
  return 2 * other.length > there.length;
}

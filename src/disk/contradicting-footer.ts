import { decodeFooter, type Footer, isFooter } from '../format/footer.ts';
import { finding } from '../format/rules.ts';
import { shellPath } from '../format/shell.ts';
import { DISK_TYPE, FOOTER_BYTES, FOOTER_COOKIE } from '../format/spec.ts';
import type { Storage } from '../storage/storage.ts';
import type { ChosenFooter } from './footer-choice.ts';

/** As far before the end of the file as `id` and `check` look for a footer that other bytes follow. */
const SEARCH_BYTES = 1024 * 1024;
const COOKIE = new TextEncoder().encode(FOOTER_COOKIE);

/**
 * The choice of the copy at offset 0, unless near the end of the file a footer says that this is a fixed disk: then what stands
 * at offset 0 is the guest's, who keeps a VHD there. A damaged footer says so too, or one that other bytes follow: a fixed disk
 * is as long as what is before its footer, which no footer within a block of a dynamic disk can tell of its place.
 */
export async function withoutContradiction(
  chosen: ChosenFooter & { readonly footer: Footer },
  storage: Storage,
  fileSize: number,
): Promise<ChosenFooter> {
  const found = await fixedFooterNearEnd(storage, fileSize);
  if (found === undefined) return chosen;
  const { offset, isDamaged } = found;
  const contradiction = finding('footer.copy-contradicts', {
    offset: 0,
    expected: `a fixed disk, as the ${isDamaged ? 'damaged ' : ''}footer at offset ${offset} says`,
    found: `the footer of a disk of type ${chosen.footer.diskType}`,
  });
  const remedy = `if it is a fixed disk, all of it is: head -c ${offset} ${shellPath(storage.name)} > DISK.raw; if what stands at offset 0 is right, say --footer start`;
  return { ...chosen, findings: [...chosen.findings, contradiction], remedy };
}

interface FoundFooter {
  readonly offset: number;
  readonly isDamaged: boolean;
}

async function fixedFooterNearEnd(storage: Storage, fileSize: number): Promise<FoundFooter | undefined> {
  const start = Math.max(FOOTER_BYTES, fileSize - SEARCH_BYTES - FOOTER_BYTES);
  const bytes = new Uint8Array(Math.max(0, fileSize - start));
  await storage.read(bytes, start);
  const last = bytes.length - FOOTER_BYTES;
  // At the very end a damaged one may have lost its cookie.
  for (let at = last; at >= 0; at = placeBefore(bytes, at)) {
    const decoded = decodeFooter(bytes.subarray(at, at + FOOTER_BYTES), start + at);
    const { diskType, currentSize } = decoded.value;
    const isOfPlace = diskType === DISK_TYPE.fixed && currentSize === start + at;
    if (isOfPlace) return { offset: start + at, isDamaged: !isFooter(decoded) };
  }
  return undefined;
}

/** The last place before another where the cookie of a footer stands; -1 if there is none. */
function placeBefore(bytes: Uint8Array, end: number): number {
  const [first = 0] = COOKIE;
  const isCookie = (at: number): boolean => COOKIE.every((byte, index) => bytes[at + index] === byte);
  let at = end;
  do at = at === 0 ? -1 : bytes.lastIndexOf(first, at - 1);
  while (at !== -1 && !isCookie(at));
  return at;
}

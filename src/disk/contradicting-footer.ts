import { type Footer, isFooter } from '../format/footer.ts';
import { type Finding, finding } from '../format/rules.ts';
import { shellPath } from '../format/shell.ts';
import { DISK_TYPE, FOOTER_BYTES, FOOTER_COOKIE } from '../format/spec.ts';
import type { Storage } from '../storage/storage.ts';
import { type ChosenFooter, contradictionOf, type FooterReading } from './footer-choice.ts';

/** As far before the end of the file as `id` and `check` look for a footer that other bytes follow. */
const SEARCH_BYTES = 1024 * 1024;
const COOKIE = new TextEncoder().encode(FOOTER_COOKIE);

/** Reads what stands where a footer belongs. */
type ReadFooter = (storage: Storage, offset: number, byteLength: number) => Promise<FooterReading>;

/**
 * The choice of the copy at offset 0, unless near the end of the file a footer says that this is a fixed disk: then what stands
 * at offset 0 is the guest's, who keeps a VHD there. A damaged footer says so too, or one that other bytes follow: a fixed disk
 * is as long as what is before its footer, which no footer within a block of a dynamic disk can tell of its place.
 */
export async function withoutContradiction(
  chosen: ChosenFooter & { readonly footer: Footer },
  storage: Storage,
  fileSize: number,
  readFooter: ReadFooter,
): Promise<ChosenFooter> {
  const found = await fixedFooterNearEnd(storage, fileSize, readFooter);
  if (found === undefined) return chosen;
  const { expected, found: told } = contradictionOf(found.decoded.value, chosen.footer) ?? {};
  const contradiction: Finding = finding('footer.copy-contradicts', {
    offset: 0,
    expected: `${expected ?? 'the same'}, as the footer at offset ${found.offset} says${isFooter(found.decoded) ? '' : ', which is damaged'}`,
    found: told,
  });
  const name = shellPath(storage.name);
  const remedy = `if it is a fixed disk, all of it is: head -c ${found.offset} ${name} > DISK.raw; if what stands at offset 0 is right, say --footer start`;
  return { ...chosen, findings: [...chosen.findings, contradiction], remedy };
}

async function fixedFooterNearEnd(
  storage: Storage,
  fileSize: number,
  readFooter: ReadFooter,
): Promise<FooterReading | undefined> {
  const start = Math.max(FOOTER_BYTES, fileSize - SEARCH_BYTES - FOOTER_BYTES);
  const bytes = new Uint8Array(Math.max(0, fileSize - start));
  await storage.read(bytes, start);
  // At the very end a damaged one may have lost its cookie.
  for (const offset of [fileSize - FOOTER_BYTES, ...cookiesIn(bytes).map((at) => start + at)]) {
    if (offset < FOOTER_BYTES || offset + FOOTER_BYTES > fileSize) continue;
    const reading = await readFooter(storage, offset, FOOTER_BYTES);
    const { diskType, currentSize } = reading.decoded.value;
    if (diskType === DISK_TYPE.fixed && currentSize === offset) return reading;
  }
  return undefined;
}

/** Where cookies of footers stand, the last first. */
function cookiesIn(bytes: Uint8Array): number[] {
  const places: number[] = [];
  const [first = 0] = COOKIE;
  for (let at = bytes.lastIndexOf(first); at !== -1; at = at === 0 ? -1 : bytes.lastIndexOf(first, at - 1)) {
    if (COOKIE.every((byte, index) => bytes[at + index] === byte)) places.push(at);
  }
  return places;
}

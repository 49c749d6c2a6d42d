import { viewOf } from '../format/bytes.ts';
import { checksumOf } from '../format/checksum.ts';
import { decodeFooter, type Footer, isFooter } from '../format/footer.ts';
import { cookiesIn } from '../format/footer-search.ts';
import { DISK_TYPE, FOOTER_BYTES, SECTOR_BYTES, vhdTypeOf } from '../format/spec.ts';
import type { ReadableDisk } from './partition-table.ts';

/** A footer that stands elsewhere than at the end of its file. */
export interface DisplacedFooter {
  /** What it says. */
  readonly footer: Footer;
  /** Byte offset in the file. */
  readonly offset: number;
  /** Bytes that follow it, which do not belong to the image; negative: so many of its own are missing. */
  readonly excessBytes: number;
}

/** How far back from the end of a file a footer is looked for, where nothing else is asked for; bytes. */
export const DEFAULT_SEARCH_BYTES = 1024 * 1024;

/** Bytes of a footer that mean something; what follows is zero, so that a footer cut there can still be checked. */
const MEANING_BYTES = 85;
const CHECKSUM_OFFSET = 64;
const PIECE_BYTES = 256 * 1024;
/** A file that holds more cookies than this is made to waste time. */
const MAX_CANDIDATES = 4096;

/**
 * Looks for a footer from the end of a file backwards, on every byte: bytes may have been appended, or the last ones of
 * the footer cut. It must have its checksum and a known type, and a fixed one must stand where its own disk ends.
 * Whether a dynamic one belongs to the file is for `accepts` to say. Rejects only if reading does.
 * @param searchBytes how far to look back
 * @returns the last one in the file; undefined if there is none
 */
export async function findDisplacedFooter(
  file: ReadableDisk,
  searchBytes: number,
  accepts: (footer: Footer) => boolean,
): Promise<DisplacedFooter | undefined> {
  let candidates = 0;
  const lowest = Math.max(0, file.size - searchBytes);
  for (let end = file.size; end > lowest; end -= PIECE_BYTES) {
    const start = Math.max(lowest, end - PIECE_BYTES);
    // A footer that begins in this piece may reach into the one behind it.
    const bytes = new Uint8Array(Math.min(end + FOOTER_BYTES, file.size) - start);
    await file.read(bytes, start);
    for (const index of cookiesIn(bytes, end - start)) {
      candidates += 1;
      if (candidates > MAX_CANDIDATES) return undefined;
      const found = footerAt(bytes, index, start, file.size);
      if (found !== undefined && accepts(found.footer)) return found;
    }
  }
  return undefined;
}

/** The footer at one offset, checked in the same way; undefined if there is none. */
export async function readDisplacedFooter(file: ReadableDisk, offset: number): Promise<DisplacedFooter | undefined> {
  if (offset < 0 || offset + MEANING_BYTES > file.size) return undefined;
  const bytes = new Uint8Array(Math.min(FOOTER_BYTES, file.size - offset));
  await file.read(bytes, offset);
  return footerAt(bytes, 0, offset, file.size);
}

function footerAt(bytes: Uint8Array, index: number, start: number, fileSize: number): DisplacedFooter | undefined {
  const available = bytes.subarray(index, index + FOOTER_BYTES);
  if (available.length < MEANING_BYTES) return undefined;
  const whole = new Uint8Array(FOOTER_BYTES);
  whole.set(available);
  // Cheaper than decoding, which is for what passes.
  const hasChecksum = viewOf(whole).getUint32(CHECKSUM_OFFSET) === checksumOf(whole, CHECKSUM_OFFSET);
  if (!hasChecksum) return undefined;
  const offset = start + index;
  const { value: footer, findings } = decodeFooter(whole, offset);
  if (!isFooter({ value: footer, findings }) || vhdTypeOf(footer.diskType) === undefined) return undefined;
  const isSized = footer.currentSize > 0 && footer.currentSize % SECTOR_BYTES === 0;
  const isInPlace = footer.diskType !== DISK_TYPE.fixed || footer.currentSize === offset;
  if (!isSized || !isInPlace) return undefined;
  return { footer, offset, excessBytes: fileSize - offset - FOOTER_BYTES };
}

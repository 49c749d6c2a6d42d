import type { Examination } from '../disk/recognise.ts';
import { formatBytes } from '../format/byte-count.ts';
import { type Finding, finding } from '../format/rules.ts';
import { FOOTER_BYTES } from '../format/spec.ts';
import { readEnds } from '../inspect/containers.ts';
import { DEFAULT_SEARCH_BYTES } from '../inspect/displaced-footer.ts';
import { borrowed } from '../storage/borrowed.ts';
import { PaddedStorage } from '../storage/padded.ts';
import type { Storage } from '../storage/storage.ts';
import { identifyDisplaced } from './identify-displaced.ts';
import { endsInFooter } from './identify-vhd.ts';

/** An image whose footer is not at the end of its file. */
export interface DisplacedImage {
  /** The file up to the end of that footer. */
  readonly storage: Storage;
  /** What is to be said of it. */
  readonly finding: Finding;
}

/**
 * Looks for the footer of an image where there is none at the end of its file: bytes were appended, or the last ones cut.
 * Undefined if the footer is where it belongs, or is nowhere.
 */
export async function findDisplacedImage(
  storage: Storage,
  { footer, endFooterOffset, fileSize }: Examination,
): Promise<DisplacedImage | undefined> {
  if (endFooterOffset !== undefined || fileSize === 0) return undefined;
  const file = { size: fileSize, read: (target: Uint8Array, position: number) => storage.read(target, position) };
  const ends = await readEnds(file);
  if (endsInFooter(ends)) return undefined;
  const found = await identifyDisplaced({ storage, file, ends, searchBytes: DEFAULT_SEARCH_BYTES }, footer);
  const { footerOffset: offset, excessBytes } = { footerOffset: null, excessBytes: null, ...found };
  if (offset === null || excessBytes === null) return undefined;
  const end = offset + FOOTER_BYTES;
  return {
    storage: new PaddedStorage(borrowed(storage), Math.min(fileSize, end), end),
    finding: finding('footer.displaced', {
      offset,
      expected: 'a footer that ends with the file',
      found:
        excessBytes > 0
          ? `${formatBytes(excessBytes)} behind it`
          : `a footer without its last ${formatBytes(-excessBytes)}`,
      // The copy at offset 0 is what other programs, and this one, go by.
      severity: footer === undefined ? 'error' : 'warning',
    }),
  };
}

import { hex } from './bytes.ts';
import type { Footer } from './footer.ts';
import { entryCountFor } from './layout.ts';
import type { ReaderFacts, ReaderMatch, ReaderRule } from './reader-facts.ts';
import { CONVERT, hasBytesUnderClearBits, lacksParent } from './readers-common.ts';
import { FOOTER_BYTES } from './spec.ts';

/** Where the virtual size stands in a footer. */
const SIZE_OFFSET = 48;

/** What 7-Zip refuses or misreads. Tried on 26.02. */
export const SEVEN_ZIP_RULES = {
  'for.7zip.footer': {
    severity: 'error',
    message: '7-Zip does not find two equal, sound footers',
    means: 'the image is refused',
    mend: CONVERT,
    when: lacksFooters,
  },
  'for.7zip.end': {
    severity: 'warning',
    message: '7-Zip complains that the footer is not at the end of the file',
    means: 'it says "unexpected end" or "data after the end", and extracts all of the disk',
    mend: CONVERT,
    when: (facts) => endOf(facts) === 'complaint',
  },
  'for.7zip.reserved': {
    severity: 'error',
    message: '7-Zip wants all reserved bytes to be zero',
    means: 'the image is refused',
    mend: CONVERT,
    when: (facts) =>
      footerRead(facts).reserved.some((byte) => byte !== 0) ||
      ['header.reserved', 'locator.reserved'].some((id) => facts.broken.has(id)),
  },
  'for.7zip.features': {
    severity: 'error',
    message: '7-Zip takes no footer that has feature bits from 16 up',
    means: 'the image is refused',
    mend: CONVERT,
    when: (facts) => {
      const { features } = footerRead(facts);
      // It holds them for a part of the cookie.
      return features > 0xffff && { expected: 'two bytes of zero behind the cookie', found: hex(features) };
    },
  },
  'for.7zip.size': {
    severity: 'error',
    message: '7-Zip takes the size of the disk from the copy of the footer at offset 0',
    means: 'it shows a disk of another size',
    mend: CONVERT,
    when: (facts) => {
      const { virtualSize } = facts;
      const { currentSize } = footerRead(facts);
      const isRefused = lacksEntries(facts) !== false;
      return (
        currentSize !== virtualSize &&
        !isRefused && { offset: SIZE_OFFSET, expected: `${virtualSize} bytes`, found: String(currentSize) }
      );
    },
  },
  'for.7zip.entries': {
    severity: 'error',
    message: '7-Zip wants the table to have exactly as many entries as the size needs',
    means: 'the image is refused',
    mend: CONVERT,
    when: lacksEntries,
  },
  'for.7zip.fixed-long': {
    severity: 'error',
    message: '7-Zip takes the bytes right before the footer for the disk',
    means: 'in a fixed image with room between disk and footer it begins in the wrong place',
    mend: CONVERT,
    when: ({ type, footerOffset, virtualSize }) =>
      type === 'fixed' &&
      footerOffset !== undefined &&
      footerOffset > virtualSize && { expected: `a footer at ${virtualSize}`, found: `one at ${footerOffset}` },
  },
  'for.7zip.bitmap': {
    severity: 'error',
    message: '7-Zip reports damaged data where bytes stand in sectors that are marked as never written',
    means: 'what it extracts is not complete',
    mend: 'vhd convert FILE NEW --bitmap honour',
    when: hasBytesUnderClearBits,
  },
  'for.7zip.parent': {
    severity: 'error',
    message: '7-Zip does not find a parent that fits',
    means:
      'nothing is extracted: it wants a VHD, no smaller, in the directory of the child under the relative name or that of the header',
    mend: CONVERT,
    when: lacksParentBeside,
  },
} as const satisfies Record<string, ReaderRule>;

/** The footer that it goes by: of an image with blocks the copy at offset 0. Where that is none, the image is refused anyway. */
function footerRead({ type, start, footer }: ReaderFacts): Footer {
  return type !== 'fixed' && start.hasCookie && start.isChecksumRight ? start.value : footer;
}

function lacksEntries(facts: ReaderFacts): ReaderMatch | false {
  const { header, virtualSize } = facts;
  if (header === undefined) return false;
  const { currentSize } = footerRead(facts);
  const needed = entryCountFor(currentSize, header.blockSize);
  const whose = currentSize === virtualSize ? '' : `, for the ${currentSize} bytes that the copy at offset 0 says`;
  return (
    header.maxTableEntries !== needed && {
      expected: `${needed} entries${whose}`,
      found: String(header.maxTableEntries),
    }
  );
}

function lacksFooters(facts: ReaderFacts): ReaderMatch | boolean {
  const { type, start, end, footerOffset } = facts;
  if (type === 'fixed') {
    // It searches for the footer of a fixed image, and finds it whatever follows.
    const isSound = end.hasCookie
      ? end.isChecksumRight
      : footerOffset !== undefined && !facts.broken.has('footer.legacy');
    return !isSound && { offset: end.offset, expected: 'a footer', found: 'none that is valid' };
  }
  if (!start.hasCookie || !start.isChecksumRight) {
    return { offset: 0, expected: 'a footer', found: 'none that is valid' };
  }
  return endOf(facts) === 'refusal' && { offset: end.offset, expected: 'the bytes at offset 0', found: 'others' };
}

/** What it makes of the end of a file. */
function endOf({ type, areEndsEqual, end, table, fileSize }: ReaderFacts): 'fine' | 'complaint' | 'refusal' {
  if (type === 'fixed') return end.hasCookie ? 'fine' : 'complaint';
  if (table === undefined) return 'fine';
  const behind = fileSize - Math.max(table.blocksEnd, table.tableEnd);
  if (areEndsEqual) return behind < FOOTER_BYTES ? 'complaint' : 'fine';
  if (behind < FOOTER_BYTES) return table.blocksEnd === 0 ? 'refusal' : 'complaint';
  // Behind the blocks it reads two sectors at once, and looks for the footer in both.
  return behind < 2 * FOOTER_BYTES ? 'refusal' : 'complaint';
}

function lacksParentBeside(facts: ReaderFacts): ReaderMatch | boolean {
  const { parent } = facts;
  const missing = lacksParent(facts, false);
  if (parent === undefined || missing !== false) return missing;
  const wanted = (parent.relativeName ?? parent.headerName).replace(/^\.\\/, '');
  if (!parent.isBeside || parent.fileName !== wanted) {
    return { expected: 'a VHD beside the child', found: wanted === '' ? 'no name' : wanted };
  }
  const size = parent.virtualSize ?? 0;
  return size < facts.virtualSize && { expected: `a parent of ${facts.virtualSize} bytes`, found: `${size} bytes` };
}

import { entryCountFor } from './layout.ts';
import type { ReaderFacts, ReaderMatch, ReaderRule } from './reader-facts.ts';
import { CONVERT, hasBytesUnderClearBits, lacksParent } from './readers-common.ts';
import { FOOTER_BYTES } from './spec.ts';

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
    when: ({ broken }) =>
      ['footer.reserved', 'footer.hidden', 'footer.hidden-checksum', 'header.reserved', 'locator.reserved'].some((id) =>
        broken.has(id),
      ),
  },
  'for.7zip.entries': {
    severity: 'error',
    message: '7-Zip wants the table to have exactly as many entries as the size needs',
    means: 'the image is refused',
    mend: CONVERT,
    when: ({ header, virtualSize }) => {
      if (header === undefined) return false;
      const needed = entryCountFor(virtualSize, header.blockSize);
      return (
        header.maxTableEntries !== needed && { expected: `${needed} entries`, found: String(header.maxTableEntries) }
      );
    },
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

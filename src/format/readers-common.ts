import type { ReaderFacts, ReaderMatch, ReaderRule } from './reader-facts.ts';
import { FOOTER_BYTES } from './spec.ts';

/** The command that makes an image that every program reads. */
export const CONVERT = 'vhd convert FILE NEW';
/** The same, where the image itself cannot be read: what mends it stands in the finding. */
const REPAIR = 'vhd repair FILE';

/** An image that is damaged: no program can be relied on to give all of it. */
export function damagedRule(program: string): ReaderRule {
  return {
    severity: 'error',
    message: `the image is damaged, whatever ${program} makes of it`,
    means: 'some of the disk cannot be read, or cannot be told for certain; a program that takes the image shows the rest',
    mend: REPAIR,
    when: ({ damage }) => damage !== undefined && { found: damage.message, remedy: damage.remedy },
  };
}

/** A footer that is not, whole, in the last 512 bytes of the file: programs that look there only find none. */
export function endFooterRule(program: string): ReaderRule {
  return {
    severity: 'error',
    message: `${program} looks for the footer in the last 512 bytes, and does not find it`,
    means: 'the image is refused',
    mend: CONVERT,
    when: hasNoEndFooter,
  };
}

/** Whether the last 512 bytes are no footer; checksums aside. */
export function hasNoEndFooter({ end }: ReaderFacts): ReaderMatch | boolean {
  return !end.hasCookie && { offset: end.offset, expected: "'conectix'", found: 'other bytes' };
}

/** A fixed image that is not exactly its data and a footer. */
export function hasOddLength({ type, fileSize, virtualSize }: ReaderFacts): ReaderMatch | boolean {
  const expected = virtualSize + FOOTER_BYTES;
  return type === 'fixed' && fileSize !== expected && { expected: `${expected} bytes`, found: String(fileSize) };
}

/** Bytes under bits that are not set. */
export function hasBytesUnderClearBits({ broken }: ReaderFacts): boolean {
  return broken.has('bitmap.data-under-clear-bit');
}

/** Whether its parent is not to be had. */
export function lacksParent({ parent }: ReaderFacts): boolean {
  return parent !== undefined && parent.type === undefined;
}

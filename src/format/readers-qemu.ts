import { geometryByteLength, isMaximumGeometry } from './geometry.ts';
import type { ReaderFacts, ReaderMatch, ReaderRule } from './reader-facts.ts';
import { CONVERT, hasBytesUnderClearBits, NO_SUCH_SIZE } from './readers-common.ts';
import { alignUp, FOOTER_BYTES, MAX_DYNAMIC_SIZE, SECTOR_BYTES } from './spec.ts';

/** Creators whose size field qemu before version 10 believes. */
const TRUSTED_BEFORE_10 = ['win ', 'qem2', 'd2v ', 'tap\0', 'CTXS'];
/** Creators whose size field no version believes. */
const DISTRUSTED = ['vpc ', 'qemu'];
/** Below this, its reckoning gives a bitmap no byte. */
const LEAST_BLOCK_BYTES = 4096;

/** What qemu (qemu-img, `-f vpc`) refuses or misreads. Tried on 7.2 and 11.1; where they differ, the finding says so. */
export const QEMU_RULES = {
  'for.qemu.footer': {
    severity: 'error',
    message: 'qemu does not find the footer where it looks for it',
    means: 'the image is refused; qemu reads the first sector, and of a fixed image the last',
    mend: CONVERT,
    when: lacksFooter,
  },
  'for.qemu.size': {
    severity: 'error',
    message: 'qemu sees another size',
    means: 'it takes the size from the CHS geometry: the end of the disk is not to be seen, or the image is refused',
    mend: CONVERT,
    when: seesOtherSize,
  },
  'for.qemu.limit': {
    severity: 'error',
    message: 'qemu takes no VHD above 2040 GiB',
    means: 'the image is refused',
    unmendable: NO_SUCH_SIZE,
    when: ({ start, end, type, virtualSize }) =>
      sizeSeen(type === 'fixed' ? end.value : start.value, false) > MAX_DYNAMIC_SIZE && {
        expected: `at most ${MAX_DYNAMIC_SIZE} bytes`,
        found: String(virtualSize),
      },
  },
  'for.qemu.differencing': {
    severity: 'error',
    message: 'qemu opens a differencing image as if it had no parent',
    means: 'whatever the parent holds reads as zeros, without a word',
    mend: CONVERT,
    when: ({ type }) => type === 'differencing',
  },
  'for.qemu.table': {
    severity: 'error',
    message: 'the table, or a block of it, reaches past the end of the file',
    means: 'qemu refuses the image as truncated, though nothing of it is missing',
    mend: CONVERT,
    when: ({ table, fileSize }) => {
      const reach = Math.max(table?.tableEnd ?? 0, table?.blocksEnd ?? 0);
      return (
        reach > alignUp(fileSize, SECTOR_BYTES) && { expected: `at least ${reach} bytes`, found: String(fileSize) }
      );
    },
  },
  'for.qemu.block-size': {
    severity: 'error',
    message: 'qemu reads blocks of less than 4 KiB from the wrong place',
    means: 'it reckons with bitmaps of no bytes, and shows them as data',
    mend: CONVERT,
    when: ({ header }) =>
      header !== undefined && header.blockSize < LEAST_BLOCK_BYTES && { found: `${header.blockSize} bytes` },
  },
  'for.qemu.bitmap': {
    severity: 'error',
    message: 'qemu shows bytes in sectors that are marked as never written',
    means: 'it does not look at bitmaps; by the specification these sectors are zeros',
    mend: 'vhd convert FILE NEW --bitmap honour',
    when: hasBytesUnderClearBits,
  },
  'for.qemu.probe': {
    severity: 'warning',
    message: 'qemu takes a fixed VHD for a raw disk, unless it is told -f vpc',
    means: 'the footer is seen as a last sector of the disk',
    mend: 'vhd convert FILE NEW --to dynamic',
    when: ({ type }) => type === 'fixed',
  },
} as const satisfies Record<string, ReaderRule>;

function lacksFooter({ type, start, end, footerOffset, fileSize }: ReaderFacts): ReaderMatch | boolean {
  if (type !== 'fixed') {
    return (
      (!start.hasCookie || !start.isChecksumRight) && { offset: 0, expected: 'a footer', found: 'none that is valid' }
    );
  }
  // A fixed disk that begins with a footer is one that holds a VHD, or nothing: it is read as the dynamic one it is not.
  if (start.hasCookie) return { offset: 0, expected: 'no footer', found: "'conectix'" };
  const place = alignUp(fileSize, SECTOR_BYTES) - FOOTER_BYTES;
  return (
    (footerOffset !== place || (place === end.offset && !end.isChecksumRight)) && {
      offset: place,
      expected: 'a footer',
      found: 'none that is valid',
    }
  );
}

function seesOtherSize({ type, start, end, footer, virtualSize }: ReaderFacts): ReaderMatch | boolean {
  const read = type === 'fixed' ? (end.hasCookie ? end.value : footer) : start.value;
  const [before10, from10] = [sizeSeen(read, true), sizeSeen(read, false)];
  if (before10 === virtualSize && from10 === virtualSize) return false;
  const versions =
    from10 === virtualSize
      ? `${before10} bytes in versions before 10`
      : before10 === from10
        ? `${before10} bytes in every version`
        : `${before10} bytes in versions before 10, ${from10} since`;
  return { expected: `${virtualSize} bytes`, found: versions };
}

/** Whether every version of qemu takes the size of an image from the footer's current size. */
export function isSizeSeen(footer: ReaderFacts['footer']): boolean {
  return [true, false].every((isBefore10) => sizeSeen(footer, isBefore10) === footer.currentSize);
}

/** The size that qemu sees: whole sectors of the size field, or what the geometry reaches. */
function sizeSeen({ creatorApplication, geometry, currentSize }: ReaderFacts['footer'], isBefore10: boolean): number {
  const isTrusted = isBefore10
    ? TRUSTED_BEFORE_10.includes(creatorApplication)
    : !DISTRUSTED.includes(creatorApplication);
  if (!isTrusted && !isMaximumGeometry(geometry)) return geometryByteLength(geometry);
  return currentSize - (currentSize % SECTOR_BYTES);
}

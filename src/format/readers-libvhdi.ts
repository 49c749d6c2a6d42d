import { NO_OFFSET } from './bytes.ts';
import type { ReaderRule } from './reader-facts.ts';
import { CONVERT, endFooterRule, hasBytesUnderClearBits, lacksParent } from './readers-common.ts';

/** Smaller blocks it cannot read. */
const LEAST_BLOCK_BYTES = 4096;

/** What libvhdi (vhdiinfo, vhdimount, Autopsy and others) refuses or misreads. Tried on 20210425 and 20251119. */
export const LIBVHDI_RULES = {
  'for.libvhdi.footer': endFooterRule('libvhdi'),
  'for.libvhdi.size': {
    severity: 'error',
    message: 'libvhdi takes the size at creation for the size of the disk',
    means: 'a disk that was made larger ends too early, one that was made smaller too late',
    mend: CONVERT,
    when: ({ end, virtualSize }) =>
      end.hasCookie &&
      end.value.originalSize !== virtualSize && {
        expected: `${virtualSize} bytes`,
        found: `${end.value.originalSize} bytes`,
      },
  },
  'for.libvhdi.data-offset': {
    severity: 'error',
    message: 'libvhdi wants the data offset of a fixed image to be all ones',
    means: 'the image is refused',
    mend: CONVERT,
    when: ({ type, footer }) => type === 'fixed' && footer.dataOffset !== NO_OFFSET,
  },
  'for.libvhdi.block-size': {
    severity: 'error',
    message: 'libvhdi does not read blocks of less than 4 KiB',
    means: 'reading fails',
    mend: CONVERT,
    when: ({ header }) =>
      header !== undefined && header.blockSize < LEAST_BLOCK_BYTES && { found: `${header.blockSize} bytes` },
  },
  'for.libvhdi.zero': {
    severity: 'error',
    message: 'libvhdi takes no disk without bytes',
    means: 'the image is refused',
    unmendable: 'a disk without bytes holds nothing: make a new one with vhd create',
    when: ({ virtualSize }) => virtualSize === 0,
  },
  'for.libvhdi.bitmap': {
    severity: 'error',
    message: 'libvhdi shows some of the bytes in sectors that are marked as never written, and zeros for others',
    means: 'by the specification these sectors are zeros',
    mend: 'vhd convert FILE NEW --bitmap honour',
    when: hasBytesUnderClearBits,
  },
  'for.libvhdi.differencing': {
    severity: 'error',
    message: 'libvhdi misreads blocks of which the parent has some sectors',
    means: 'single sectors of the parent between others of the child can come out as zeros',
    mend: CONVERT,
    when: ({ table }) => table?.hasMixedBitmaps === true,
  },
  'for.libvhdi.parent': {
    severity: 'error',
    message: 'libvhdi has no parent for the image',
    means: 'it is refused; the parent must be a VHD that is there',
    mend: CONVERT,
    when: (facts) => lacksParent(facts, false),
  },
  'for.libvhdi.parent-name': {
    severity: 'warning',
    message: 'libvhdi reads the name of the parent in the header only, and there is none',
    means: 'the programs built on it must be told where the parent is',
    mend: CONVERT,
    when: ({ parent }) => parent?.headerName === '',
  },
} as const satisfies Record<string, ReaderRule>;

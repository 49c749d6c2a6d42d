import type { ReaderRule } from './reader-facts.ts';
import { CONVERT, endFooterRule, lacksParent } from './readers-common.ts';

/** Smaller blocks were refused: of 4 KiB and 64 KiB. */
const LEAST_BLOCK_BYTES = 512 * 1024;

/** What VirtualBox refuses or misreads. Tried on 7.2.22 (vbox-img, VBoxManage clonemedium). */
export const VIRTUALBOX_RULES = {
  'for.virtualbox.footer': endFooterRule('VirtualBox'),
  'for.virtualbox.block-size': {
    severity: 'error',
    message: 'VirtualBox takes no blocks of less than 512 KiB',
    means: 'the image is refused: "invalid image file header"',
    mend: CONVERT,
    when: ({ header }) =>
      header !== undefined && header.blockSize < LEAST_BLOCK_BYTES && { found: `${header.blockSize} bytes` },
  },
  'for.virtualbox.zero': {
    severity: 'error',
    message: 'VirtualBox takes no disk without bytes',
    means: 'the image is refused',
    unmendable: 'a disk without bytes holds nothing: make a new one with vhd create',
    when: ({ virtualSize }) => virtualSize === 0,
  },
  'for.virtualbox.uuid': {
    severity: 'error',
    message: 'VirtualBox takes no child with the identifier of its parent',
    means: 'the second of them cannot be registered',
    mend: CONVERT,
    when: ({ parent }) => parent?.hasSameUuid === true,
  },
  'for.virtualbox.parent': {
    severity: 'error',
    message: 'VirtualBox needs a VHD that is there for a parent',
    means: 'the image is refused',
    mend: CONVERT,
    when: (facts) => lacksParent(facts, false),
  },
} as const satisfies Record<string, ReaderRule>;

import { NO_OFFSET } from './bytes.ts';
import { type Geometry, geometryFor } from './geometry.ts';
import type { ReaderFacts, ReaderMatch, ReaderRule } from './reader-facts.ts';
import { CONVERT, lacksParent, NO_SUCH_SIZE } from './readers-common.ts';
import { alignUp, DEFAULT_BLOCK_SIZE, MAX_DYNAMIC_SIZE, SECTOR_BYTES, VHD_EPOCH_UNIX_SECONDS } from './spec.ts';

/** So far ahead a clock may be. */
const CLOCK_TOLERANCE_MILLISECONDS = 1_800_000;
const ONLY_CHECKED =
  'vhd-util check and scan refuse the image, and with them the storage manager; tapdisk alone reads it';
const FEATURES = 2;

/** What XenServer and XCP-ng (blktap: vhd-util, tapdisk) refuse or misread, by the sources of 2024 and a run of libvhd. */
export const XENSERVER_RULES = {
  'for.xenserver.footer': {
    severity: 'error',
    message: 'XenServer does not find a sound footer at the end of the file',
    means: 'vhd-util says that the primary footer is invalid, and tapdisk does not open the image',
    mend: CONVERT,
    when: ({ end, broken }) =>
      (!end.hasCookie || !end.isChecksumRight) && !broken.has('footer.legacy') && !broken.has('footer.hidden-checksum'),
  },
  'for.xenserver.features': {
    severity: 'error',
    message: 'XenServer wants the feature bits to be exactly 2',
    means: ONLY_CHECKED,
    mend: CONVERT,
    when: ({ footer }) =>
      footer.features !== FEATURES && { expected: String(FEATURES), found: String(footer.features) },
  },
  'for.xenserver.geometry': {
    severity: 'error',
    message: 'XenServer wants a CHS geometry no larger than that of the size',
    means: ONLY_CHECKED,
    mend: CONVERT,
    when: hasLargeGeometry,
  },
  'for.xenserver.timestamp': {
    severity: 'error',
    message: 'XenServer takes no image with a time stamp in the future',
    means: ONLY_CHECKED,
    mend: CONVERT,
    when: ({ footer, nowMilliseconds }) => {
      const time = (footer.timestamp + VHD_EPOCH_UNIX_SECONDS) * 1000;
      return time > nowMilliseconds + CLOCK_TOLERANCE_MILLISECONDS && { found: new Date(time).toISOString() };
    },
  },
  'for.xenserver.hidden': {
    severity: 'error',
    message: 'XenServer takes an image that is marked hidden for one that is no disk any more',
    means: 'the storage manager does not offer it, and may delete it when nothing needs it',
    mend: CONVERT,
    when: ({ broken }) => broken.has('footer.hidden') || broken.has('footer.hidden-checksum'),
  },
  'for.xenserver.data-offset': {
    severity: 'error',
    message: 'XenServer wants the unused data offset of the dynamic header to be all ones',
    means: 'the image is refused',
    mend: CONVERT,
    when: ({ header }) => header !== undefined && header.dataOffset !== NO_OFFSET,
  },
  'for.xenserver.locator': {
    severity: 'error',
    message: 'XenServer does not know the platform code of a parent locator',
    means: 'the image is refused',
    mend: CONVERT,
    when: ({ broken }) => broken.has('locator.platform'),
  },
  'for.xenserver.block-size': {
    severity: 'error',
    message: 'XenServer is made for blocks of 2 MiB',
    means: 'tapdisk fails or reads wrong bytes with others',
    mend: `${CONVERT} --block-size 2M`,
    when: ({ header }) =>
      header !== undefined && header.blockSize !== DEFAULT_BLOCK_SIZE && { found: `${header.blockSize} bytes` },
  },
  'for.xenserver.limit': {
    severity: 'error',
    message: 'XenServer takes no VHD above 2040 GiB',
    means: 'the image is refused',
    unmendable: NO_SUCH_SIZE,
    when: ({ virtualSize }) => virtualSize > MAX_DYNAMIC_SIZE,
  },
  'for.xenserver.fixed': {
    severity: 'warning',
    message: 'XenServer stores disks as dynamic VHDs, and copies a fixed one when it takes it in',
    means: 'tapdisk reads it, but it cannot be the parent of a snapshot',
    mend: 'vhd convert FILE NEW --to dynamic',
    when: ({ type }) => type === 'fixed',
  },
  'for.xenserver.parent': {
    severity: 'error',
    message: 'XenServer needs a dynamic VHD, or a raw disk, for a parent',
    means: 'the parent is not there, or its type is not followed: reading fails',
    mend: CONVERT,
    when: (facts) => lacksParent(facts, true) || facts.parent?.type === 'fixed',
  },
  'for.xenserver.parent-name': {
    severity: 'error',
    message: 'XenServer wants the name of the parent in the header without a path',
    means: ONLY_CHECKED,
    mend: CONVERT,
    when: ({ parent }) => parent !== undefined && /[\\/]/.test(parent.headerName) && { found: parent.headerName },
  },
} as const satisfies Record<string, ReaderRule>;

/** Compares as vhd-util does: the four bytes of the geometry as one number. */
function hasLargeGeometry({ footer, virtualSize }: ReaderFacts): ReaderMatch | boolean {
  const most = geometryFor(alignUp(virtualSize, SECTOR_BYTES));
  return packed(footer.geometry) > packed(most) && { expected: `at most ${told(most)}`, found: told(footer.geometry) };
}

function packed({ cylinders, heads, sectorsPerTrack }: Geometry): number {
  return cylinders * 65_536 + heads * 256 + sectorsPerTrack;
}

function told({ cylinders, heads, sectorsPerTrack }: Geometry): string {
  return `${cylinders}/${heads}/${sectorsPerTrack}`;
}

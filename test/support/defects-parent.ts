import type { DefectSpec } from './defects.ts';
import { BASE_UUIDS } from './defects-bases.ts';
import {
  entryOf,
  filled,
  HEADER_OFFSET,
  latin1,
  u8,
  u32,
  u64,
  withBytes,
  withEntry,
  withFooters,
  withHeader,
  withLocator,
  withLocatorName,
} from './defects-edits.ts';

const relink = { base: 'differencing', repair: 'none' } as const;

/** Names in all three places, so that it is one defect: what the child says of where its parent is. */
function named(image: Uint8Array, relative: string, absolute = relative): Uint8Array {
  const field = Buffer.from(relative, 'utf16le').swap16();
  const renamed = withHeader(image, (bytes) => bytes.fill(0, 64, 576).set(field, 64));
  const first = withLocatorName(renamed, 0, Buffer.from(relative, 'utf16le'));
  return withLocatorName(first, 1, Buffer.from(absolute, 'utf16le'));
}

/** The names of parents, parents, and how they fit. */
export const parentDefects: readonly DefectSpec[] = [
  {
    name: 'locator-platform',
    what: 'an unknown platform code in the second parent locator',
    apply: (image) => withLocator(image, 1, latin1(0, 'ABCD')),
    rule: 'locator.platform',
    ...relink,
  },
  {
    name: 'locator-reserved',
    what: 'a one in the reserved bytes of the first parent locator',
    apply: (image) => withLocator(image, 0, u32(12, 1)),
    rule: 'locator.reserved',
    ...relink,
  },
  {
    name: 'locator-past-end',
    what: 'the name of the first parent locator past the end of the file',
    apply: (image) => withLocator(image, 0, u64(16, 2 ** 40)),
    rule: 'locator.range',
    ...relink,
  },
  {
    name: 'locator-beyond-numbers',
    what: 'the name of the first parent locator at 2^63',
    apply: (image) => withLocator(image, 0, u64(16, 1n << 63n)),
    rule: 'locator.range',
    ...relink,
  },
  {
    name: 'locator-length-huge',
    what: 'a name of 4 GiB in the first parent locator',
    apply: (image) => withLocator(image, 0, u32(8, 0xffff_ffff)),
    rule: 'locator.range',
    ...relink,
  },
  {
    name: 'locator-length',
    what: 'a name of 70000 bytes in the first parent locator',
    apply: (image) => withLocator(image, 0, u32(8, 70_000)),
    rule: 'locator.length',
    ...relink,
  },
  {
    name: 'locator-space',
    what: 'no room for the name in the first parent locator',
    apply: (image) => withLocator(image, 0, u32(4, 0)),
    rule: 'locator.space',
    ...relink,
  },
  {
    name: 'locator-odd-length',
    what: 'an odd number of bytes in the name of the first parent locator',
    apply: (image) => withLocator(image, 0, (_, view) => view.setUint32(8, view.getUint32(8) - 1)),
    rule: 'locator.name',
    ...relink,
  },
  {
    name: 'locator-zeros',
    what: 'zeros in the place of the name of the first parent locator',
    apply: (image) => withLocatorName(image, 0, new Uint8Array(24)),
    rule: 'locator.name',
    ...relink,
  },
  {
    name: 'locator-nul',
    what: 'a NUL in the middle of the name of the first parent locator',
    apply: (image) => withLocatorName(image, 0, Buffer.from('.\\par\0ent.vhd', 'utf16le')),
    rule: 'locator.name',
    ...relink,
  },
  {
    name: 'parent-name-surrogate',
    what: 'half a surrogate pair in the name field of the parent',
    apply: (image) => withHeader(image, (_, view) => view.setUint16(64, 0xd800)),
    rule: 'parent.name',
    ...relink,
  },
  {
    name: 'parent-gone',
    what: 'no file under any of the names of the parent',
    applyToParent: () => undefined,
    rule: 'parent.missing',
    reading: 'ERR_VHD_PARENT_MISSING',
    givenParent: 'opens',
    ...relink,
  },
  {
    name: 'parent-unnamed',
    what: 'no names of the parent',
    apply: (image) =>
      withHeader(image, (bytes) => {
        bytes.fill(0, 64, 576 + 8 * 24);
      }),
    rule: 'parent.missing',
    reading: 'ERR_VHD_PARENT_MISSING',
    givenParent: 'opens',
    ...relink,
  },
  {
    name: 'parent-outside',
    what: 'names of the parent that lead out of the directory of the child',
    apply: (image) => named(image, '..\\elsewhere\\secret.vhd', '/etc/hostname'),
    rule: 'parent.outside',
    reading: 'ERR_VHD_PARENT_OUTSIDE',
    givenParent: 'opens',
    ...relink,
  },
  {
    name: 'parent-other-uuid',
    what: 'another identifier of the parent in the child',
    apply: (image) => withHeader(image, u8(40, 0xee)),
    rule: 'parent.uuid',
    reading: 'ERR_VHD_PARENT_UUID',
    ...relink,
  },
  {
    name: 'parent-replaced',
    what: 'a parent with another identifier',
    applyToParent: (parent) => withFooters(parent, u8(68, 0xee)),
    rule: 'parent.uuid',
    reading: 'ERR_VHD_PARENT_UUID',
    ...relink,
  },
  {
    name: 'parent-uuid-null',
    what: 'an identifier of zeros for the parent in the child',
    apply: (image) => withHeader(image, filled(40, 16, 0)),
    rule: 'parent.uuid',
    reading: 'ERR_VHD_PARENT_UUID',
    ...relink,
  },
  {
    name: 'parent-raw',
    base: 'over-raw',
    what: 'a raw disk as parent',
    rule: 'parent.raw',
    reading: 'ERR_VHD_PARENT_UUID',
    givenParent: 'opens',
    repair: 'none',
  },
  {
    name: 'same-uuid',
    what: 'the identifier of the parent in the footers of the child',
    apply: (image) => withFooters(image, (bytes) => bytes.set(BASE_UUIDS.parent, 68)),
    rule: 'parent.same-uuid',
    ...relink,
  },
  {
    name: 'own-parent',
    what: 'a child that names itself as its parent',
    apply: (image) => withHeader(named(image, '.\\image.vhd'), (bytes) => bytes.set(BASE_UUIDS.image, 40)),
    rule: 'parent.loop',
    reading: 'ERR_VHD_PARENT_LOOP',
    givenParent: 'ERR_VHD_PARENT_UUID',
    ...relink,
  },
  {
    name: 'parent-header-checksum',
    what: 'a wrong checksum in the dynamic header of the parent',
    applyToParent: (parent) => withBytes(parent, u32(HEADER_OFFSET + 36, 1)),
    rule: 'parent.damaged',
    reading: 'ERR_VHD_CORRUPT',
    ...relink,
  },
  {
    name: 'parent-timestamp',
    what: 'another time stamp of the parent in the child',
    apply: (image) => withHeader(image, u32(56, 600_000_000)),
    rule: 'parent.timestamp',
    ...relink,
  },
  {
    name: 'parent-shrunk',
    what: 'a parent of half the size',
    applyToParent: (parent) =>
      withHeader(
        withFooters(parent, (_, view) => view.setBigUint64(48, BigInt(8 * 65_536))),
        u32(28, 16),
      ),
    rule: 'parent.size',
    content: (content) => withBytes(content, (bytes) => bytes.fill(0, 8 * 65_536)),
    ...relink,
  },
  {
    name: 'parent-blocks-shared',
    what: 'two blocks of the parent at one place',
    applyToParent: (parent) => withEntry(parent, 5, entryOf(parent, 0)),
    rule: 'partition.unreadable',
    unreadable: { code: 'ERR_VHD_CORRUPT', blocks: [0, 5] },
    writing: 'opens',
    ...relink,
  },
];

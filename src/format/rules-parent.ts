import type { Rule } from './rule.ts';

const RELINK = 'vhd relink FILE --parent PARENT';
const NO_WAY_TO_PARENT = 'no program finds the parent by this name; others of its names may still lead there';

/** What can be wrong with the names of a parent, with the parent and with the chain. */
export const PARENT_RULES = {
  'locator.platform': {
    severity: 'note',
    message: 'a parent locator has an unknown platform code',
    means: 'blktap (XenServer) refuses the image',
    mend: RELINK,
  },
  'locator.reserved': {
    severity: 'note',
    message: 'the reserved bytes of a parent locator are not zero',
    means: '7-Zip refuses the image',
    mend: RELINK,
  },
  'locator.range': {
    severity: 'warning',
    message: 'a parent locator points outside the file',
    means: NO_WAY_TO_PARENT,
    mend: RELINK,
  },
  'locator.length': {
    severity: 'warning',
    message: 'the name in a parent locator is longer than any path',
    means: NO_WAY_TO_PARENT,
    mend: RELINK,
  },
  'locator.space': {
    severity: 'note',
    message: 'the name in a parent locator is longer than the room it has',
    means: 'programs that believe the room cut the name off',
    mend: RELINK,
  },
  'locator.name': {
    severity: 'note',
    message: 'a parent locator holds no name that can be used',
    means: NO_WAY_TO_PARENT,
    mend: RELINK,
  },
  'parent.name': {
    severity: 'note',
    message: 'the parent name is not valid UTF-16',
    means: 'DiscUtils and others take the header for damaged, or do not find the parent',
    mend: RELINK,
  },
  'parent.unavailable': {
    severity: 'warning',
    message: 'the parent cannot be opened',
    means: 'what is not in this image itself cannot be read',
    unmendable: 'the parent is where it should be: it has to be mended itself',
  },
  'parent.missing': {
    severity: 'error',
    message: 'the parent is not found',
    means: 'what is not in this image itself cannot be read; some programs show zeros instead',
    mend: RELINK,
  },
  'parent.outside': {
    severity: 'error',
    message: 'the parent lies outside the directory of its child',
    means: 'it is opened only if it is allowed: a path in an image could lead anywhere',
    mend: 'vhd check FILE --parent-dir DIR',
  },
  'parent.uuid': {
    severity: 'error',
    message: 'what is found under the name of the parent has another identifier',
    means: 'it is another image than the one that the child was made of, and would give wrong data',
    mend: RELINK,
  },
  'parent.uuid-null': {
    severity: 'note',
    message: 'the identifier of the parent is all zeros',
    means: 'the parent is a raw disk (blktap), or it cannot be told from another image',
    mend: RELINK,
  },
  'parent.raw': {
    severity: 'warning',
    message: 'the parent is a raw disk, and nothing tells whether it is the right one',
    means: 'it is opened only if you say that it is: a raw disk has no identifier',
    mend: 'vhd check FILE --allow-raw-parent',
  },
  'parent.same-uuid': {
    severity: 'warning',
    message: 'parent and child have the same identifier',
    means: 'VirtualBox refuses the chain, and programs may take one for the other',
    mend: 'vhd set FILE --uuid new',
  },
  'parent.loop': {
    severity: 'error',
    message: 'an image is its own ancestor',
    means: 'the chain has no end, and programs that follow it hang or fail',
    mend: RELINK,
  },
  'parent.depth': {
    severity: 'error',
    message: 'the chain of parents is too long',
    means: 'no program opens so many images at once',
    mend: 'vhd merge FILE',
  },
  'parent.damaged': {
    severity: 'error',
    message: 'an image of the chain cannot be opened',
    means: 'what is not in this image itself cannot be read',
    mend: 'vhd check PARENT',
  },
  'parent.timestamp': {
    severity: 'warning',
    message: 'the parent has another time stamp than its child knows: it may have been changed',
    means: 'if it was written to after the child was made, what is read through the child is wrong',
    mend: RELINK,
  },
  'parent.size': {
    severity: 'note',
    message: 'the parent has another size',
    means: 'some programs refuse a child of another size than its parent',
    unmendable: 'a child that was resized has another size than its parent, and is read as it should be',
  },
} as const satisfies Record<string, Rule>;

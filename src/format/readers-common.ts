import type { ReaderFacts, ReaderMatch, ReaderName, ReaderRule } from './reader-facts.ts';
import type { Rule } from './rule.ts';
import { FOOTER_BYTES } from './spec.ts';

/** The command that makes an image that every program reads. */
export const CONVERT = 'vhd convert FILE NEW';
/** Why nothing mends a disk that is too large for a VHD. */
export const NO_SUCH_SIZE = 'it takes no VHD of this size: make a raw disk of it (vhd convert FILE disk.raw)';
/** The command that mends an image in place. */
export const REPAIR = 'vhd repair FILE';

/** An image that is damaged: no program can be relied on to give all of it. What mends it stands in the finding. */
function damagedRule(program: string): Rule {
  return {
    severity: 'error',
    message: `the image is damaged, whatever ${program} makes of it`,
    means: 'some of the disk cannot be read, or not for certain: a program that takes the image cannot show all of it',
    mend: REPAIR,
  };
}

/** What is told of images that are damaged. */
export const DAMAGED_RULES = {
  'for.azure.damaged': damagedRule('Azure'),
  'for.hyperv.damaged': damagedRule('Hyper-V'),
  'for.xenserver.damaged': damagedRule('XenServer'),
  'for.virtualbox.damaged': damagedRule('VirtualBox'),
  'for.qemu.damaged': damagedRule('qemu'),
  'for.7zip.damaged': damagedRule('7-Zip'),
  'for.libvhdi.damaged': damagedRule('libvhdi'),
} as const satisfies Record<`for.${ReaderName}.damaged`, Rule>;

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

/** A parent that is not there, or, where the program takes none, the bytes of a disk. */
export function lacksParent({ parent }: ReaderFacts, takesRaw: boolean): ReaderMatch | false {
  if (parent === undefined) return false;
  if (parent.type === undefined) {
    return { expected: 'a parent', found: 'none', mend: 'vhd relink FILE --parent PARENT' };
  }
  return (
    parent.type === 'raw' &&
    !takesRaw && { expected: 'a VHD', found: 'a raw disk', mend: `${CONVERT} --allow-raw-parent` }
  );
}

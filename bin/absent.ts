import { shellLine } from './shell-words.ts';

/** The words of a call after its verb, without its options: a missing one has a name to stand for it. */
type Operands = readonly [first: string, second: string];

/** What does it today, for verbs that a version does not have. */
const VERBS_TODAY: Readonly<Record<string, (operands: Operands) => string>> = {
  cat: ([image]) => `7z e -so ${shellLine([image])} FILE takes a file out`,
  cp: ([image]) => `7z x ${shellLine([image])} takes the files out`,
  ls: ([image]) => `7z l ${shellLine([image])} lists the files`,
  mount: ([image]) => `${shellLine(['vhd', 'convert', image, 'disk.raw'])} makes a file that mount -o loop takes`,
  serve: ([image]) => `${shellLine(['vhd', 'convert', image, 'disk.raw'])}, and qemu-nbd -f raw disk.raw`,
  tar: ([image]) => `7z x ${shellLine([image])} takes the files out`,
  upload: ([image]) =>
    `${shellLine(['vhd', 'convert', image, 'upload.vhd', '--to', 'fixed'])}, and azcopy copy upload.vhd URL`,
};

/** True if it is a verb that a later version has; those of this one are in `VERBS`. */
export function isOurName(verb: string): boolean {
  return Object.hasOwn(VERBS_TODAY, verb);
}

/** What does it where `vhd VERB …` does not exist. */
export function insteadOfVerb(verb: string, operands: readonly string[]): string {
  const [first = 'IMAGE', second = 'OTHER'] = operands;
  return VERBS_TODAY[verb]?.([first, second]) ?? 'vhd --help shows what there is';
}

import { shellLine } from './shell-words.ts';

/** The words of a call after its verb, without its options: a missing one has a name to stand for it. */
type Operands = readonly [first: string, second: string];

const larger = ([image, size]: Operands): string =>
  `${shellLine(['vhd', 'create', 'larger.vhd', size.replace(/^\+.*/, 'SIZE')])} && ${shellLine(['vhd', 'read', image])} | vhd write larger.vhd`;

const MAKE_CHILD = 'vhd snapshot PARENT CHILD makes a differencing image';

/** What does it today, for verbs that a version does not have. */
const VERBS_TODAY: Readonly<Record<string, (operands: Operands) => string>> = {
  cat: ([image]) => `7z e -so ${shellLine([image])} FILE takes a file out`,
  compact: ([image]) => `${shellLine(['vhd', 'convert', image, 'smaller.vhd'])} leaves out what is zero`,
  compare: ([first, second]) => `cmp <(${shellLine(['vhd', 'read', first])}) <(${shellLine(['vhd', 'read', second])})`,
  completion: () => 'the name of a file completes as everywhere',
  cp: ([image]) => `7z x ${shellLine([image])} takes the files out`,
  id: ([image]) => shellLine(['vhd', 'info', image]),
  ls: ([image]) => `7z l ${shellLine([image])} lists the files`,
  map: ([image]) => shellLine(['qemu-img', 'map', '-f', 'vpc', image]),
  merge: () => 'Merge-VHD of Hyper-V or vhd-util coalesce does it',
  mount: ([image]) => `${shellLine(['vhd', 'convert', image, 'disk.raw'])} makes a file that mount -o loop takes`,
  relink: () => 'Set-VHD -ParentPath of Hyper-V or vhd-util modify -p does it',
  resize: larger,
  serve: ([image]) => `${shellLine(['vhd', 'convert', image, 'disk.raw'])}, and qemu-nbd -f raw disk.raw`,
  snapshot: () => MAKE_CHILD,
  tar: ([image]) => `7z x ${shellLine([image])} takes the files out`,
  tree: () => 'vhd info shows the parent of each image',
  upload: ([image]) =>
    `${shellLine(['vhd', 'convert', image, 'upload.vhd', '--to', 'fixed'])}, and azcopy copy upload.vhd URL`,
};

const OPTIONS_TODAY: Readonly<Record<string, string>> = {
  '--parent': MAKE_CHILD,
  '--chain': 'leave it away: only single images are opened',
};

/** True if it is a verb that vhd has in some version. */
export function isOurName(verb: string): boolean {
  return Object.hasOwn(VERBS_TODAY, verb);
}

/** What does it where `vhd VERB …` does not exist. */
export function insteadOfVerb(verb: string, operands: readonly string[]): string {
  const [first = 'IMAGE', second = verb === 'resize' ? 'SIZE' : 'OTHER'] = operands;
  return VERBS_TODAY[verb]?.([first, second]) ?? 'vhd --help shows what there is';
}

/** What to do where a verb has no such option. */
export function insteadOfOption(verb: string, option: string): string {
  return OPTIONS_TODAY[option] ?? `vhd ${verb} --help shows what there is`;
}

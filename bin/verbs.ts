import { Command } from 'commander';
import type { Session } from './session.ts';

/** What a verb's module has: it declares its options and its action. */
interface VerbModule {
  readonly declare: (command: Command, session: Session) => void;
}

interface Verb {
  readonly summary: string;
  readonly load: () => Promise<VerbModule>;
}

/** Every verb, in the order of the help. Loaded one at a time: a call pays for the verb it uses. */
export const VERBS: Readonly<Record<string, Verb>> = {
  create: { summary: 'make an empty disk image', load: () => import('./commands/create.ts') },
  snapshot: {
    summary: 'make a child of an image, which keeps that as it is',
    load: () => import('./commands/snapshot.ts'),
  },
  id: { summary: 'tell what files are', load: () => import('./commands/id.ts') },
  info: { summary: 'show everything about images', load: () => import('./commands/info.ts') },
  convert: { summary: 'convert between raw, fixed and dynamic images', load: () => import('./commands/convert.ts') },
  map: { summary: 'show where the data is', load: () => import('./commands/map.ts') },
  read: { summary: 'read bytes of the virtual disk', load: () => import('./commands/read.ts') },
  write: { summary: 'write bytes to the virtual disk', load: () => import('./commands/write.ts') },
  hash: { summary: 'hash what is on disks, whatever their format', load: () => import('./commands/hash.ts') },
  verify: { summary: 'tell what changed since a disk was hashed', load: () => import('./commands/verify.ts') },
  compare: { summary: 'tell where two images differ', load: () => import('./commands/compare.ts') },
  check: { summary: 'look for damage, and say what mends it', load: () => import('./commands/check.ts') },
  merge: { summary: 'merge a differencing image into an ancestor', load: () => import('./commands/merge.ts') },
  compact: { summary: 'give space of an image back', load: () => import('./commands/compact.ts') },
  relink: { summary: 'tell an image where its parent is', load: () => import('./commands/relink.ts') },
  tree: { summary: 'show the chains in a directory', load: () => import('./commands/tree.ts') },
  repair: { summary: 'mend what check calls repairable', load: () => import('./commands/repair.ts') },
  resize: { summary: 'make a disk larger, or smaller', load: () => import('./commands/resize.ts') },
  undo: { summary: 'take the last repair, resize or set back', load: () => import('./commands/undo.ts') },
  set: { summary: 'set identifier, creator, geometry or time stamp', load: () => import('./commands/set.ts') },
  bench: { summary: 'measure write throughput, fixed against dynamic', load: () => import('./commands/bench.ts') },
  completion: { summary: 'print a script that completes in a shell', load: () => import('./commands/completion.ts') },
};

/** Other names of verbs, which help does not show. */
const ALIASES: Readonly<Record<string, string>> = { doctor: 'check' };

/** A call with the verb by the name that it has here. */
export function unaliased(argv: readonly string[]): readonly string[] {
  const at = argv[0] === 'help' ? 1 : 0;
  return argv.map((word, index) => (index === at && Object.hasOwn(ALIASES, word) ? (ALIASES[word] ?? word) : word));
}

/** True if there is a verb of that name. */
export function isVerb(name: string): boolean {
  return Object.hasOwn(VERBS, name);
}

/** A verb with its arguments and options, to look at and not to be called; nothing for a name that is none. */
export async function declaredVerb(name: string, session: Session): Promise<Command> {
  const command = new Command(name).description(VERBS[name]?.summary ?? '');
  if (isVerb(name)) (await VERBS[name]?.load())?.declare(command, session);
  return command;
}

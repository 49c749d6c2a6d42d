import type { Option } from 'commander';
import { insteadOfVerb, isOurName } from './absent.ts';
import { UsageError } from './errors.ts';
import { type Dialect, type ForeignCall, type ForeignVerb, readForeignCall, type Translation } from './foreign-call.ts';
import { HYPERV } from './foreign-hyperv.ts';
import { QEMU } from './foreign-qemu.ts';
import { OTHER_VERBS, spellingFor } from './foreign-spellings.ts';
import { VHD_UTIL } from './foreign-vhd-util.ts';
import { VIRTUALBOX } from './foreign-virtualbox.ts';
import { shellLine } from './shell-words.ts';

/** The verbs there are, as far as translating needs to know them. */
export interface KnownVerbs {
  readonly has: (verb: string) => boolean;
  /** The options a verb has. */
  readonly optionsOf: (verb: string) => Promise<readonly Option[]>;
}

const DIALECTS: readonly Dialect[] = [QEMU, HYPERV, VHD_UTIL, VIRTUALBOX];

/** A verb that is called as it is in `name`. */
interface Candidate {
  readonly dialect: Dialect | undefined;
  readonly name: string;
  readonly verb: ForeignVerb;
}

interface Read {
  readonly candidate: Candidate;
  readonly call: ForeignCall;
}

/**
 * What somebody means who calls `vhd` like another program: the same in our words, to be typed, never carried out.
 * Undefined if the line is none of another program.
 */
export async function foreignAnswer(argv: readonly string[], known: KnownVerbs): Promise<UsageError | undefined> {
  const [first = '', ...rest] = argv;
  if (first.startsWith('-')) return verbFirst(argv, known);
  const named = DIALECTS.find(({ commands }) => commands.includes(first));
  if (named === undefined && first !== 'vhd') return answerTo(first, rest, { known, dialects: DIALECTS });
  const [verb, ...words] = rest;
  if (verb === undefined) return undefined;
  const dialects = named === undefined ? [] : [named];
  const answer = await answerTo(verb, words, { known, dialects, lead: first });
  return answer ?? (first === 'vhd' ? write(`unknown command 'vhd'`, [rest]) : undefined);
}

interface Context {
  readonly known: KnownVerbs;
  readonly dialects: readonly Dialect[];
  /** The name of the other program, where the line begins with it. */
  readonly lead?: string;
}

async function answerTo(verb: string, words: readonly string[], context: Context): Promise<UsageError | undefined> {
  const { known, lead } = context;
  const isOurs = known.has(verb);
  const lower = verb.toLowerCase();
  if (!isOurs && known.has(lower)) return write(unknownCommand(verb), [[lower, ...words]]);
  const options = isOurs ? await known.optionsOf(verb) : [];
  const read = bestReading(verb, words, options, context);
  if (read === undefined) return isOurs ? undefined : answerToName(verb, words, known);
  const { candidate, call } = read;
  const flag = call.foreign[0] ?? call.misspelt[0] ?? '';
  const what = isOurs && lead === undefined ? `unknown option '${flag}'` : unknownCommand(lead ?? verb);
  return told({ what, program: candidate.dialect?.program, typed: verb }, candidate.verb.translate(call), known);
}

function unknownCommand(name: string): string {
  return `unknown command '${name}'`;
}

/** The program whose line it is: one that has all of its flags, and among them some that are not ours. */
function bestReading(
  name: string,
  words: readonly string[],
  options: readonly Option[],
  { dialects, known, lead }: Context,
): Read | undefined {
  // A line that begins with the name of the other program is one of that.
  const isOurs = known.has(name) && lead === undefined;
  const spelling = spellingFor(options);
  const reads = candidatesFor(name, dialects, isOurs).map((candidate): Read => {
    const { dialect = {}, verb } = candidate;
    return { candidate, call: readForeignCall(name, words, { dialect, verb, options, spelling }) };
  });
  const fitting = reads.filter(
    ({ candidate, call }) => call.unknown.length === 0 && candidate.verb.fits?.(call) !== false,
  );
  if (isOurs) return fitting.find(({ candidate, call }) => isMeant(candidate, call, name));
  return fitting.find(({ call }) => lead !== undefined || call.foreign.length > 0 || !isOurName(name));
}

/** Flags of another verb have to be all there are. */
function isMeant({ dialect, name }: Candidate, { foreign, misspelt }: ForeignCall, typed: string): boolean {
  if (dialect === undefined) return misspelt.length > 0;
  return foreign.length > 0 && (name === typed || misspelt.length === 0);
}

/** Where a verb is ours, a line with flags of others may be one of any verb that does the same. */
function candidatesFor(name: string, dialects: readonly Dialect[], isOurs: boolean): Candidate[] {
  const all = dialects.flatMap((dialect) =>
    Object.entries(dialect.verbs).map(([foreign, verb]): Candidate => ({ dialect, name: foreign, verb })),
  );
  const same = all.filter((candidate) => candidate.name.toLowerCase() === name.toLowerCase());
  if (!isOurs) return same;
  const alike = all.filter((candidate) => candidate.verb.ours === name && !same.includes(candidate));
  const itself: Candidate = {
    dialect: undefined,
    name,
    verb: { translate: (call) => call.ours(name, ...call.operands) },
  };
  return [...same, ...alike, itself];
}

/** A verb that is nobody's, or one of ours that this version does not have. */
function answerToName(verb: string, words: readonly string[], known: KnownVerbs): UsageError | undefined {
  const lower = verb.toLowerCase();
  const meant = known.has(lower) || isOurName(lower) ? lower : OTHER_VERBS.get(lower);
  if (meant === undefined) return undefined;
  if (known.has(meant)) return write(unknownCommand(verb), [[meant, ...words]]);
  return absentVerb({ what: unknownCommand(verb), typed: verb }, meant, words);
}

interface Asked {
  readonly what: string;
  readonly program?: string | undefined;
  readonly typed: string;
}

async function told(asked: Asked, translation: Translation, known: KnownVerbs): Promise<UsageError> {
  const message = asked.what + whoseIs(asked);
  if ('advice' in translation) return new UsageError(message, translation.advice);
  const { calls, joint, note } = translation;
  for (const [verb = '', ...words] of calls) {
    if (!known.has(verb)) return absentVerb(asked, verb, words);
    const missing = absentOption(words, await known.optionsOf(verb));
    if (missing === undefined) continue;
    const why = `it would be ${missing} of vhd ${verb}, which this version does not have yet`;
    return new UsageError(`${message}; ${why}`, `vhd ${verb} --help shows what there is`);
  }
  return write(note === undefined ? message : `${message}; ${note}`, calls, joint);
}

function whoseIs({ what, program }: Asked): string {
  if (program === undefined) return '';
  return what.includes(`'${program}`) ? ': that is another program' : `: that is ${program}'s`;
}

function absentVerb(asked: Asked, verb: string, words: readonly string[]): UsageError {
  const operands = words.filter((word) => word === '-' || !word.startsWith('-'));
  const message =
    asked.typed === verb
      ? `this version of vhd does not have '${verb}' yet`
      : `${asked.what}${whoseIs(asked)}; it would be ${verb}, which this version of vhd does not have yet`;
  return new UsageError(message, `until then: ${insteadOfVerb(verb, operands)}`);
}

function absentOption(words: readonly string[], options: readonly Option[]): string | undefined {
  const isKnown = (word: string): boolean =>
    options.some(({ short, long }) => short === word || long === word.split('=')[0]);
  return words.find((word) => /^-./.test(word) && !isKnown(word));
}

function write(message: string, calls: readonly (readonly string[])[], joint = '|'): UsageError {
  return new UsageError(message, `write: ${calls.map((words) => shellLine(['vhd', ...words])).join(` ${joint} `)}`);
}

/** Options come behind the verb. */
async function verbFirst(argv: readonly string[], known: KnownVerbs): Promise<UsageError | undefined> {
  const index = argv.findIndex((word) => known.has(word));
  if (index < 1) return undefined;
  const verb = argv[index] ?? '';
  const words = [...argv.slice(0, index), ...argv.slice(index + 1)];
  const answer = await answerTo(verb, words, { known, dialects: DIALECTS });
  return answer ?? write(`'${argv[0] ?? ''}' comes before the verb: options come after it`, [[verb, ...words]]);
}

import type { Argument, Command, Option } from 'commander';

/** What a word on the command line is completed with: one of a few words, names of files or directories, or nothing. */
export type Offer =
  | { readonly kind: 'words'; readonly words: readonly string[] }
  | { readonly kind: 'file' | 'directory' | 'nothing' };

/** An option to complete. */
export interface OptionModel {
  /** Its spellings, such as `-o` and `--output`. */
  readonly flags: readonly string[];
  readonly description: string;
  /** What follows it; undefined if nothing does. */
  readonly value: Offer | undefined;
  /** What the help calls its value. */
  readonly valueName: string;
}

/** A place for a word that is no option. */
export interface OperandModel {
  readonly name: string;
  readonly offer: Offer;
  /** True if more of the same may follow. */
  readonly isRepeated: boolean;
}

/** A verb to complete. */
export interface VerbModel {
  readonly name: string;
  readonly summary: string;
  readonly options: readonly OptionModel[];
  readonly operands: readonly OperandModel[];
}

/** Everything that the scripts know about the command. */
export interface CompletionModel {
  readonly verbs: readonly VerbModel[];
  /** The options of the command itself. */
  readonly options: readonly OptionModel[];
}

const FILES: Offer = { kind: 'file' };
const DIRECTORIES: Offer = { kind: 'directory' };
const NOTHING: Offer = { kind: 'nothing' };

/** What the verbs declare, as completion needs it. */
export function completionModel(verbs: readonly Command[]): CompletionModel {
  const help: OptionModel = { flags: ['-h', '--help'], description: 'print help', value: undefined, valueName: '' };
  const version: OptionModel = { ...help, flags: ['-V', '--version'], description: 'print the version' };
  const models = verbs.map((verb) => verbModel(verb, help));
  const words = models.map(({ name }) => name);
  const operand: OperandModel = { name: 'verb', offer: { kind: 'words', words }, isRepeated: false };
  const helpVerb: VerbModel = { name: 'help', summary: 'print the help of a verb', options: [], operands: [operand] };
  return { verbs: [...models, helpVerb], options: [version, help] };
}

function verbModel(verb: Command, help: OptionModel): VerbModel {
  const options = verb.options.filter(({ hidden }) => !hidden).map(optionModel);
  const operands = verb.registeredArguments.map((argument) => ({
    name: argument.name(),
    offer: offerOf(argument.argChoices, argument.parseArg, operandOffer(argument)),
    isRepeated: argument.variadic,
  }));
  return { name: verb.name(), summary: verb.description(), options: [...options, help], operands };
}

function optionModel(option: Option): OptionModel {
  const valueName = /[<[]([^>\]]+)[>\]]/.exec(option.flags)?.[1]?.toLowerCase() ?? '';
  const value = valueName === '' ? undefined : offerOf(option.argChoices, option.parseArg, optionOffer(valueName));
  const flags = [option.short, option.long].filter((flag) => flag !== undefined);
  return { flags, description: option.description, value, valueName };
}

/** The words that an option or argument is one of, where it is. */
function offerOf(choices: readonly string[] | undefined, parse: unknown, otherwise: Offer): Offer {
  const words =
    choices ?? (typeof parse === 'function' && 'choices' in parse ? (parse.choices as string[]) : undefined);
  return words === undefined ? otherwise : { kind: 'words', words };
}

/** Operands are files, unless their names say something else. */
function operandOffer(argument: Argument): Offer {
  const name = argument.name();
  if (/dir|folder/i.test(name)) return DIRECTORIES;
  return /size|number|text|url/i.test(name) ? NOTHING : FILES;
}

/** Values of options are files where the help calls them so. */
function optionOffer(name: string): Offer {
  if (/dir|folder/.test(name)) return DIRECTORIES;
  return /file|image|parent|path|manifest|^out$|^(src|dst)$/.test(name) ? FILES : NOTHING;
}

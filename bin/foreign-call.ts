import type { Option } from 'commander';

/** A command line of another program in our words: calls of `vhd`, or what to do where there is no such call. */
export type Translation = Calls | Advice;

/** Calls of `vhd`, each without that word. */
interface Calls {
  readonly calls: readonly (readonly string[])[];
  /** What stands between them. */
  readonly joint?: '|' | '&&' | undefined;
  /** What the translation does not say. */
  readonly note?: string | undefined;
}

interface Advice {
  readonly advice: string;
}

/** A verb of another program: how its command line is read, and what it is here. */
export interface ForeignVerb {
  /** Our verb that does the same, and that may therefore be called with these flags. */
  readonly ours?: string;
  /** Flags without a value, separated by spaces. */
  readonly alone?: string;
  /** Flags with a value, separated by spaces. */
  readonly valued?: string;
  /** False for what cannot be meant as a line of this program. */
  readonly fits?: (call: ForeignCall) => boolean;
  readonly translate: (call: ForeignCall) => Translation;
}

/** The command line of another program. */
export interface Dialect {
  /** Name of the program, for messages. */
  readonly program: string;
  /** What its command is called: a line may begin with it. */
  readonly commands: readonly string[];
  readonly verbs: Readonly<Record<string, ForeignVerb>>;
  /** The flag that a word stands for, where that is not the word itself. */
  readonly flagOf?: (word: string, flags: readonly string[]) => string | undefined;
}

/** A command line, read as one of another program. */
export class ForeignCall {
  /** The verb as it was typed. */
  readonly verb: string;
  readonly operands: string[] = [];
  /** Words that are ours already. */
  readonly kept: string[] = [];
  /** Flags that neither program has. */
  readonly unknown: string[] = [];
  /** Flags that only the other program has, as they were typed. */
  readonly foreign: string[] = [];
  /** Flags that nobody has but everybody understands, as they were typed. */
  readonly misspelt: string[] = [];
  readonly #values = new Map<string, string[]>();

  constructor(verb: string) {
    this.verb = verb;
  }

  /** Notes a flag of the other program. */
  add(flag: string, value: string): void {
    this.#values.set(flag, [...(this.#values.get(flag) ?? []), value]);
  }

  /** True if one of the flags was given. */
  has(...flags: readonly string[]): boolean {
    return flags.some((flag) => this.#values.has(flag));
  }

  /** The last value of the first of the flags that was given. */
  value(...flags: readonly string[]): string | undefined {
    return this.values(...flags).at(-1);
  }

  /** All values of the first of the flags that was given. */
  values(...flags: readonly string[]): readonly string[] {
    return flags.map((flag) => this.#values.get(flag)).find((values) => values !== undefined) ?? [];
  }

  /** A call of our verb, with what is ours already at its end. */
  ours(verb: string, ...words: readonly (string | undefined)[]): Translation {
    return { calls: [[verb, ...words.filter((word) => word !== undefined), ...this.kept]] };
  }
}

/** How a line is read. */
export interface Reading {
  readonly dialect: Pick<Dialect, 'flagOf'>;
  readonly verb: Pick<ForeignVerb, 'alone' | 'valued'>;
  /** The options of the verb if that is ours too. */
  readonly options: readonly Option[];
  /** Spellings that are nobody's: what to put in place of a word, and of the word after it where it is taken. */
  readonly spelling: (flag: string, value: string | undefined) => Respelt | undefined;
}

/** What is ours in place of a flag that is not. */
export interface Respelt {
  readonly operands?: readonly string[];
  /** Comes after all other operands. */
  readonly lastOperand?: string;
  readonly kept?: readonly string[];
  /** True if the word that follows is spoken for. */
  readonly takesValue: boolean;
}

/** Reads the words after a verb. */
export function readForeignCall(name: string, words: readonly string[], reading: Reading): ForeignCall {
  const call = new ForeignCall(name);
  const last: string[] = [];
  for (let index = 0; index < words.length; index++) {
    const word = words[index] ?? '';
    if (word === '--') {
      // Where they go, they need not have the `--` before them.
      call.operands.push(...words.slice(index + 1).map((operand) => operand.replace(/^-./, './$&')));
      break;
    }
    if (word === '-' || !word.startsWith('-')) call.operands.push(word);
    else if (takeFlag(call, word, words[index + 1], { ...reading, last })) index++;
  }
  call.operands.push(...last);
  return call;
}

/** Takes a flag; true if the word after it is taken as well. */
function takeFlag(
  call: ForeignCall,
  word: string,
  next: string | undefined,
  reading: Reading & { readonly last: string[] },
): boolean {
  const [head, attached] = splitFlag(word);
  const foreign = takeForeign(call, { word, head, attached, next }, reading);
  if (foreign !== undefined) return foreign;
  const option = reading.options.find(({ short, long }) => short === head || long === head);
  if (option !== undefined) {
    const takesNext = option.required && attached === undefined && next !== undefined;
    call.kept.push(word, ...(takesNext ? [next] : []));
    return takesNext;
  }
  const respelt = reading.spelling(head, attached ?? next);
  if (respelt === undefined) {
    call.unknown.push(word);
    return false;
  }
  call.misspelt.push(word);
  call.operands.push(...(respelt.operands ?? []));
  call.kept.push(...(respelt.kept ?? []));
  if (respelt.lastOperand !== undefined) reading.last.push(respelt.lastOperand);
  return respelt.takesValue && attached === undefined;
}

interface Flag {
  readonly word: string;
  readonly head: string;
  readonly attached: string | undefined;
  readonly next: string | undefined;
}

/** Takes a flag of the other program; undefined if it has none of that name. */
function takeForeign(call: ForeignCall, flag: Flag, { dialect, verb, options }: Reading): boolean | undefined {
  const [alone, valued] = [flagsOf(verb.alone), flagsOf(verb.valued)];
  const named = dialect.flagOf?.(flag.head, [...alone, ...valued]) ?? flag.head;
  const isOurs = options.some(({ short, long }) => short === flag.head || long === flag.head);
  if (alone.includes(named)) {
    (isOurs ? call.kept : call.foreign).push(flag.word);
    call.add(named, flag.attached ?? '');
    return false;
  }
  if (valued.includes(named)) {
    if (!isOurs) call.foreign.push(flag.word);
    call.add(named, flag.attached ?? flag.next ?? '');
    return flag.attached === undefined && flag.next !== undefined;
  }
  return takeShort(call, flag.word, alone, valued);
}

/** `-Oraw` is `-O raw`, and `-vs` is `-v -s`. */
function takeShort(
  call: ForeignCall,
  word: string,
  alone: readonly string[],
  valued: readonly string[],
): boolean | undefined {
  if (!/^-[A-Za-z]./.test(word)) return undefined;
  const first = word.slice(0, 2);
  const letters = Array.from(word.slice(1), (letter) => `-${letter}`);
  if (valued.includes(first)) call.add(first, word.slice(2));
  else if (letters.every((letter) => alone.includes(letter))) for (const letter of letters) call.add(letter, '');
  else return undefined;
  call.foreign.push(word);
  return false;
}

function flagsOf(list = ''): string[] {
  return list.split(' ').filter((flag) => flag !== '');
}

/** `--to=raw` is a flag and its value. */
function splitFlag(word: string): [head: string, attached: string | undefined] {
  const [, head, value] = /^(-[^=:]+)[=:](.*)$/s.exec(word) ?? [];
  return head === undefined ? [word, undefined] : [head, value];
}

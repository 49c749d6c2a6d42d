import { DAMAGED_RULES } from './readers-common.ts';
import type { Rule, Severity } from './rule.ts';
import { BLOCK_RULES } from './rules-blocks.ts';
import { FILE_AND_FOOTER_RULES } from './rules-footer.ts';
import { PARENT_RULES } from './rules-parent.ts';
import { PARTITION_RULES } from './rules-partitions.ts';
import { READER_RULES, type ReaderRuleId } from './rules-readers.ts';
import { remedyFor, shellPath } from './shell.ts';

/** Something about an image that is not as it should be. Data, so that programs can act on it. */
export interface Finding {
  /** Which rule was broken. */
  readonly rule: RuleId;
  /** How much it matters. */
  readonly severity: Severity;
  /** One sentence. */
  readonly message: string;
  /** Byte offset in the file; undefined where no single place is at fault. */
  readonly offset?: number | undefined;
  /** What should have stood there. */
  readonly expected?: string | undefined;
  /** What stood there instead. */
  readonly found?: string | undefined;
  /** What mends it: a command, or one sentence that says why none does. In reports only; see {@link remedyOf}. */
  readonly remedy?: string | undefined;
}

/** What is told of them; what decides is no part of the table. */
const TOLD_OF_READERS: Readonly<Record<ReaderRuleId, Rule>> = READER_RULES;

/**
 * The rule table: everything that decoding, opening and checking can find.
 * Sources: the specification (2006), and for tolerated deviations the programs whose images show them.
 */
export const RULES = {
  ...FILE_AND_FOOTER_RULES,
  ...BLOCK_RULES,
  ...PARENT_RULES,
  ...PARTITION_RULES,
  ...DAMAGED_RULES,
  ...TOLD_OF_READERS,
} as const satisfies Record<string, Rule>;

/** The id of a rule, stable like an error code. */
export type RuleId = keyof typeof RULES;

/** The id of a rule about a partition table. */
export type PartitionRuleId = Extract<RuleId, `partition.${string}`>;

/** Where and what of a finding; the rest comes from the rule table. */
export interface FindingDetail {
  /** Byte offset in the file. */
  readonly offset?: number | undefined;
  /** What should have stood there. */
  readonly expected?: string | undefined;
  /** What stood there instead. */
  readonly found?: string | undefined;
  /** Overrides the severity of the rule. */
  readonly severity?: Severity | undefined;
  /** Overrides the sentence of the rule. */
  readonly message?: string | undefined;
  /** Overrides the remedy of the rule. */
  readonly remedy?: string | undefined;
}

/** Makes a finding of a rule: severity and message come from the table, the place from `detail`. */
export function finding(rule: RuleId, detail: FindingDetail = {}): Finding {
  const { severity, message } = RULES[rule];
  return {
    rule,
    severity: detail.severity ?? severity,
    message: detail.message ?? message,
    ...(detail.offset === undefined ? {} : { offset: detail.offset }),
    ...(detail.expected === undefined ? {} : { expected: detail.expected }),
    ...(detail.found === undefined ? {} : { found: detail.found }),
    ...(detail.remedy === undefined ? {} : { remedy: detail.remedy }),
  };
}

/** A finding as one sentence: message, offset, expected, found. */
export function describeFinding(item: Finding): string {
  const place = item.offset === undefined ? '' : ` at offset ${item.offset}`;
  const expected = item.expected === undefined ? '' : `: expected ${item.expected}`;
  const found = item.found === undefined ? '' : `${expected === '' ? ':' : ','} found ${item.found}`;
  return `${item.message}${place}${expected}${found}`;
}

/** What a user should know of an image, one sentence each: everything but the notes. */
export function warningsOf(findings: readonly Finding[]): string[] {
  return findings.filter((item) => item.severity !== 'note').map(describeFinding);
}

/**
 * What mends a finding, for the image at `path`: a command for a shell, or one sentence that says why there is none. That of
 * the finding itself where it has one, else that of its rule.
 */
export function remedyOf({ rule, remedy }: Pick<Finding, 'rule' | 'remedy'>, path: string): string {
  if (remedy !== undefined) return remedy;
  const { mend, unmendable = '' }: Rule = RULES[rule];
  return mend === undefined ? unmendable : commandFor(mend, path);
}

/** The command of a rule for the image at `path`, with a name for what it makes. */
export function commandFor(mend: string, path: string): string {
  return remedyFor(mend.replace(/\bNEW\b/, shellPath(newName(path))), path);
}

/** A name for a mended copy beside an image. */
function newName(path: string): string {
  return path === '-' ? 'NEW.vhd' : `${path.replace(/\.a?vhd$/i, '')}-mended.vhd`;
}

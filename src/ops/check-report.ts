import type { ReaderName } from '../format/reader-facts.ts';
import type { Severity } from '../format/rule.ts';
import { type Finding, RULES, type RuleId, remedyOf } from '../format/rules.ts';
import type { VhdType } from '../format/spec.ts';

/** A finding of a check: what is wrong and where, what that means, and what to do about it. */
export interface CheckFinding extends Finding {
  /** Path of the file it is about: the image, or with `chain` one of its parents. */
  readonly path: string;
  /** Byte offset in that file, of rules `partition.*` on the virtual disk; undefined where no single place is at fault. */
  readonly offset?: number | undefined;
  /** What it means to whoever has the image, one sentence. */
  readonly means: string;
  /** The command that mends it, or one sentence that says why there is none. */
  readonly remedy: string;
}

/** What a check found. */
export interface CheckReport {
  /** Path or name of the image. */
  readonly path: string;
  /** Type; null if there is no valid footer or it names no known type. */
  readonly type: VhdType | null;
  /** Virtual size in bytes; null without a valid footer. */
  readonly virtualSize: number | null;
  /** True if there are no findings that are errors. */
  readonly ok: boolean;
  /** Everything that was found: what is grave first, and of that the cause before what follows from it. */
  readonly findings: readonly CheckFinding[];
  /** The programs that were asked about with `for`; undefined without. */
  readonly for?: readonly ReaderName[] | undefined;
  /** True if all of them take the image and give all of it: no finding `for.…` is an error. Undefined without `for`. */
  readonly accepted?: boolean | undefined;
  /** Those of them that do. Undefined without `for`. */
  readonly acceptedBy?: readonly ReaderName[] | undefined;
}

/** A finding, and the file it is about. */
export interface PlacedFinding {
  /** Path of the file. */
  readonly path: string;
  /** The finding. */
  readonly finding: Finding;
}

const SEVERITIES: readonly Severity[] = ['error', 'warning', 'note'];
/** The order of the table: what stands first is what the rest is found by. */
const RULE_ORDER = Object.keys(RULES);
/** What is told of an image though its cause is in another, or elsewhere in the same. */
const CONSEQUENCES: readonly RuleId[] = ['parent.damaged', 'partition.unreadable'];

/** Findings with their meaning and remedy, in the order of a report. */
export function sortedFindings(placed: readonly PlacedFinding[]): CheckFinding[] {
  return [...placed]
    .sort((first, second) => compareRanks(rankOf(first), rankOf(second)))
    .map(({ path, finding }) => ({
      ...finding,
      path,
      means: RULES[finding.rule].means,
      remedy: remedyOf(finding, path),
    }));
}

/** What is told of programs, by what was found for them. */
export function verdictsOf(
  readers: readonly ReaderName[],
  findings: readonly CheckFinding[],
): Required<Pick<CheckReport, 'for' | 'accepted' | 'acceptedBy'>> {
  const refuses = (name: ReaderName): boolean =>
    findings.some(({ rule, severity }) => severity === 'error' && rule.startsWith(`for.${name}.`));
  const acceptedBy = readers.filter((name) => !refuses(name));
  return { for: readers, accepted: acceptedBy.length === readers.length, acceptedBy };
}

function rankOf({ finding }: PlacedFinding): readonly number[] {
  const { rule, severity } = finding;
  return [SEVERITIES.indexOf(severity), CONSEQUENCES.includes(rule) ? 1 : 0, RULE_ORDER.indexOf(rule)];
}

function compareRanks(first: readonly number[], second: readonly number[]): number {
  const index = first.findIndex((rank, at) => rank !== second[at]);
  return index < 0 ? 0 : (first[index] ?? 0) - (second[index] ?? 0);
}

import type { Disk } from '../disk/disk.ts';
import { readParentNames } from '../disk/parent-names.ts';
import { VhdError, type VhdErrorCode } from '../errors.ts';
import { type Finding, finding, type RuleId } from '../format/rules.ts';
import { remedyFor } from '../format/shell.ts';
import { formatUuid } from '../format/uuid.ts';
import { type ChainStart, type ResolvedLink, tryParents } from '../open-chain.ts';
import type { ParentOptions } from '../open-parent-options.ts';
import type { PlacedFinding } from './check-report.ts';

/** What was found of the parents of an image. */
export interface CheckedParents {
  /** The images that were found behind it, the nearest first; their files are not open. */
  readonly links: readonly ResolvedLink[];
  /** The parent, to read through; undefined if not all of them could be opened. */
  readonly parent: Disk | undefined;
  /** How the image names its parent and how that fits, and what stopped the chain. */
  readonly findings: readonly PlacedFinding[];
}

/** The rules behind the errors of the search for a parent. */
const PARENT_RULES: Partial<Record<VhdErrorCode, RuleId>> = {
  ERR_VHD_PARENT_MISSING: 'parent.missing',
  ERR_VHD_PARENT_UUID: 'parent.uuid',
  ERR_VHD_PARENT_OUTSIDE: 'parent.outside',
  ERR_VHD_PARENT_LOOP: 'parent.loop',
  ERR_VHD_LIMIT: 'parent.depth',
};

/** Finds the parents of a differencing image, and opens them if all is well. Locks nothing. */
export async function checkParents(start: ChainStart, options: ParentOptions): Promise<CheckedParents> {
  // A finding is no reason to stop looking.
  const where: ParentOptions = { ...options, strictParent: false };
  const { links: found, parents, error } = await tryParents(start, { ...where, bitmap: 'honour', lock: false });
  const links = options.strictParent === true ? found.map(strictly) : found;
  const [child, ...behind] = links;
  const path = child?.path ?? start.storage.name;
  const named = behind.length === 0 ? (await readParentNames(start.storage, start.examination)).findings : [];
  const own: Finding[] = [...named, ...(child?.findings ?? []), ...sameIdentity(start, behind[0])];
  const findings = own.map((item) => ({ path, finding: item }));
  if (error !== undefined) findings.push(problemOf(error, path, links.at(-1)?.path ?? path));
  return { links: behind, parent: parents?.parent, findings };
}

/** A parent that may have been changed is none. */
function strictly(link: ResolvedLink): ResolvedLink {
  const findings = link.findings.map((item): Finding => {
    return item.rule === 'parent.timestamp' && item.severity === 'warning' ? { ...item, severity: 'error' } : item;
  });
  return { ...link, findings };
}

function sameIdentity({ examination }: ChainStart, parent: ResolvedLink | undefined): Finding[] {
  const [own, above] = [examination.footer?.uniqueId, parent?.examination.footer?.uniqueId];
  if (own === undefined || above === undefined || parent?.isRaw === true) return [];
  return formatUuid(own) === formatUuid(above) ? [finding('parent.same-uuid', { found: formatUuid(own) })] : [];
}

/** What stopped the chain: the last image that was found names a parent that is not to be had, or one cannot be opened. */
function problemOf(error: Error, path: string, last: string): PlacedFinding {
  if (!('code' in error)) throw error;
  if (!(error instanceof VhdError)) {
    return { path, finding: finding('parent.unavailable', { message: error.message, severity: 'error' }) };
  }
  const { code, message, expected, found, remedy, storage } = error;
  const rule = ruleOf(error);
  // An image that is too large itself has the same code as a chain that is too long.
  if (rule !== undefined && storage === last) {
    const detail = { expected, found, remedy: mending(error, last) };
    return { path: last, finding: finding(rule, detail) };
  }
  const told = `an image of the chain cannot be opened: ${storage === undefined ? '' : `${storage}: `}${message}`;
  const isUnfinished = code === 'ERR_VHD_JOURNAL';
  const mend = isUnfinished || storage === undefined ? remedy : remedyFor('vhd check FILE', storage);
  return { path, finding: finding('parent.damaged', { message: told, remedy: mend }) };
}

/** The rule that an error of the search stands for; undefined for what is no matter of the search. */
function ruleOf({ code, remedy = '' }: VhdError): RuleId | undefined {
  return remedy.includes('--allow-raw-parent') ? 'parent.raw' : PARENT_RULES[code];
}

/** Where the directory of the parent is known that may not be looked into, the command that looks there. */
function mending({ code, remedy = '' }: VhdError, path: string): string | undefined {
  const option = /--parent-dir (?:'[^']*'|\S+)/.exec(remedy)?.[0];
  const isKnown = code === 'ERR_VHD_PARENT_OUTSIDE' && option !== undefined;
  return isKnown ? remedyFor(`vhd check FILE`, path) + ` ${option}` : undefined;
}

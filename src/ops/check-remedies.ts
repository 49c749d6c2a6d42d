import { VhdError } from '../errors.ts';
import type { Rule } from '../format/rule.ts';
import { commandFor, type Finding, RULES, type RuleId, remedyOf } from '../format/rules.ts';
import { shellPath } from '../format/shell.ts';
import type { ResolvedLink } from '../open-chain.ts';
import type { Storage } from '../storage/storage.ts';
import type { PermitOption, RepairPermits } from './repair-context.ts';
import { type PlanOptions, planRepair, type RepairPlan } from './repair-plan.ts';

/** Rules of which what mends them depends on the image: a repair is planned to know it. */
const DEPENDING: readonly RuleId[] = [
  ...(['footer.poisoned', 'footer.data-offset', 'footer.end-missing', 'footer.copy-contradicts'] as const),
  ...(['footer.type', 'footer.checksum', 'footer.displaced', 'fixed.long', 'file.unaligned'] as const),
  ...(['header.cookie', 'header.checksum', 'header.block-size', 'header.table-offset'] as const),
  ...(['bat.short', 'bat.long', 'bitmap.data-under-clear-bit'] as const),
];

/** The options of a repair, as they are written in a command. */
export const PERMIT_FLAGS = {
  cut: '--cut',
  dropBlocks: '--drop-blocks',
  zeroFill: '--zero-fill',
  setBits: '--set-bits',
  rebuildBat: '--rebuild-bat',
} as const satisfies Record<PermitOption, string>;

const PERMIT_OPTIONS = Object.keys(PERMIT_FLAGS) as PermitOption[];

/** A mend needs one thing after the other permitted: never more than there are options for losses. */
const MAX_STEPS = 3;

/** How remedies are found: what a plan of a repair has to know, and which footer is right if it was said. */
export interface RemedyOptions extends Omit<PlanOptions, 'permits'>, Partial<Pick<RepairPermits, 'footer'>> {
  /** Path of the image, for the commands. Default: the name of the storage. */
  readonly path?: string | undefined;
  /** A repair that led to what the storage holds: what it left and why is known. */
  readonly known?: KnownRepair | undefined;
}

/** A repair that was planned. */
export interface KnownRepair {
  /** What it might do. */
  readonly permits: RepairPermits;
  /** What it does, and what it leaves. */
  readonly plan: RepairPlan;
}

/**
 * Findings of one image with the command that really mends each of them in this image, or why none does: for that, repairs
 * are planned where the table alone cannot tell. Nothing is written.
 */
export async function withRemedies(
  storage: Storage,
  findings: readonly Finding[],
  options: RemedyOptions,
): Promise<readonly Finding[]> {
  const path = options.path ?? storage.name;
  const plans = new RemedyPlans(storage, { ...options, path });
  const mended: Finding[] = [];
  for (const item of findings) {
    const planned = item.remedy ?? (DEPENDING.includes(item.rule) ? await plans.remedyFor(item.rule) : undefined);
    mended.push({ ...item, remedy: planned ?? whyLeft(item, options.known) });
  }
  const obstacle = mended.find((item) => isObstacle(item, path)) ?? mended.find(isStray);
  return obstacle === undefined ? mended : mended.map((item) => behind(item, obstacle));
}

/** Why a repair left what it would mend at other times; undefined where it did not try, or may be told to. */
function whyLeft({ rule }: Finding, known: KnownRepair | undefined): string | undefined {
  if (known?.plan.needed.some((loss) => loss.rule === rule) === true) return undefined;
  return known?.plan.reasons.get(rule)?.why;
}

/** Entries behind the end of the disk that refer to blocks: their space is not free yet. */
function isStray({ rule, remedy = '' }: Finding): boolean {
  return rule === 'bat.long' && remedy.includes(PERMIT_FLAGS.dropBlocks);
}

/** True for what keeps the disk from being read, or resized, for good. */
function isObstacle(item: Finding, path: string): boolean {
  const isGrave = item.severity === 'error' || ['footer.size-zero', 'footer.end-missing'].includes(item.rule);
  return isGrave && !remedyOf(item, path).startsWith('vhd ');
}

/** Commands that have to read the disk would only fail, or take it for another one. */
function behind(item: Finding, { rule }: Finding): Finding {
  const { mend = '' }: Rule = RULES[item.rule];
  const failing = rule === 'bat.long' ? /^vhd compact / : /^vhd (?:convert|resize|set|compact) /;
  if (item.remedy !== undefined || !failing.test(mend)) return item;
  return { ...item, remedy: `nothing mends it while ${rule} is not mended` };
}

/** A finding that is mended by naming the parent again, with its path where it was found. */
export function withParent(item: Finding, path: string, parent: ResolvedLink | undefined): Finding {
  const { mend }: Rule = RULES[item.rule];
  if (parent === undefined || item.remedy !== undefined || mend?.includes('PARENT') !== true) return item;
  return { ...item, remedy: commandFor(mend, path).replace('PARENT', () => shellPath(parent.path)) };
}

/** Repairs of one image with different options, each planned once. */
class RemedyPlans {
  readonly #storage: Storage;
  readonly #options: RemedyOptions & { readonly path: string };
  readonly #plans = new Map<string, RepairPlan | undefined>();
  readonly #remedies = new Map<RuleId, string | undefined>();

  constructor(storage: Storage, options: RemedyOptions & { readonly path: string }) {
    this.#storage = storage;
    this.#options = options;
    const { known } = options;
    // Planned again, the same is left for the same reasons.
    if (known !== undefined) this.#plans.set(keyOf(flagsOf(known.permits), known.permits.footer), known.plan);
  }

  /** Undefined where the table's remedy has to do: more would change than can be planned. */
  async remedyFor(rule: RuleId): Promise<string | undefined> {
    if (!this.#remedies.has(rule)) this.#remedies.set(rule, await this.#find(rule));
    return this.#remedies.get(rule);
  }

  async #find(rule: RuleId): Promise<string | undefined> {
    const { mend = '' }: Rule = RULES[rule];
    const flags = new Set(PERMIT_OPTIONS.filter((flag) => mend.includes(PERMIT_FLAGS[flag])));
    const footer = this.#options.footer ?? (mend.includes('--footer end') ? 'end' : undefined);
    for (let step = 0; step < MAX_STEPS; step++) {
      const plan = await this.#plan(flags, footer);
      if (plan === undefined) return undefined;
      const isLeft = plan.after.findings.some((item) => item.rule === rule);
      if (!isLeft) return this.#command(flags, footer);
      const needed = neededFor(plan, rule, flags);
      if (needed === undefined) return plan.reasons.get(rule)?.why;
      flags.add(needed);
    }
    return undefined;
  }

  #command(flags: ReadonlySet<PermitOption>, footer: RepairPermits['footer']): string {
    const words = PERMIT_OPTIONS.filter((flag) => flags.has(flag)).map((flag) => PERMIT_FLAGS[flag]);
    const ofFooter = footer === undefined ? [] : [`--footer ${footer}`];
    return [commandFor('vhd repair FILE', this.#options.path), ...ofFooter, ...words].join(' ');
  }

  async #plan(flags: ReadonlySet<PermitOption>, footer: RepairPermits['footer']): Promise<RepairPlan | undefined> {
    const key = keyOf(flags, footer);
    if (!this.#plans.has(key)) {
      const permits = {
        ...{ cut: flags.has('cut'), dropBlocks: flags.has('dropBlocks'), zeroFill: flags.has('zeroFill') },
        ...{ setBits: flags.has('setBits'), rebuildBat: flags.has('rebuildBat'), footer },
      };
      this.#plans.set(key, await planned(this.#storage, { ...this.#options, permits }));
    }
    return this.#plans.get(key);
  }
}

function flagsOf(permits: RepairPermits): ReadonlySet<PermitOption> {
  return new Set(PERMIT_OPTIONS.filter((flag) => permits[flag]));
}

function keyOf(flags: ReadonlySet<PermitOption>, footer: RepairPermits['footer']): string {
  return [...flags, footer].sort().join();
}

/** Undefined if more would change than a draft holds. */
async function planned(storage: Storage, options: PlanOptions): Promise<RepairPlan | undefined> {
  try {
    return await planRepair(storage, options);
  } catch (error) {
    if (error instanceof VhdError && error.code === 'ERR_VHD_LIMIT') return undefined;
    throw error;
  }
}

/** The option that a finding needs besides: its own, or that of one that has to be mended before it. */
function neededFor(
  { needed, reasons }: RepairPlan,
  rule: RuleId,
  flags: ReadonlySet<PermitOption>,
): PermitOption | undefined {
  const own = needed.find((loss) => loss.rule === rule && !flags.has(loss.option));
  if (own !== undefined) return own.option;
  const reason = reasons.get(rule);
  if (reason !== undefined) return reason.option === undefined || flags.has(reason.option) ? undefined : reason.option;
  return needed.find(({ option }) => !flags.has(option))?.option;
}

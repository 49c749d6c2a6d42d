import { type Finding, RULES, type RuleId } from '../format/rules.ts';
import type { Storage } from '../storage/storage.ts';
import type { Watched } from './check-bitmaps.ts';
import { type CheckedImage, checkImage } from './check-image.ts';
import { BITMAP_MENDERS } from './repair-bits.ts';
import { BLOCK_MENDERS } from './repair-blocks.ts';
import type { LeftOutcome, Mender, MendOutcome, RepairLoss, RepairPermits } from './repair-context.ts';
import { Draft } from './repair-draft.ts';
import { END_MENDERS } from './repair-end.ts';
import { FOOTER_MENDERS } from './repair-footer.ts';
import { HEADER_MENDERS } from './repair-header.ts';

/** What is mended of an image. */
export interface MendedFinding {
  /** The rule that was broken. */
  readonly rule: RuleId;
  /** What was wrong, one sentence. */
  readonly message: string;
  /** What was done about it, one sentence. */
  readonly what: string;
}

/** What a repair would do, and what would be the state of the image then. */
export interface RepairPlan {
  /** The image as it will be. */
  readonly draft: Draft;
  /** What a check finds in it. */
  readonly after: CheckedImage;
  /** What is mended, in the order in which it is. */
  readonly mended: readonly MendedFinding[];
  /** What is given up by that. */
  readonly losses: readonly RepairLoss[];
  /** What would be given up if it were permitted, and is not mended without. */
  readonly needed: readonly RepairLoss[];
  /** Why what else could be thought mendable is not, by rule. */
  readonly reasons: ReadonlyMap<RuleId, LeftOutcome>;
}

/** All of them. */
const MENDERS: Partial<Record<RuleId, Mender>> = {
  ...FOOTER_MENDERS,
  ...END_MENDERS,
  ...HEADER_MENDERS,
  ...BLOCK_MENDERS,
  ...BITMAP_MENDERS,
};

/** True if there is something that mends a broken rule, at least sometimes. */
export function isMendable(rule: RuleId): boolean {
  return MENDERS[rule] !== undefined;
}

/** What has to be right before the rest can be: in this order, and then in that of the rule table. */
const FIRST: readonly RuleId[] = [
  ...(['footer.displaced', 'footer.cookie', 'footer.checksum', 'footer.copy-contradicts', 'footer.type'] as const),
  ...(['footer.data-offset', 'footer.hidden-checksum', 'header.checksum', 'header.cookie'] as const),
  ...([
    'header.block-size',
    'header.table-offset',
    'bat.short',
    'bat.long',
    'file.truncated',
    'bat.out-of-file',
  ] as const),
  ...(['bat.in-metadata', 'bat.overlap', 'footer.poisoned', 'footer.end-missing', 'footer.legacy'] as const),
];
const ORDER: readonly RuleId[] = [...new Set([...FIRST, ...(Object.keys(RULES) as RuleId[])])];
/** A rule that is still broken after so many mends is left. */
const MAX_ATTEMPTS = 3;

/** How a repair is planned. */
export interface PlanOptions extends Watched {
  /** What may be done. */
  readonly permits: RepairPermits;
  /** The time, in milliseconds since 1970. */
  readonly nowMilliseconds: number;
}

/** Finds out what can be mended, one finding after the other, each in an image in which those before are mended. Writes nothing. */
export async function planRepair(storage: Storage, options: PlanOptions): Promise<RepairPlan> {
  const planning = new Planning(await Draft.over(storage), options);
  await planning.run(false);
  const after = options.permits.setBits ? await planning.run(true) : await planning.look(false);
  return { draft: planning.draft, after, ...planning.result };
}

class Planning {
  readonly draft: Draft;
  readonly #options: PlanOptions;
  readonly #attempts = new Map<RuleId, number>();
  readonly #mended: MendedFinding[] = [];
  readonly #losses: RepairLoss[] = [];
  /** What was tried in vain since the last change. */
  readonly #refused = new Map<RuleId, MendOutcome>();

  constructor(draft: Draft, options: PlanOptions) {
    this.draft = draft;
    this.#options = options;
  }

  look(isDeep: boolean): Promise<CheckedImage> {
    const { nowMilliseconds, signal, onProgress } = this.#options;
    return checkImage(this.draft, { deep: isDeep, nowMilliseconds, signal, onProgress });
  }

  /** Mends what can be; returns what a check finds then. */
  async run(isDeep: boolean): Promise<CheckedImage> {
    for (;;) {
      this.#options.signal?.throwIfAborted();
      const image = await this.look(isDeep);
      if (!(await this.#mendOne(image))) return image;
    }
  }

  /** Tries what is found until something is mended; false if nothing can be. */
  async #mendOne(image: CheckedImage): Promise<boolean> {
    this.#refused.clear();
    const findings = [...image.findings].sort((a, b) => ORDER.indexOf(a.rule) - ORDER.indexOf(b.rule));
    for (const item of findings) {
      const mender = MENDERS[item.rule];
      const attempts = this.#attempts.get(item.rule) ?? 0;
      // What was set aside has to be in the file still when it is looked for.
      if (item.rule === 'file.leaked' && this.#losses.some(({ option }) => option === 'dropBlocks')) continue;
      if (mender === undefined || attempts === MAX_ATTEMPTS || this.#refused.has(item.rule)) continue;
      const outcome = await mender({ draft: this.draft, image, permits: this.#options.permits }, item);
      if (outcome.kind === 'mended') {
        this.#attempts.set(item.rule, attempts + 1);
        this.#note(item, outcome);
        return true;
      }
      this.#refused.set(item.rule, outcome);
      // Everything else would end the file behind the footer, and cut off what may be something.
      if (item.rule === 'footer.displaced') return false;
    }
    return false;
  }

  #note({ rule, message }: Finding, { what, loss }: MendOutcome & { readonly kind: 'mended' }): void {
    this.#mended.push({ rule, message, what });
    if (loss !== undefined) this.#losses.push(loss);
  }

  get result(): Omit<RepairPlan, 'draft' | 'after'> {
    const refused = [...this.#refused];
    return {
      mended: this.#mended,
      losses: this.#losses,
      needed: refused.flatMap(([, outcome]) => (outcome.kind === 'forbidden' ? [outcome.loss] : [])),
      reasons: new Map(refused.flatMap(([rule, outcome]) => (outcome.kind === 'left' ? [[rule, outcome]] : []))),
    };
  }
}

// The rule table says which command mends what; the code has to agree.
import { describe, expect, it } from 'vitest';
import type { Rule } from '../../../src/format/rule.ts';
import { RULES, type RuleId } from '../../../src/format/rules.ts';
import { isMendable } from '../../../src/ops/repair-plan.ts';
import { defects } from '../../support/defects.ts';

// What another program makes of damage is mended along with that, which has a rule of its own.
const MENDED = (Object.entries(RULES) as [RuleId, Rule][])
  .filter(([rule]) => !rule.startsWith('for.'))
  .filter(([, { mend }]) => mend?.startsWith('vhd repair') === true)
  .map(([rule]) => rule);

describe('rules that vhd repair mends', () => {
  it.each(MENDED)('%s has something that mends it, and an image that shows it', (rule) => {
    expect(isMendable(rule)).toBe(true);
    const shown = defects.filter((defect) => defect.rule === rule && defect.repair !== 'none');
    expect(shown.length).toBeGreaterThan(0);
  });
});

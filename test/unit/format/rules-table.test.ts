import { readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import type { Rule } from '../../../src/format/rule.ts';
import { finding, RULES, type RuleId, remedyOf } from '../../../src/format/rules.ts';

const rules: (readonly [string, Rule])[] = Object.entries(RULES);

describe('the rule table', () => {
  it.each(rules)('%s says what is wrong, what it means, and what mends it or why nothing does', (_id, rule) => {
    for (const text of [rule.message, rule.means, rule.unmendable ?? 'none']) {
      expect(text).toMatch(/^\w.*[^.\s]$/);
    }
    expect(rule.mend === undefined).toBe(rule.unmendable !== undefined);
    if (rule.mend !== undefined) expect(rule.mend).toMatch(/^vhd [a-z]+ (?:FILE|PARENT)\b/);
  });

  it('is the table of the README', async () => {
    const readme = await readFile(new URL('../../../README.md', import.meta.url), 'utf8');
    const rows = readme
      .split('\n')
      .filter((line) =>
        /^\| `(?:file|footer|geometry|header|locator|parent|bat\w*|fixed|bitmap|partition|for)\./.test(line),
      );
    expect(rows).toEqual(rules.map(([id, rule]) => row(id, rule)));
  });
});

function row(id: string, { severity, message, means, mend, unmendable = '' }: Rule): string {
  return `| \`${id}\` | ${severity} | ${message} | ${means} | ${mend === undefined ? unmendable : `\`${mend}\``} |`;
}

describe('the remedy of a finding', () => {
  const of = (rule: RuleId, path: string): string => remedyOf(finding(rule), path);

  it('is the command of its rule, for the image and for a new one beside it', () => {
    expect(of('footer.checksum', 'a.vhd')).toBe('vhd repair a.vhd');
    expect(of('footer.checksum', "it's.vhd")).toBe("vhd repair 'it'\\''s.vhd'");
    expect(of('footer.hidden', 'in/a b.avhd')).toBe("vhd convert 'in/a b.avhd' 'in/a b-mended.vhd'");
    expect(of('footer.hidden', '-')).toBe('vhd convert FILE NEW.vhd');
  });

  it('is the reason where no command mends it, and its own where it has one', () => {
    expect(of('fixed.short', 'a.vhd')).toMatch(/^the bytes are not in this file/);
    expect(remedyOf({ rule: 'fixed.short', remedy: 'vhd create a.vhd 1M' }, 'a.vhd')).toBe('vhd create a.vhd 1M');
  });
});

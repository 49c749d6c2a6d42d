// Images with one defect each: the right rule first, nothing unrelated as an error, and the same verdict by every way of opening.
import { readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { RULES, type RuleId } from '../../src/format/rules.ts';
import { openVhd } from '../../src/open.ts';
import { check } from '../../src/ops/check.ts';
import { convert } from '../../src/ops/convert.ts';
import { readInfo } from '../../src/ops/info.ts';
import { firstDifference } from '../support/bytes.ts';
import { type Defect, defects } from '../support/defects.ts';
import { BASE_NAMES } from '../support/defects-bases.ts';
import {
  codeOf,
  expectedOutcome,
  expectedStream,
  expectedWriting,
  openInMemory,
  outcomeOf,
  soundImage,
  streamOutcome,
  writeDefect,
} from '../support/defects-open.ts';
import { isThorough } from '../support/seed.ts';
import { useTempFolder } from '../support/temp.ts';

/** The rules that no image here breaks, and why. */
const NOT_BY_ONE_DEFECT: Partial<Record<RuleId, string>> = {
  'file.in-use': 'it takes another program that has the file open (test/cli/locks.test.ts)',
  'file.journal': 'it takes a second file (test/unit/open-journal.test.ts, and the journals of the fuzzer)',
  'bat.limit': 'a disk that needs such a table, without one, breaks bat.short first (size-beyond-numbers)',
  'bat.unaligned': 'no defect: every packed image is so (the base `packed`)',
  'parent.unavailable': 'it takes a file that may not be looked at (test/cli/chain-reading.test.ts)',
  'parent.uuid-null': 'a note beside parent.raw or parent.uuid (parent-raw, parent-uuid-null)',
  'parent.depth': 'it takes more images than one (test/unit/open-chain.test.ts)',
};
/** What is told of sound bases. */
const OF_BASES: Partial<Record<string, readonly RuleId[]>> = {
  packed: ['bat.unaligned'],
  'over-raw': ['parent.raw', 'parent.uuid-null'],
};

const rows = defects.map((defect): [string, Defect] => [defect.name, defect]);
/**
 * Every defect is checked, read at its path, and looked at in one of four other ways, so that each of these sees a quarter
 * of all defects; with VHDKIT_THOROUGH=1 in all four.
 */
const rowsOf = (way: 0 | 1 | 2 | 3): typeof rows => {
  return rows.filter((_, index) => isThorough || (index + way) % 4 === 0);
};

describe('the defects', () => {
  it('are many, each with a name of its own that can be that of a file', () => {
    expect(defects.length).toBeGreaterThanOrEqual(60);
    expect(new Set(defects.map(({ name }) => name)).size).toBe(defects.length);
    for (const { name } of defects) expect(name).toMatch(/^[a-z0-9]+(-[a-z0-9]+)*$/);
  });

  it('break every rule that one defect can break', () => {
    const broken = new Set(defects.map(({ rule }) => rule));
    // What other programs refuse has images of its own: check-for-defects.ts.
    const ours = (Object.keys(RULES) as RuleId[]).filter((rule) => !rule.startsWith('for.'));
    const missing = ours.filter((rule) => !broken.has(rule));
    expect(missing.sort()).toEqual(Object.keys(NOT_BY_ONE_DEFECT).sort());
  });

  it.each(rows)('%s is a change', (_, defect) => {
    const { sound } = defect;
    const isSame = firstDifference(defect.image(), sound.image) === -1;
    const isParentSame = firstDifference(
      defect.parent() ?? new Uint8Array(0),
      sound.parent?.image ?? new Uint8Array(0),
    );
    expect(isSame && isParentSame === -1 && sound.parent?.isRaw !== true).toBe(false);
  });
});

describe('a sound image', () => {
  const folder = useTempFolder('sound');

  it.each(BASE_NAMES)('%s has nothing wrong', async (base) => {
    const sound = soundImage(base);
    const { findings } = await check(await writeDefect(sound, folder.path), { deep: true });
    expect(findings.map(({ rule }) => rule)).toEqual(OF_BASES[base] ?? []);
    const opened = openVhd(folder.file('image.vhd'), { allowRawParent: true });
    expect(await outcomeOf(opened, sound)).toEqual({ opening: 'opens', unreadable: undefined, difference: -1 });
  });
});

describe('check of an image with a defect', () => {
  const folder = useTempFolder('defects-check');

  it.each(rows)('%s', async (_, defect) => {
    const { rule, related = [], severity = RULES[rule].severity } = defect;
    const path = await writeDefect(defect, folder.path);
    const report = await check(path, { deep: true });
    expect(report.findings[0]).toMatchObject({ rule, severity });
    const errors = report.findings.filter((item) => item.severity === 'error').map((item) => item.rule);
    expect(errors.filter((id) => id !== rule && !related.includes(id))).toEqual([]);
    expect(report.ok).toBe(errors.length === 0);
    if (defect.deep !== true) return;
    const shallow = await check(path);
    expect(shallow.findings.map((item) => item.rule)).not.toContain(rule);
  });
});

describe('reading an image with a defect', () => {
  const folder = useTempFolder('defects-read');

  it.each(rows)('%s, at its path', async (_, defect) => {
    const path = await writeDefect(defect, folder.path);
    expect(await outcomeOf(openVhd(path), defect)).toEqual(expectedOutcome(defect));
    const info = await readInfo(path);
    const { opening, unreadable } = expectedOutcome(defect);
    // A partition table that cannot be read is as good as a disk that cannot.
    if (unreadable?.blocks.includes(0) !== true) expect(info.readable).toBe(opening === 'opens');
    expect(info.refusal === null).toBe(info.readable);
  });

  it.each(rowsOf(0))('%s, in memory', async (_, defect) => {
    const opening = defect.givenParent ?? expectedOutcome(defect).opening;
    expect(await outcomeOf(openInMemory(defect), defect)).toEqual({ ...expectedOutcome(defect), opening });
  });

  it.each(rowsOf(1))('%s, on a stream', async (_, defect) => {
    expect(await streamOutcome(defect)).toEqual({ opening: expectedStream(defect), difference: -1 });
  });

  it.each(rowsOf(2))('%s, converted', async (_, defect) => {
    const path = await writeDefect(defect, folder.path);
    const target = folder.file('out.raw');
    const { opening, unreadable } = expectedOutcome(defect);
    const code = opening === 'opens' ? unreadable?.code : opening;
    if (code === undefined) {
      await convert(path, target, { to: 'raw', from: 'vhd', force: true });
      expect(firstDifference(await readFile(target), defect.expected())).toBe(-1);
      return;
    }
    const missing = folder.file(`${defect.name}.raw`);
    for (const from of ['vhd', undefined] as const) {
      const converted = convert(path, missing, { to: 'raw', from }).then(() => 'converted', codeOf);
      if (from === 'vhd') expect(await converted).toBe(code);
      else expect(await converted).toMatch(/^ERR_VHD_/);
      await expect(readFile(missing)).rejects.toThrow('ENOENT');
    }
  });
});

describe('opening an image with a defect for writing', () => {
  const folder = useTempFolder('defects-write');

  it.each(rowsOf(3))('%s', async (_, defect) => {
    const path = await writeDefect(defect, folder.path);
    const opened = openVhd(path, { writable: true });
    const found = await opened.then(async (disk) => {
      await disk.close();
      return 'opens';
    }, codeOf);
    expect(found).toBe(expectedWriting(defect));
    const isChanged = firstDifference(await readFile(path), defect.image()) !== -1;
    // What is refused is left alone; what opens may get back a footer, and reads as before.
    if (found !== 'opens') expect(isChanged).toBe(false);
    else expect(await outcomeOf(openVhd(path), defect)).toEqual(expectedOutcome(defect));
  });
});

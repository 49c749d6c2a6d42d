// What is told of other programs, held against their verdicts on images of some thirty programs (index of the corpus).
import { beforeAll, expect, test } from 'vitest';
import type { ReaderName } from '../../src/format/reader-facts.ts';
import { check } from '../../src/ops/check.ts';
import { type CorpusImage, corpusImages, describeWithCorpus, unpackCorpus } from '../support/corpus.ts';
import { useTempFolder } from '../support/temp.ts';

/** The readers of the index behind each program: it is told what holds for all of them. */
const KEYS: Partial<Record<ReaderName, readonly string[]>> = {
  qemu: ['qemu7.2', 'qemu11.1'],
  '7zip': ['7z'],
  libvhdi: ['vhdi2021', 'vhdi2025'],
  virtualbox: ['vbox'],
  xenserver: ['blktap'],
};
const PROGRAMS = Object.keys(KEYS) as ReaderName[];

/**
 * Rules that are broken though the reader of the index got the right bytes, and why. Never the other way round: what is
 * not told of is right.
 */
const BETTER: Readonly<Record<string, string>> = {
  'for.xenserver.features': 'the index asked libvhd, which reads what vhd-util check refuses',
  'for.xenserver.geometry': 'the same',
  'for.xenserver.timestamp': 'the same',
  'for.xenserver.parent-name': 'the same',
  'for.xenserver.hidden': 'the same',
  'for.libvhdi.differencing chain-dfvfs-ntfs/ntfs-differential.vhd': 'by luck: the fault shows with some bitmaps only',
  'for.qemu.differencing chain-go-vhd-win8/win8-child.vhd': 'its parent is empty',
  'for.xenserver.block-size gen-andreiw-vhdtool/aw-dyn-blk512k.vhd':
    'libvhd reads some images with such blocks, not others',
  'for.xenserver.block-size gen-minivhd/mv-dyn40-small.vhd': 'the same',
};

/** Whether a broken rule is no mistake although the bytes were right. */
function isExplained(rule: string, { name, isDamaged }: CorpusImage): boolean {
  // What is damaged is refused here: whether a program that reads it is right, nobody knows.
  return rule in BETTER || `${rule} ${name}` in BETTER || (isDamaged && rule.endsWith('.damaged'));
}

function verdictOn({ agree, disagree }: CorpusImage, program: ReaderName): boolean | undefined {
  const isOf = (key: string): boolean => KEYS[program]?.includes(key.replace(/\(.*/, '')) === true;
  if (disagree.some(isOf)) return false;
  return agree.some(isOf) ? true : undefined;
}

describeWithCorpus('what is told of programs is what they did with images of the corpus', () => {
  const temp = useTempFolder('for-corpus');
  const known = corpusImages.filter((image) => PROGRAMS.some((program) => verdictOn(image, program) !== undefined));

  beforeAll(async () => {
    await unpackCorpus(temp.path);
  });

  test('is asked often enough to mean something', () => {
    expect(known.length).toBeGreaterThan(150);
  });

  for (const image of known) {
    test(image.name, async () => {
      const now = new Date('2026-11-29T00:00:00Z');
      const report = await check(temp.file(image.name), { for: PROGRAMS, now, allowRawParent: true });
      for (const program of PROGRAMS) {
        const isRight = verdictOn(image, program);
        const rules = report.findings
          .filter(({ rule, severity }) => severity === 'error' && rule.startsWith(`for.${program}.`))
          .map(({ rule }) => rule);
        if (isRight === false) expect({ program, isRight, rules: rules.length }).not.toMatchObject({ rules: 0 });
        if (isRight === true) {
          expect({ program, rules: rules.filter((rule) => !isExplained(rule, image)) }).toEqual({ program, rules: [] });
        }
      }
    });
  }
});

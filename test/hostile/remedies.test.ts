// Every remedy that `check` prints for an image with one defect, run in the order in which a user reads them.
import { mkdir, writeFile } from 'node:fs/promises';
import { describe, expect, test } from 'vitest';
import { check } from '../../src/ops/check.ts';
import type { CheckFinding, CheckReport } from '../../src/ops/check-report.ts';
import { vhd } from '../support/cli.ts';
import { type Defect, defects } from '../support/defects.ts';
import { someOf } from '../support/seed.ts';
import { useTempFolder } from '../support/temp.ts';

/** More mends in a row than any of the images needs. */
const MAX_MENDS = 8;
const LOOK = { deep: true, chain: true } as const;

describe('the remedies of check', () => {
  const temp = useTempFolder('remedies');

  for (const defect of someOf(defects)) {
    test(`of ${defect.name} mend what they stand at`, async () => {
      const folder = temp.file(defect.name);
      await writeDefect(folder, defect);
      let path = `${folder}/disk.vhd`;
      let report = await check(path, LOOK);
      for (let count = 0; count < MAX_MENDS; count++) {
        const item = report.findings.find(isRunnable);
        if (item === undefined) return;
        path = await mend(item, path);
        const after = await check(path, LOOK);
        const told = `${item.remedy.replaceAll(`${folder}/`, '')} (${item.rule})`;
        expect(`${told}: ${countOf(after, item) < countOf(report, item)}`).toBe(`${told}: true`);
        report = after;
      }
      expect.unreachable(`not mended by ${MAX_MENDS} commands`);
    });
  }
});

/** A command that changes or makes an image, of which nothing is left to be filled in. */
function isRunnable({ remedy }: CheckFinding): boolean {
  return /^vhd (?!check )/.test(remedy) && !/\b(?:PARENT|DIR)\b/.test(remedy);
}

/** Runs it; resolves to the image that is mended then. */
async function mend({ remedy }: CheckFinding, path: string): Promise<string> {
  const words = remedy.split(' ').slice(1);
  const breaking = ['repair', 'set'].includes(words[0] ?? '') ? ['--allow-breaking-children'] : [];
  const { code, stderr } = await vhd([...words, ...breaking]);
  // A repair that leaves something else undone says so.
  expect({ remedy, code: code === 1 && words[0] === 'repair' ? 0 : code, stderr: code > 1 ? stderr : '' }).toEqual({
    ...{ remedy, code: 0, stderr: '' },
  });
  return words[0] === 'convert' ? (words[2] ?? path) : path;
}

function countOf({ findings }: CheckReport, { rule, path }: CheckFinding): number {
  return findings.filter((item) => item.rule === rule && (item.path === path || path.endsWith('disk.vhd'))).length;
}

async function writeDefect(folder: string, defect: Defect): Promise<void> {
  await mkdir(folder);
  await writeFile(`${folder}/disk.vhd`, defect.image());
  const parent = defect.parent();
  if (parent !== undefined) await writeFile(`${folder}/parent.vhd`, parent);
}

// Every image with one defect, repaired: what it is expected to come to, what it reads as then, and undone again.
import { readFile, writeFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { openVhd } from '../../../src/open.ts';
import { check } from '../../../src/ops/check.ts';
import { type RepairOptions, repair } from '../../../src/ops/repair.ts';
import { undo } from '../../../src/ops/undo.ts';
import { firstDifference } from '../../support/bytes.ts';
import { type Defect, defects } from '../../support/defects.ts';
import { useTempFolder } from '../../support/temp.ts';

const folder = useTempFolder('repair-defects');
/** Everything that may be permitted, but for what is a choice. */
const ALL: RepairOptions = { cut: true, dropBlocks: true, zeroFill: true, setBits: true, rebuildBat: true };

async function imageOf({ name, image, parent, sound }: Defect): Promise<string> {
  const path = folder.file(`${name}.vhd`);
  await writeFile(path, image());
  const bytes = parent();
  if (bytes !== undefined && sound.parent !== undefined) await writeFile(folder.file(sound.parent.name), bytes);
  return path;
}

async function isBroken(path: string, { rule, deep }: Defect): Promise<boolean> {
  const { findings } = await check(path, { deep, lock: false });
  return findings.some((item) => item.rule === rule);
}

async function expectContent(path: string, content: Uint8Array): Promise<void> {
  await using disk = await openVhd(path, { parentDirs: [folder.path], allowRawParent: true });
  expect(disk.size).toBe(content.length);
  expect(firstDifference(await disk.readBytes(0, disk.size), content)).toBe(-1);
}

async function expectUndone(path: string, before: Uint8Array): Promise<void> {
  await undo(path);
  expect(firstDifference(await readFile(path), before)).toBe(-1);
}

describe.each(
  defects.filter(({ repair: outcome }) => outcome === 'identical').map((defect) => [defect.name, defect] as const),
)('%s', (_name, defect) => {
  it('is mended, reads as it should, and is undone', async () => {
    const path = await imageOf(defect);
    const result = await repair(path);
    expect(result.mended.map(({ rule }) => rule)).toContain(defect.rule);
    expect(result).toMatchObject({ ok: true, changed: true, canUndo: true, losses: [], needed: [] });
    expect(await isBroken(path, defect)).toBe(false);
    await expectContent(path, defect.repaired());
    await expectUndone(path, defect.image());
  });
});

describe.each(
  defects.filter(({ repair: outcome }) => outcome === 'asks').map((defect) => [defect.name, defect] as const),
)('%s', (_name, defect) => {
  it('stays as it is unless asked for, and is mended then', async () => {
    const path = await imageOf(defect);
    const asked = await repair(path);
    expect(asked.mended.map(({ rule }) => rule)).not.toContain(defect.rule);
    const result = await repair(path, { ...ALL, footer: 'end' });
    expect(result.mended.map(({ rule }) => rule)).toContain(defect.rule);
    expect(await isBroken(path, defect)).toBe(false);
    expect(result.ok).toBe(true);
    await expectUndone(path, defect.image());
  });
});

describe.each(
  defects.filter(({ repair: outcome }) => outcome === 'none').map((defect) => [defect.name, defect] as const),
)('%s', (_name, defect) => {
  it('is not mended, whatever is permitted', async () => {
    const path = await imageOf(defect);
    const result = await repair(path, { ...ALL });
    expect(result.mended.map(({ rule }) => rule)).not.toContain(defect.rule);
  });
});

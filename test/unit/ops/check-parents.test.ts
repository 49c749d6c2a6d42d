import { rmSync, writeFileSync } from 'node:fs';
import { beforeEach, expect, it } from 'vitest';
import { type CheckOptions, check } from '../../../src/ops/check.ts';
import { ChainFolder } from '../../support/chain-files.ts';

const folder = new ChainFolder();
const { at, base, child, image } = folder;
beforeEach(folder.begin);

const BASE = [['W2ru', '.\\base.vhd']] as const;
/** Packed images are built here: that is told of all of them. */
const IGNORED = 'bat.unaligned';

async function rulesOf(path: string, options: CheckOptions = {}): Promise<string[]> {
  const { findings } = await check(path, options);
  return findings.flatMap(({ severity, rule }) => (rule === IGNORED ? [] : [`${severity} ${rule}`]));
}

it('a parent that is there and fits is nothing to speak of', async () => {
  base('base.vhd');
  expect(await rulesOf(child('child.vhd', BASE), { chain: true })).toEqual([]);
});

it('a parent that is missing, and what brings it back', async () => {
  const path = child('child.vhd', BASE);
  expect(await rulesOf(path)).toEqual(['error parent.missing']);
  const { findings } = await check(path);
  expect(findings[0]).toMatchObject({ path, remedy: `vhd relink ${path} --parent PARENT` });
});

it('another image under its name', async () => {
  image('base.vhd', { id: 5 });
  expect(await rulesOf(child('child.vhd', BASE))).toEqual(['error parent.uuid']);
});

it('a parent outside, and the command that looks there', async () => {
  base('elsewhere/base.vhd');
  const path = child('in/child.vhd', [['W2ru', '..\\elsewhere\\base.vhd']]);
  const { findings } = await check(path);
  expect(findings[0]).toMatchObject({ rule: 'parent.outside', severity: 'error' });
  expect(findings[0]?.remedy).toMatch(/^vhd check .*child\.vhd --parent-dir .*elsewhere$/);
  expect(await rulesOf(path, { parentDirs: [at('elsewhere')] })).toEqual([]);
});

it('a chain that has no end, and one that is too long', async () => {
  const first = image('a.vhd', { id: 2, parent: { id: 3, locators: [['W2ru', '.\\b.vhd']] } });
  image('b.vhd', { id: 3, parent: { id: 2, locators: [['W2ru', '.\\a.vhd']] } });
  expect(await rulesOf(first)).toEqual(['error parent.loop']);
  base('base.vhd');
  expect(await rulesOf(child('child.vhd', BASE), { maxChainLength: 1 })).toEqual(['error parent.depth']);
});

it('a parent of another time, or another size, or with the same identifier', async () => {
  image('base.vhd', { id: 1, shape: { footer: { timestamp: 5 } } });
  const path = child('child.vhd', BASE);
  expect(await rulesOf(path)).toEqual(['warning parent.timestamp']);
  expect(await rulesOf(path, { strictParent: true })).toEqual(['error parent.timestamp']);
  image('base.vhd', { id: 1, size: 32 * 1024 });
  expect(await rulesOf(path)).toEqual(['note parent.size']);
  image('base.vhd', { id: 2 });
  expect(await rulesOf(child('child.vhd', BASE, { parent: { id: 2, locators: BASE } }))).toEqual([
    'warning parent.same-uuid',
  ]);
});

it('what is wrong with a parent, as its own where the whole chain is checked', async () => {
  image('base.vhd', { id: 1, block: 0, shape: { blocks: [{ index: 0 }, { index: 1, entry: 1 }] } });
  const path = child('child.vhd', BASE);
  const { findings, ok } = await check(path, { chain: true });
  expect(ok).toBe(false);
  expect(findings[0]).toMatchObject({ rule: 'bat.in-metadata', path: at('base.vhd') });
  image('base.vhd', { id: 1, shape: { header: { headerVersion: 7 } } });
  const alone = await check(path);
  expect(alone.findings[0]).toMatchObject({ rule: 'parent.damaged', path, remedy: `vhd check ${at('base.vhd')}` });
  const both = await check(path, { chain: true });
  expect(both.findings.slice(0, 2).map(({ rule }) => rule)).toEqual(['header.version', 'parent.damaged']);
});

it('a locator that leads nowhere, where another name does not help', async () => {
  base('base.vhd');
  const path = child('child.vhd', [...BASE, ['Mac ', 'alias']]);
  expect(await rulesOf(path)).toEqual(['note locator.name']);
  rmSync(at('base.vhd'));
  writeFileSync(at('base.vhd'), 'no image');
  expect(await rulesOf(path)).toEqual(['error parent.missing', 'note locator.name']);
});

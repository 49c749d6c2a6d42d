// The command, killed at every call of the system that changes a file.
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { expect } from 'vitest';
import { openVhd } from '../../src/open.ts';
import { readJournal } from '../../src/open-journal.ts';
import { firstDifference } from '../support/bytes.ts';
import { childImage, parentImage } from '../support/child-images.ts';
import { useBuiltCommand, vhd } from '../support/cli.ts';
import { killAt } from '../support/kill-at.ts';
import { testWithPeers } from '../support/peers.ts';
import { useTempFolder } from '../support/temp.ts';

const folder = useTempFolder('relink-killed');
const command = useBuiltCommand();
const CALLS = ['pwrite64', 'pwritev', 'fdatasync', 'fsync', 'rename', 'link', 'unlink', 'ftruncate'];

testWithPeers(['strace'], 'vhd relink, killed at every change, is finished by the same command', async () => {
  const [child, parent] = [folder.file('child.vhd'), folder.file('moved/base.vhd')];
  const args = ['relink', child, '--parent', parent, '-q'];
  await mkdir(dirname(parent));
  await writeFile(parent, parentImage());
  const before = childImage();
  await writeFile(child, before);
  expect((await vhd(args)).code).toBe(0);
  const after = await readFile(child);
  const seen = { untouched: 0, pending: 0, done: 0 };
  const kill = async (call: string, count: number): Promise<boolean> => {
    await writeFile(child, before);
    if (!killAt({ command, log: folder.file('strace.txt') }, call, count, args)) return false;
    const found = await readFile(child);
    if ((await readJournal(child)) !== undefined) {
      seen.pending++;
      await expect(openVhd(child, { followParents: true })).rejects.toMatchObject({ code: 'ERR_VHD_JOURNAL' });
    } else if (firstDifference(found, before) === -1) seen.untouched++;
    else {
      seen.done++;
      expect(firstDifference(found, after)).toBe(-1);
    }
    const again = await vhd(args);
    expect(again.code, again.stderr).toBe(0);
    expect(firstDifference(await readFile(child), after)).toBe(-1);
    expect(await readJournal(child)).toBeUndefined();
    for (const name of await readdir(folder.path)) if (name.endsWith('.tmp')) await rm(folder.file(name));
    return true;
  };
  for (const call of CALLS) {
    let count = 1;
    while (await kill(call, count)) count++;
  }
  expect(seen.untouched).toBeGreaterThan(1);
  expect(seen.pending).toBeGreaterThan(3);
  expect(seen.done).toBeGreaterThan(0);
  expect((await readdir(folder.path)).sort()).toEqual(['child.vhd', 'moved', 'strace.txt']);
});

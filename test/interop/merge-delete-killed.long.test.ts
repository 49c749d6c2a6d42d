// `vhd merge --delete-merged`, killed wherever a name in a directory changes.
import { copyFile, mkdir, readdir } from 'node:fs/promises';
import { expect } from 'vitest';
import { openVhd } from '../../src/open.ts';
import { createImage } from '../../src/ops/create.ts';
import { firstDifference, pattern } from '../support/bytes.ts';
import { useBuiltCommand, vhd } from '../support/cli.ts';
import { killAt } from '../support/kill-at.ts';
import { testWithPeers } from '../support/peers.ts';
import { useTempFolder } from '../support/temp.ts';

const folder = useTempFolder('merge-delete-killed');
const command = useBuiltCommand();
const NAMES = ['base.vhd', 'link.vhd', 'child.vhd'] as const;

async function contentOf(path: string): Promise<Uint8Array> {
  await using disk = await openVhd(path);
  return await disk.readBytes(0, disk.size);
}

/** Reads what it did, or is refused, or is not there. */
async function expectSafe(path: string, content: Uint8Array): Promise<void> {
  const found = await contentOf(path).catch((error: unknown) => error);
  if (found instanceof Uint8Array) expect(firstDifference(found, content)).toBe(-1);
  else expect(['ERR_VHD_JOURNAL', 'ENOENT']).toContain((found as { code?: string }).code);
}

testWithPeers(
  ['strace'],
  'vhd merge --delete-merged, killed at every unlink, is finished by the same command',
  async () => {
    const [base, link, child] = NAMES.map((name) => folder.file(name)) as [string, string, string];
    for (const [index, path] of [base, link, child].entries()) {
      const parent = [base, link][index - 1];
      await createImage(path, parent === undefined ? { size: 1024 * 1024, blockSize: 512 * 1024 } : { parent });
      await using disk = await openVhd(path, { writable: true });
      await disk.write(pattern(4096, index), index * 2048);
    }
    await mkdir(folder.file('kept'));
    for (const name of NAMES) await copyFile(folder.file(name), folder.file(`kept/${name}`));
    const [between, content] = [await contentOf(link), await contentOf(child)];
    const args = ['merge', child, '--into', base, '--delete-merged', '-q'];
    const kill = async (call: string, count: number): Promise<boolean> => {
      for (const name of NAMES) await copyFile(folder.file(`kept/${name}`), folder.file(name));
      if (!killAt({ command, log: folder.file('strace.txt') }, call, count, args)) return false;
      await expectSafe(link, between);
      await expectSafe(child, content);
      const isDone = !(await readdir(folder.path)).some((name) => name.startsWith('child') && name.endsWith('.vhd'));
      const { code, stderr } = await vhd(args);
      // All may be done but for telling it.
      if (!isDone || code !== 4) expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
      expect(firstDifference(await contentOf(base), content)).toBe(-1);
      const left = (await readdir(folder.path)).filter((name) => name !== 'kept').sort();
      expect(left).toEqual(['base.vhd', 'strace.txt']);
      return true;
    };
    let count = 1;
    while (await kill('unlink', count)) count++;
    expect(count).toBeGreaterThan(4);
  },
);

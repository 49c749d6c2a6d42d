// The command, killed at every call of the system that changes a file.
import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { expect } from 'vitest';
import { openVhd } from '../../src/open.ts';
import { readJournal } from '../../src/open-journal.ts';
import { buildImage } from '../support/build-image.ts';
import { firstDifference, pattern } from '../support/bytes.ts';
import { useBuiltCommand, vhd } from '../support/cli.ts';
import { killAt } from '../support/kill-at.ts';
import { testWithPeers } from '../support/peers.ts';
import { useTempFolder } from '../support/temp.ts';

const folder = useTempFolder('resize-killed');
const command = useBuiltCommand();
const ALL_CALLS = ['pwrite64', 'pwritev', 'fdatasync', 'fsync', 'rename', 'unlink', 'ftruncate'];
const BLOCK = 4096;

/** A dynamic image of 160 KiB with data in its first and its last block. */
const BEFORE = buildImage({
  size: 40 * BLOCK,
  blockSize: BLOCK,
  blocks: [
    { index: 39, data: pattern(BLOCK, 1) },
    { index: 0, data: pattern(BLOCK, 2) },
  ],
});

/** Larger, with a table that moves; smaller, so that the file is cut. */
const RUNS: readonly (readonly [how: string, args: readonly string[], calls: readonly string[]])[] = [
  ['larger', ['4M'], ALL_CALLS],
  ['smaller', ['64K', '--allow-data-loss'], ['pwrite64', 'ftruncate']],
];

for (const [how, args, calls] of RUNS) {
  testWithPeers(
    ['strace'],
    `vhd resize to a ${how} disk, killed at every change, is finished by the same command`,
    async () => {
      const path = folder.file(`${how}.vhd`);
      const words = ['resize', path, ...args, '-q'];
      await writeFile(path, BEFORE);
      expect((await vhd(words)).code).toBe(0);
      const after = await readFile(path);
      const seen = { untouched: 0, pending: 0, done: 0 };
      const kill = async (call: string, count: number): Promise<boolean> => {
        await writeFile(path, BEFORE);
        await rm(`${path}.vhd-undo`, { force: true });
        if (!killAt({ command, log: folder.file('strace.txt') }, call, count, words)) return false;
        const found = await readFile(path);
        if ((await readJournal(path)) !== undefined) {
          seen.pending++;
          await expect(openVhd(path)).rejects.toMatchObject({ code: 'ERR_VHD_JOURNAL' });
        } else if (firstDifference(found, BEFORE) === -1) seen.untouched++;
        else {
          seen.done++;
          expect(firstDifference(found, after)).toBe(-1);
        }
        const again = await vhd(words);
        expect(again.code, again.stderr).toBe(0);
        expect(firstDifference(await readFile(path), after)).toBe(-1);
        expect(await readJournal(path)).toBeUndefined();
        const undone = await vhd(['undo', path]);
        expect(undone.code, undone.stderr).toBe(0);
        expect(firstDifference(await readFile(path), BEFORE)).toBe(-1);
        for (const name of await readdir(folder.path)) if (name.endsWith('.tmp')) await rm(folder.file(name));
        return true;
      };
      for (const call of calls) {
        let count = 1;
        while (await kill(call, count)) count++;
      }
      expect(seen.untouched).toBeGreaterThan(0);
      expect(seen.pending).toBeGreaterThan(3);
      expect(seen.done).toBeGreaterThan(calls === ALL_CALLS ? 0 : -1);
    },
  );
}

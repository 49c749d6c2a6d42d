import { readdir } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { vhd } from '../support/cli.ts';
import { useTempFolder } from '../support/temp.ts';

const folder = useTempFolder('cli-bench');
const SMALL = ['--size', '16M', '--rounds', '1'];

describe('bench', () => {
  it('prints a table, and removes its files', async () => {
    const { code, stdout } = await vhd(['bench', folder.path, ...SMALL]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^.* x .*, Node v/);
    expect(stdout).toMatch(/^workload +plain file +fixed +preallocated +dynamic +dyn\/fixed +dyn\/plain$/m);
    for (const workload of ['seq-1m', 'seq-4k', 'rand-4k']) {
      for (const state of ['fresh', 'again']) expect(stdout).toMatch(new RegExp(`^${workload} ${state} .* x$`, 'm'));
    }
    expect(await readdir(folder.path)).toEqual([]);
  });

  it('reports as JSON', async () => {
    const { stdout } = await vhd(['bench', folder.path, '--json', ...SMALL]);
    const report = JSON.parse(stdout) as { results: { workload: string; plain: object }[] };
    expect(report).toMatchObject({ schema: 'vhdkit/bench/1', rounds: 1 });
    expect(report.results).toHaveLength(6);
    const spread = {
      median: expect.any(Number) as number,
      min: expect.any(Number) as number,
      max: expect.any(Number) as number,
    };
    expect(report.results[0]).toMatchObject({
      workload: 'seq-1m',
      fresh: true,
      plain: spread,
      fixed: spread,
      dynamic: spread,
    });
  });

  it.each([
    [['--size', '1M'], 2, '--size: expected 16M or more'],
    [['--rounds', '0'], 2, '--rounds: expected a whole number from 1 to 9999'],
    [['--rounds', 'x'], 2, '--rounds: expected a whole number from 1 to 9999'],
  ])('refuses %j', async (flags, code, sentence) => {
    expect(await vhd(['bench', folder.path, ...flags])).toMatchObject({
      code,
      stderr: expect.stringContaining(sentence) as string,
    });
  });

  it('names the directory that is not there', async () => {
    const path = folder.file('nosuch');
    expect(await vhd(['bench', path, ...SMALL])).toMatchObject({
      code: 4,
      stderr: `vhd: ${path}: no such file or directory\n     check the name: ls -l shows what is there\n`,
    });
  });
});

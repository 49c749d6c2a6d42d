import { readdir, readFile, rm } from 'node:fs/promises';
import { describe, expect, it, vi } from 'vitest';
import { vhd } from '../support/cli.ts';
import { testWithPeers } from '../support/peers.ts';
import { useTempFolder } from '../support/temp.ts';
import { parseXml } from '../support/xml.ts';

const folder = useTempFolder('cli-bench');
const SMALL = ['--size', '16M', '--rounds', '1'];

describe('bench', () => {
  it('prints a table, draws a chart, and removes its files', async () => {
    const path = folder.file('chart.svg');
    const { code, stdout } = await vhd(['bench', folder.path, '--svg', path, ...SMALL]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^.* x .*, Node v/);
    expect(stdout).toMatch(/^workload +plain file +fixed +preallocated +dynamic +dyn\/fixed +dyn\/plain$/m);
    for (const workload of ['seq-1m', 'seq-4k', 'rand-4k']) {
      for (const state of ['fresh', 'again']) expect(stdout).toMatch(new RegExp(`^${workload} ${state} .* x$`, 'm'));
    }
    for (const workload of ['read-seq', 'read-rand-4k']) expect(stdout).toMatch(new RegExp(`^${workload} .* x$`, 'm'));
    expect(stdout).toMatch(/^CPU seconds +plain file +fixed +preallocated +dynamic$/m);
    expect(stdout).toMatch(/^peak memory [\d.]+ MiB$/m);
    const elements = parseXml(await readFile(path, 'utf8'));
    const texts = elements.filter(({ name }) => name === 'text').map(({ text }) => text);
    expect(texts).toEqual(expect.arrayContaining(['vhd bench: MiB/s, more is better', 'plain file', 'dynamic']));
    expect(texts).toEqual(expect.arrayContaining(['write 1 MiB in a row, fresh', 'read 4 KiB anywhere']));
    // A ground of its own: it is read on dark pages too.
    expect(elements.find(({ name }) => name === 'rect')?.attributes.get('fill')).toBe('#ffffff');
    const again = await vhd(['bench', folder.path, '--svg', path, ...SMALL]);
    expect(again).toMatchObject({ code: 2, stderr: expect.stringContaining('exists already') as string });
    await rm(path);
    expect(await readdir(folder.path)).toEqual([]);
  });

  it('reports as JSON', async () => {
    const { stdout } = await vhd(['bench', folder.path, '--json', ...SMALL]);
    const report = JSON.parse(stdout) as { results: { workload: string; plain: object }[] };
    expect(report).toMatchObject({ schema: 'vhdkit/bench/1', rounds: 1 });
    expect(report.results).toHaveLength(8);
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

  testWithPeers(['qemu-img'], 'measures qemu-img too', async () => {
    const { stdout } = await vhd(['bench', folder.path, '--qemu', '--json', ...SMALL]);
    const { qemu, results } = JSON.parse(stdout) as { qemu: string; results: Record<string, unknown>[] };
    expect(qemu).toMatch(/^qemu-img version/);
    const measured = results.filter(({ qemuDynamic }) => qemuDynamic !== undefined).map(({ workload }) => workload);
    expect(measured).toEqual(['seq-1m', 'seq-1m', 'seq-4k', 'seq-4k', 'read-seq']);
    expect(results[0]?.['dynamicToQemuDynamic']).toBeGreaterThan(0);
    expect(await readdir(folder.path)).toEqual([]);
  });

  it('prints the chart alone to standard output, and says that qemu-img is not there where it was asked for', async () => {
    vi.stubEnv('PATH', folder.path);
    const { code, stdout, stderr } = await vhd(['bench', folder.path, '--svg', '-', '--qemu', ...SMALL]);
    vi.unstubAllEnvs();
    expect([code, parseXml(stdout)[0]?.name]).toEqual([0, 'svg']);
    expect(stderr).toBe('vhd: warning: qemu-img not found: it was not measured\n');
    expect(stdout).not.toContain('qemu');
  });

  it.each([
    [['--svg', '-', '--json'], 2, '--svg - and --json both go to standard output'],
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

import { chmod, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { describe, expect, it, vi } from 'vitest';
import { runBench } from '../../src/ops/bench.ts';
import type { BenchReport } from '../../src/ops/bench-report.ts';
import { type CallResult, vhd } from '../support/cli.ts';
import { testWithPeers } from '../support/peers.ts';
import { useTempFolder } from '../support/temp.ts';
import { parseXml } from '../support/xml.ts';

vi.mock('../../src/ops/bench.ts', { spy: true });

const folder = useTempFolder('cli-bench');
const SMALL = ['--size', '16M', '--rounds', '1'];
const NO_QEMU = 'vhd: warning: qemu-img not found: it was not measured\n';

const { runBench: measure } = await vi.importActual<{ runBench: typeof runBench }>('../../src/ops/bench.ts');
let kept: BenchReport | undefined;

/** `vhd bench`, measured the first time only: from then on the same figures are shown. */
async function bench(...flags: string[]): Promise<CallResult> {
  vi.mocked(runBench).mockImplementationOnce(async (options) => (kept ??= await measure(options)));
  return vhd(['bench', folder.path, ...flags, ...SMALL]);
}

describe('bench', () => {
  it('prints a table, draws a chart, and removes its files; qemu-img was asked for, and is not there', async () => {
    const path = folder.file('chart.svg');
    vi.stubEnv('PATH', folder.path);
    const { code, stdout, stderr } = await bench('--svg', path, '--qemu');
    vi.unstubAllEnvs();
    expect([code, stderr]).toEqual([0, NO_QEMU]);
    const asked = { directory: folder.path, sizeBytes: 16 * 1024 ** 2, rounds: 1, qemu: true };
    expect(runBench).toHaveBeenLastCalledWith(expect.objectContaining(asked));
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
    const { stdout } = await bench('--json');
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

  it('prints the chart alone to standard output', async () => {
    const { code, stdout } = await bench('--svg', '-');
    expect([code, parseXml(stdout)[0]?.name]).toEqual([0, 'svg']);
    expect(stdout).not.toContain('qemu');
  });

  // A name that qemu-img takes for a protocol, if it gets it as it is.
  testWithPeers(['qemu-img'], 'measures qemu-img too, in a directory of any name', async () => {
    await mkdir(folder.file('x:y'));
    const before = process.cwd();
    process.chdir(folder.path);
    const call = vhd(['bench', 'x:y', '--qemu', '--json', ...SMALL]);
    const { stdout, stderr } = await call.finally(() => process.chdir(before));
    expect(stderr).toBe('');
    const { qemu, results } = JSON.parse(stdout) as { qemu: string; results: Record<string, unknown>[] };
    expect(qemu).toMatch(/^qemu-img version/);
    const measured = results.filter(({ qemuDynamic }) => qemuDynamic !== undefined).map(({ workload }) => workload);
    expect(measured).toEqual(['seq-1m', 'seq-1m', 'seq-4k', 'seq-4k', 'read-seq']);
    expect(results[0]?.['dynamicToQemuDynamic']).toBeGreaterThan(0);
    expect(await readdir(folder.file('x:y'))).toEqual([]);
    await rm(folder.file('x:y'), { recursive: true });
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

  it.each([
    ['it is broken', "echo 'qemu-img: it is broken' >&2; exit 1", 0o755],
    ['exit code 3', 'exit 3', 0o755],
    ['ended by SIGKILL', 'kill -9 $$', 0o755],
    ['spawn qemu-img EACCES', 'exit 0', 0o644],
  ])('says that qemu-img failed: %s', async (reason, line, mode) => {
    const path = folder.file('qemu-img');
    await writeFile(path, `#!/bin/sh\n${line}\n`);
    await chmod(path, mode);
    vi.stubEnv('PATH', folder.path);
    const { code, stderr } = await vhd(['bench', folder.path, '--qemu', '--json', ...SMALL]);
    vi.unstubAllEnvs();
    await rm(path);
    expect(code).toBe(4);
    expect(JSON.parse(stderr)).toMatchObject({
      code: 'ERR_QEMU_IMG',
      message: `qemu-img failed: ${reason}`,
      path: null,
    });
  });
});

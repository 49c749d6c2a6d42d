// What is left when the built command is told to end.
import { type ChildProcess, spawn } from 'node:child_process';
import { open, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { beforeAll, describe, expect, it } from 'vitest';
import { pattern } from '../support/bytes.ts';
import { ended, type ProcessResult, useBuiltCommand, vhd } from '../support/cli.ts';
import { useTempFolder } from '../support/temp.ts';

const folder = useTempFolder('cli-signals');
const command = useBuiltCommand();

beforeAll(async () => {
  await writeFile(folder.file('disk.raw'), pattern(1024 ** 2));
});

function start(args: readonly string[], stdin: 'pipe' | 'ignore' = 'ignore'): ChildProcess {
  return spawn(process.execPath, [command.path, ...args], { cwd: folder.path, stdio: [stdin, 'pipe', 'pipe'] });
}

/** Waits until the command has made a file whose name has a pattern. */
async function appears(name: RegExp, child: ChildProcess): Promise<void> {
  while (!(await readdir(folder.path)).some((entry) => name.test(entry))) {
    if (child.exitCode !== null) throw new Error(`it ended with ${child.exitCode} before there was a file`);
    await sleep(10);
  }
}

/** Feeds a conversion without end, and interrupts it when it is at work. */
async function interruptConversion(args: readonly string[], ...signals: NodeJS.Signals[]): Promise<ProcessResult> {
  const child = start(['convert', '-', ...args], 'pipe');
  const end = ended(child);
  // Something to work with, and then nothing: it is waiting for more when the signal comes.
  child.stdin?.on('error', () => undefined).write(pattern(3 * 1024 ** 2));
  await appears(/^\.out\..*\.tmp$/, child);
  for (const signal of signals) child.kill(signal);
  return end;
}

describe.each([
  ['SIGINT', 130, 'interrupted'],
  ['SIGTERM', 143, 'terminated'],
] as const)('%s', (signal, code, word) => {
  it.each([[['out.vhd']], [['out.raw']], [['out.vhd', '--to', 'fixed']]])('leaves nothing of %j', async (args) => {
    const result = await interruptConversion(args, signal);
    expect(result).toEqual({ code, signal: null, stdout: '', stderr: `vhd: ${word}\n` });
    expect((await readdir(folder.path)).filter((name) => name.includes('out.'))).toEqual([]);
  });

  it('sent twice at once, as to a process and its group, is one', async () => {
    for (let round = 0; round < 4; round++) {
      expect(await interruptConversion(['out.vhd'], signal, signal)).toMatchObject({ code });
      expect((await readdir(folder.path)).filter((name) => name.includes('out.'))).toEqual([]);
    }
  });

  it('leaves a file alone that was to be replaced', async () => {
    await writeFile(folder.file('out.vhd'), 'dear');
    expect(await interruptConversion(['out.vhd', '--force'], signal)).toMatchObject({ code });
    expect((await readdir(folder.path)).filter((name) => name.includes('out.'))).toEqual(['out.vhd']);
    expect(await readFile(folder.file('out.vhd'), 'utf8')).toBe('dear');
    await rm(folder.file('out.vhd'));
  });

  it('ends a conversion whose reader does not read', async () => {
    await writeFile(folder.file('large.raw'), '');
    await truncate(folder.file('large.raw'), 64 * 1024 ** 2);
    const child = start(['convert', 'large.raw', '-', '--to', 'raw']);
    await new Promise((resolve) => child.stdout?.once('readable', resolve));
    const closed = new Promise((resolve) => child.once('exit', resolve));
    child.kill(signal);
    expect(await closed).toBe(code);
    child.stdout?.destroy();
  });

  it('leaves an image that it writes into valid', async () => {
    await vhd(['create', folder.file('target.vhd'), '1G', '--force']);
    const child = start(['write', 'target.vhd'], 'pipe');
    const end = ended(child);
    child.stdin?.on('error', () => undefined).write(pattern(8 * 1024 ** 2));
    const handle = await open(folder.file('target.vhd'));
    while ((await handle.stat()).size < 4 * 1024 ** 2) await sleep(10);
    await handle.close();
    child.kill(signal);
    expect(await end).toMatchObject({ code, stderr: `vhd: ${word}\n` });
    expect(await vhd(['info', folder.file('target.vhd'), '--strict'])).toMatchObject({ code: 0, stderr: '' });
  });

  it('removes the files of a benchmark', async () => {
    const child = start(['bench', '.', '--rounds', '100']);
    const end = ended(child);
    await appears(/^vhd-bench-/, child);
    child.kill(signal);
    expect(await end).toMatchObject({ code, stdout: '' });
    expect((await readdir(folder.path)).filter((name) => name.startsWith('vhd-bench-'))).toEqual([]);
  });
});

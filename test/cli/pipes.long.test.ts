// The built command among other programs.
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { beforeAll, describe, expect, it } from 'vitest';
import { pattern } from '../support/bytes.ts';
import { ended, type ProcessResult, shell, useBuiltCommand } from '../support/cli.ts';
import { gptDisk, LINUX } from '../support/tables.ts';
import { useTempFolder } from '../support/temp.ts';

const folder = useTempFolder('cli-pipes');
const command = useBuiltCommand();
const MIB = 1024 ** 2;
const disk = new Uint8Array(12 * MIB);
for (const start of [0, 4, 9]) disk.set(pattern(2 * MIB, start), start * MIB);
const hash = createHash('sha256').update(disk).digest('hex');

const sh = (line: string): Promise<ProcessResult> => shell(command, folder.path, `set -o pipefail; ${line}`);

beforeAll(async () => {
  await writeFile(folder.file('disk.raw'), disk);
  expect(await sh('$vhd convert disk.raw disk.vhd')).toMatchObject({ code: 0, stderr: '' });
});

describe('pipes', () => {
  it.each(['fixed', 'dynamic'])('cat disk.raw | vhd convert - out.vhd --to %s', async (to) => {
    const line = `cat disk.raw | $vhd convert - ${to}.vhd --to ${to} -q && $vhd read ${to}.vhd | sha256sum`;
    expect(await sh(line)).toEqual({ code: 0, signal: null, stdout: `${hash}  -\n`, stderr: '' });
  });

  it.each(['raw', 'fixed', 'dynamic'])('vhd convert disk.vhd - --to %s | vhd convert - - --to raw', async (to) => {
    const line = `$vhd convert disk.vhd - --to ${to} -q | $vhd convert - - --to raw -q | sha256sum`;
    expect(await sh(line)).toEqual({ code: 0, signal: null, stdout: `${hash}  -\n`, stderr: '' });
  });

  it('vhd convert disk.raw - --to dynamic into a file that opens', async () => {
    const line =
      '$vhd convert disk.raw - --to dynamic -q > piped.vhd && $vhd info piped.vhd --strict > /dev/null && $vhd read piped.vhd | sha256sum';
    expect(await sh(line)).toMatchObject({ code: 0, stdout: `${hash}  -\n` });
  });

  it('reads a file that is standard input, and a pipe that has a name', async () => {
    expect(
      await sh('$vhd convert - redirected.vhd -q < disk.raw && $vhd read redirected.vhd | sha256sum'),
    ).toMatchObject({ stdout: `${hash}  -\n` });
    expect(await sh('$vhd convert <(cat disk.raw) named.vhd -q && $vhd read named.vhd | sha256sum')).toMatchObject({
      stdout: `${hash}  -\n`,
    });
  });

  it('writes to a pipe that has a name, and to devices', async () => {
    const line = 'mkfifo out && (sha256sum < out) & sleep 0.1; $vhd convert disk.vhd out --to raw -q; wait; rm out';
    expect(await sh(line)).toMatchObject({ code: 0, stdout: `${hash}  -\n`, stderr: '' });
    expect(await sh('$vhd convert disk.vhd /dev/null --to fixed -q')).toMatchObject({ code: 0, stderr: '' });
  });

  it('vhd write takes a pipe', async () => {
    const line = 'cat disk.raw | $vhd write blank.vhd -q && $vhd read blank.vhd | sha256sum';
    expect(await sh(`$vhd create blank.vhd 12M -q && ${line}`)).toEqual({
      code: 0,
      signal: null,
      stdout: `${hash}  -\n`,
      stderr: '',
    });
  });

  it('notices a stream that was cut short', async () => {
    const { code, stderr } = await sh(
      '$vhd convert disk.vhd - --to dynamic -q | head -c 5000000 | $vhd convert - cut.raw; exit ${PIPESTATUS[2]}',
    );
    expect(code).toBe(3);
    expect(stderr).toMatch(/^vhd: standard input: the stream ends too early: expected .*\n {5}get the whole file/);
    expect(await readdir(folder.path)).not.toContain('cut.raw');
  });
});

it.skipIf(process.platform !== 'linux').each([
  ['raw', ['/dev/null', '--to', 'raw']],
  ['fit for Azure, to a pipe', ['-', '--azure', '--input-size', '160M']],
  ['fit for Azure, to a file', ['memory.vhd', '--azure', '--input-size', '160M']],
])('a conversion of a pipe holds little in memory: %s', async (_what, args) => {
  const child = spawn(process.execPath, [command.path, 'convert', '-', ...args, '-q'], {
    cwd: folder.path,
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  const end = ended(child);
  const table = gptDisk({ sectorCount: (160 * MIB) / 512, entries: [{ type: LINUX, first: 2048, last: 320_000 }] });
  const data = pattern(MIB);
  for (let start = 0; start < table.length; start += MIB) {
    const isTable = start === 0 || start + MIB === table.length;
    const piece = isTable ? table.subarray(start, start + MIB) : data;
    await new Promise((resolve) => child.stdin.write(piece, resolve));
  }
  const status = await readFile(`/proc/${child.pid ?? 0}/status`, 'utf8');
  child.stdin.end();
  expect(await end).toMatchObject({ code: 0 });
  expect(Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1]) / 1024).toBeLessThan(128);
});

describe('a broken pipe', () => {
  it.each(['convert disk.vhd - --to raw', 'convert disk.raw - --to dynamic', 'read disk.vhd'])(
    'vhd %s | head is quiet, with 141',
    async (call) => {
      const { stdout, stderr } = await sh(`$vhd ${call} | head -c 1000 | wc -c; echo \${PIPESTATUS[0]}`);
      expect([stdout.trim().split(/\s+/), stderr]).toEqual([['1000', '141'], '']);
    },
  );

  it('is quiet for reports too', async () => {
    expect(await sh('(sleep 0.5; $vhd info disk.vhd) | true; exit ${PIPESTATUS[0]}')).toMatchObject({
      code: 141,
      stderr: '',
    });
  });

  it('on standard error changes nothing', async () => {
    expect(await sh('$vhd info nosuch.vhd 2>&1 >/dev/null | true; exit ${PIPESTATUS[0]}')).toMatchObject({ code: 4 });
  });
});

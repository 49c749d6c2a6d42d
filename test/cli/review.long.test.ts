import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { shell, useBuiltCommand } from '../support/cli.ts';

const command = useBuiltCommand();
let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'vhdkit-review-'));
  await writeFile(join(folder, 'disk.raw'), Buffer.alloc(64 * 1024, 'data'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const run = (line: string) => shell(command, folder, line);

describe('standard output that is a file and takes only a part', () => {
  it.each(['$vhd convert disk.raw - --to raw -q', '$vhd read disk.raw -q', '$vhd convert disk.raw - --to fixed -q'])(
    'is an error and no success: %s',
    async (line) => {
      const { code, stderr } = await run(`ulimit -f 32; ${line} > out`);
      expect([code, stderr]).toEqual([4, expect.stringContaining('standard output')]);
      expect((await stat(join(folder, 'out'))).size).toBeLessThan(64 * 1024);
    },
  );
});

describe('write', () => {
  it('refuses the CHS size and changes nothing', async () => {
    await run('$vhd convert disk.raw disk.vhd -q');
    const before = await readFile(join(folder, 'disk.vhd'));
    const { code } = await run('$vhd write disk.vhd disk.raw --size-from chs');
    expect(code).toBe(2);
    expect(Buffer.compare(await readFile(join(folder, 'disk.vhd')), before)).toBe(0);
  });

  it('has written what fits of a pipe that is too long, as it says', async () => {
    const { code } = await run('$vhd create small.vhd 32K -q; cat disk.raw | $vhd write small.vhd');
    expect(code).toBe(3);
    const { code: compared } = await run('$vhd read small.vhd | cmp - <(head -c 32K disk.raw)');
    expect(compared).toBe(0);
  });
});

describe('a named pipe', () => {
  it.each(['info', 'read'])('without a writer does not hold up %s', async (verb) => {
    const { code, stderr } = await run(`mkfifo pipe; timeout -k 1 20 $vhd ${verb} pipe`);
    expect([code, stderr]).toEqual([4, expect.stringContaining('it is a pipe')]);
  });

  it('without a writer lets the command be interrupted, and leaves nothing', async () => {
    const { stderr } = await run('mkfifo pipe; timeout -s INT -k 5 3 $vhd convert pipe out.raw --to raw; ls -A >&2');
    expect(stderr.split('\n').filter((line) => line.includes('out.raw'))).toEqual([]);
    expect(stderr).toContain('interrupted');
  });

  it('carries a disk in and out', async () => {
    const { code } = await run(
      'mkfifo in out; cat disk.raw > in & $vhd convert in disk.vhd -q && { $vhd convert disk.vhd out --to raw -q & cmp out disk.raw; }',
    );
    expect(code).toBe(0);
  });
});

describe('surroundings', () => {
  it('may set a time before 2000', async () => {
    expect(await run('SOURCE_DATE_EPOCH=315532800 $vhd create old.vhd 1M -q')).toMatchObject({ code: 0 });
  });

  it('are told of by the name the user gave', async () => {
    const { code, stderr } = await run('$vhd convert disk.raw missing/out.vhd');
    expect([code, stderr]).toEqual([4, expect.not.stringContaining('.tmp')]);
    expect(stderr).toContain('missing');
  });

  it('may hang up: the temporary file goes', async () => {
    const { stdout } = await run(
      'mkfifo pipe; $vhd convert pipe out.raw --to raw & sleep 1; kill -HUP $!; wait $!; echo $?; ls -A',
    );
    expect(stdout.split('\n').filter((line) => line.includes('.tmp'))).toEqual([]);
    expect(stdout).toMatch(/^129\n/);
  });
});

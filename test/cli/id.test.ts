import { execFileSync } from 'node:child_process';
import { appendFile, copyFile, mkdir, rename, truncate, writeFile } from 'node:fs/promises';
import { gzipSync } from 'node:zlib';
import { beforeAll, describe, expect, it } from 'vitest';
import { createImage } from '../../src/ops/create.ts';
import { buildImage } from '../support/build-image.ts';
import { vhd } from '../support/cli.ts';
import { useTempFolder } from '../support/temp.ts';

const folder = useTempFolder('cli-id');
const MIB = 1024 ** 2;

beforeAll(async () => {
  const identity = { uuid: '00112233-4455-6677-8899-aabbccddeeff', timestamp: new Date('2022-12-08T12:00:00Z') };
  await createImage(folder.file('dynamic.vhd'), { ...identity, size: 10 * MIB });
  await createImage(folder.file('fixed.vhd'), { ...identity, size: 10 * MIB, type: 'fixed' });
  await copyFile(folder.file('fixed.vhd'), folder.file('grown.vhd'));
  await truncate(folder.file('grown.vhd'), 12 * MIB);
  await writeFile(folder.file('disk.raw.gz'), gzipSync(Buffer.alloc(100)));
  await writeFile(folder.file('zeros.img'), new Uint8Array(MIB));
  await writeFile(folder.file('empty'), '');
  await mkdir(folder.file('directory'));
});

describe('id', () => {
  it('says in a line what each file is, in columns', async () => {
    const names = ['dynamic.vhd', 'fixed.vhd', 'disk.raw.gz', 'zeros.img', 'empty'];
    const { code, stdout, stderr } = await vhd(['id', ...names.map((name) => folder.file(name))]);
    expect([code, stderr]).toEqual([0, '']);
    const lines = stdout.replaceAll(`${folder.path}/`, '').trimEnd().split('\n');
    expect(lines).toEqual([
      "dynamic.vhd: vhd-dynamic — dynamic VHD, 10 MiB, creator 'win ' 10.0, made 2022-12-08, no partition table",
      "fixed.vhd:   vhd-fixed — fixed VHD, 10 MiB, creator 'win ' 10.0, made 2022-12-08, no partition table",
      'disk.raw.gz: gzip — gzip file',
      'zeros.img:   unknown — all zeros at both ends',
      'empty:       unknown — empty file',
    ]);
  });

  it('prints one object for a file, and one a line for several', async () => {
    const one = await vhd(['id', '--json', folder.file('fixed.vhd')]);
    expect(JSON.parse(one.stdout)).toMatchObject({
      schema: 'vhdkit/id/1',
      path: folder.file('fixed.vhd'),
      kind: 'vhd-fixed',
      mime: 'application/x-virtualbox-vhd',
      virtualSize: 10 * MIB,
      fileSize: 10 * MIB + 512,
      contents: { scheme: 'none', partitions: [] },
    });
    expect(one.stdout.split('\n').length).toBeGreaterThan(10);
    const two = await vhd(['id', '--json', folder.file('fixed.vhd'), folder.file('empty')]);
    const kinds = two.stdout
      .trimEnd()
      .split('\n')
      .map((line) => (JSON.parse(line) as { kind: string }).kind);
    expect(kinds).toEqual(['vhd-fixed', 'unknown']);
  });

  it('prints media types as file does', async () => {
    const { stdout } = await vhd(['id', '--mime', folder.file('disk.raw.gz'), folder.file('empty')]);
    expect(stdout.replaceAll(`${folder.path}/`, '')).toBe(
      'disk.raw.gz: application/gzip\nempty:       inode/x-empty\n',
    );
  });

  it('finds a footer as far back as it is told, and the command it names mends the file', async () => {
    const grown = folder.file('grown.vhd');
    expect((await vhd(['id', grown])).stdout).toMatch(/unknown — .*; named \.vhd, but it has no footer of a VHD$/m);
    const { code, stdout } = await vhd(['id', '--search', '4M', '--json', grown]);
    const found = JSON.parse(stdout) as { kind: string; remedy: string };
    expect([code, found.kind]).toEqual([0, 'vhd-displaced-footer']);
    execFileSync('sh', ['-c', found.remedy]);
    expect((await vhd(['id', grown])).stdout).toContain(': vhd-fixed — ');
  });

  it('mends what it says it does also where the name is odd and bytes are missing', async () => {
    const [odd, image] = [folder.file("-it's $HOME.vhd"), folder.file('dynamic.vhd')];
    await copyFile(image, odd);
    await appendFile(odd, 'x'.repeat(300));
    const { remedy } = JSON.parse((await vhd(['id', '--json', odd])).stdout) as { remedy: string };
    execFileSync('sh', ['-c', remedy]);
    await rename(odd, folder.file('odd.vhd'));
    expect((await vhd(['id', folder.file('odd.vhd')])).stdout).toContain(': vhd-dynamic — ');
  });

  it('goes on after files that cannot be read, and ends with 4', async () => {
    const missing = folder.file('missing');
    const { code, stdout, stderr } = await vhd(['id', missing, folder.file('directory'), folder.file('empty')]);
    expect(code).toBe(4);
    expect(stdout).toContain('empty file');
    expect(stderr).toMatch(/missing: no such file or directory\n.*\n.*directory: it is a directory/);
  });

  it('wants both ends: no pipe', async () => {
    const fifo = folder.file('fifo');
    execFileSync('sh', ['-c', 'mkfifo "$0"', fifo]);
    for (const [file, found] of [
      [fifo, 'a pipe'],
      ['-', '-'],
    ] as const) {
      const { code, stdout, stderr } = await vhd(['id', file]);
      expect([code, stdout]).toEqual([2, '']);
      expect(stderr).toContain(`id needs both ends: expected a file, found ${found}`);
    }
  });

  it('answers usage with usage', async () => {
    expect((await vhd(['id'])).code).toBe(2);
    expect((await vhd(['id', '--search', '4GB', folder.file('empty')])).code).toBe(2);
    const help = await vhd(['id', '--help']);
    expect(help.stdout).toMatch(/Examples:\n {2}vhd id disk\.vhd/);
  });

  it('prints no control characters out of a name or a file', async () => {
    const name = folder.file('bell\u0007.vhd');
    await writeFile(name, buildImage({ size: MIB, footer: { creatorApplication: '\u001b[2J' } }));
    const { stdout } = await vhd(['id', name]);
    expect(stdout).toContain('bell\\u{7}.vhd: ');
    expect(stdout).toContain(String.raw`creator '\u{1b}[2J'`);
    expect(Array.from(stdout).filter((character) => character < ' ')).toEqual(['\n']);
  });
});

import { copyFile, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Disk } from '../../src/disk/disk.ts';
import { openDisk } from '../../src/open.ts';
import { undoPath } from '../../src/open-journal.ts';
import { pattern } from '../support/bytes.ts';
import { vhd } from '../support/cli.ts';
import { whyNoLocks } from '../support/locks.ts';
import { useTempFolder } from '../support/temp.ts';

const folder = useTempFolder('cli-locks');
const noLocks = await whyNoLocks();
const disks: Disk[] = [];
let image: string;
let raw: string;
let source: string;
let target: string;

beforeEach(async () => {
  image = folder.file('disk.vhd');
  raw = folder.file('disk.raw');
  source = folder.file('source');
  target = folder.file('target.raw');
  await writeFile(raw, pattern(65_536));
  await writeFile(source, pattern(512, 9));
  await vhd(['convert', raw, image, '--force']);
});

afterEach(async () => {
  vi.unstubAllEnvs();
  await Promise.all(disks.splice(0).map((disk) => disk.close()));
});

async function hold(path: string, writable: boolean): Promise<void> {
  disks.push((await openDisk(path, { writable })).disk);
}

describe('a dry run of what changes an image', () => {
  it.skipIf(noLocks !== undefined)('only reads it: others may read it meanwhile', async () => {
    const child = folder.file('dry-child.vhd');
    await vhd(['snapshot', image, child, '--force']);
    await vhd(['set', child, '--creator', 'abcd']);
    await hold(child, false);
    for (const args of [
      ['set', child, '--creator', 'efgh'],
      ['undo', child],
      ['relink', child, '--parent', image],
    ]) {
      expect(await vhd([...args, '--dry-run'])).toMatchObject({ code: 0, stderr: '' });
      expect((await vhd(args)).stderr).toContain(READING);
    }
    for (const path of [child, undoPath(child)]) await rm(path);
  });
});

const WRITING = 'it is in use: another program, or another opening in this one, is writing to it';
const READING = 'it is in use: another program, or another opening in this one, is reading it';
const TOLD = 'another program is writing to the file: what is told of it may be out of date';

describe.skipIf(noLocks !== undefined)(`an image${noLocks === undefined ? '' : ` (skipped: ${noLocks})`}`, () => {
  const verbs = (path: string): string[][] => [
    ['write', path, source],
    ['read', path],
    ['map', path],
    ['convert', path, folder.file('never.vhd'), '--to', 'fixed'],
    ['convert', path, '--in-place', '--to', 'raw'],
  ];

  it('that is written to is refused, and left as it is', async () => {
    for (const path of [image, raw]) {
      const before = await readFile(path);
      await hold(path, true);
      for (const line of verbs(path)) {
        const { code, stdout, stderr } = await vhd(line);
        const remedy = '     wait until it is done with; --no-lock (lock: false) opens it all the same\n';
        expect([line[0], code, stdout, stderr]).toEqual([line[0], 3, '', `vhd: ${path}: ${WRITING}\n${remedy}`]);
      }
      expect((await readFile(path)).equals(before)).toBe(true);
      await expect(readFile(folder.file('never.vhd'))).rejects.toMatchObject({ code: 'ENOENT' });
    }
  });

  it('that is written to is refused in JSON too', async () => {
    await hold(image, true);
    const { code, stderr } = await vhd(['write', image, source, '--json']);
    expect(code).toBe(3);
    expect(JSON.parse(stderr)).toMatchObject({ code: 'ERR_VHD_IN_USE', path: image, message: WRITING, exitCode: 3 });
  });

  it('that is read is read by others, and not written to', async () => {
    await hold(image, false);
    const codes: number[] = [];
    for (const line of verbs(image)) codes.push((await vhd(line)).code);
    expect(codes).toEqual([3, 0, 0, 0, 3]);
    const { stderr } = await vhd(['write', image, source]);
    expect(stderr).toContain('it is in use: another program, or another opening in this one, is reading it\n');
    await rm(folder.file('never.vhd'));
  });

  it('that is written to is opened all the same with --no-lock', async () => {
    await hold(image, true);
    for (const line of [
      ['write', image, source],
      ['read', image, '-o', target, '--force'],
      ['map', image],
    ]) {
      expect(await vhd([...line, '--no-lock'])).toMatchObject({ code: 0, stderr: '' });
    }
    // A disk open without a lock is no hindrance to others either.
    await Promise.all(disks.splice(0).map((disk) => disk.close()));
    disks.push((await openDisk(image, { writable: true, lock: false })).disk);
    expect(await vhd(['read', image, '-o', target, '--force'])).toMatchObject({ code: 0, stderr: '' });
  });

  const replacing = (path: string): string[][] => [
    ['convert', source, path, '--from', 'raw', '--to', 'raw'],
    ['create', path, '1M'],
    ['read', source, '-o', path],
    ['map', source, '--svg', path],
    ['convert', source, path, '--from', 'raw', '--in-place', '--to', 'raw'],
  ];

  it.each([
    ['written to', true, WRITING],
    ['read', false, READING],
  ])('that is %s is not replaced', async (_how, writable, message) => {
    const before = await readFile(image);
    await hold(image, writable);
    for (const line of replacing(image)) {
      const { code, stderr } = await vhd([...line, '--force']);
      expect([line, code, stderr]).toEqual([line, 3, expect.stringContaining(`${image}: ${message}\n`)]);
    }
    expect((await readFile(image)).equals(before)).toBe(true);
    expect(await readFile(source)).toHaveLength(512);
  });

  it('that nobody has open, or that is no matter by --no-lock, is replaced', async () => {
    for (const held of [false, true]) {
      for (const line of replacing(image)) {
        await writeFile(source, pattern(512, 9));
        const disk = held ? (await openDisk(image, { from: 'raw', writable: true })).disk : undefined;
        const { ino } = await stat(image);
        expect(await vhd([...line, '--force', ...(held ? ['--no-lock'] : [])])).toMatchObject({ code: 0 });
        expect([line, (await stat(image)).ino]).not.toEqual([line, ino]);
        await disk?.close();
        await writeFile(image, pattern(1024));
      }
    }
  });

  it('that is written to is shown by info, with a warning', async () => {
    for (const path of [image, raw]) {
      await hold(path, true);
      const { code, stdout } = await vhd(['info', path]);
      expect([code, stdout]).toEqual([0, expect.stringContaining(`warning  ${TOLD} [file.in-use]\n`) as string]);
      expect(JSON.parse((await vhd(['info', path, '--json'])).stdout)).toMatchObject({
        readable: true,
        findings: [{ rule: 'file.in-use', severity: 'warning', message: TOLD }],
      });
      expect((await vhd(['info', path, '--strict'])).code).toBe(1);
      expect((await vhd(['info', path, '--no-lock'])).stdout).not.toContain('file.in-use');
    }
  });

  it('that is written to is told by id, with a warning', async () => {
    await hold(image, true);
    const { code, stdout } = await vhd(['id', image]);
    expect([code, stdout]).toEqual([0, expect.stringMatching(new RegExp(`vhd-dynamic — .*; ${TOLD}\n$`)) as string]);
    expect(JSON.parse((await vhd(['id', image, '--json'])).stdout)).toMatchObject({ problems: [TOLD] });
  });

  it('that is only read is nothing to be told of', async () => {
    await hold(image, false);
    expect((await vhd(['info', image])).stdout).not.toContain('another program');
    expect((await vhd(['id', image])).stdout).not.toContain('another program');
  });
});

describe('without the native helper', () => {
  const message =
    'nothing keeps other programs from writing to it at the same time: it is not locked (turned off by VHDKIT_NATIVE=0)';
  const warning = (path: string): string => `vhd: warning: ${path}: ${message}\n`;

  beforeEach(() => {
    vi.stubEnv('VHDKIT_NATIVE', '0');
  });

  it('who writes is warned', async () => {
    expect(await vhd(['write', image, source])).toMatchObject({ code: 0, stderr: warning(image) });
    const { stdout, stderr } = await vhd(['write', image, source, '--json']);
    expect([stderr, JSON.parse(stdout)]).toEqual(['', expect.objectContaining({ warnings: [message] })]);
    await copyFile(raw, folder.file('flat.raw'));
    const inPlace = await vhd(['convert', folder.file('flat.raw'), '--in-place', '--to', 'fixed']);
    expect([inPlace.code, inPlace.stderr]).toEqual([0, expect.stringContaining(warning(folder.file('flat.raw')))]);
  });

  it('who reads, or wants no lock, is not', async () => {
    for (const line of [
      ['read', image, '-o', target, '--force'],
      ['map', image],
      ['convert', image, target, '--force'],
      ['info', image],
      ['id', image],
      ['write', image, source, '--no-lock'],
      ['create', image, '1M', '--force'],
    ]) {
      expect([line[0], await vhd(line)]).toMatchObject([line[0], { code: 0, stderr: '' }]);
    }
  });
});

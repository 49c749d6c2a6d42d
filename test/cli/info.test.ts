import { copyFile, truncate, writeFile } from 'node:fs/promises';
import { beforeAll, describe, expect, it } from 'vitest';
import { createImage } from '../../src/ops/create.ts';
import { buildImage } from '../support/build-image.ts';
import { vhd } from '../support/cli.ts';
import { useTempFolder } from '../support/temp.ts';

const folder = useTempFolder('cli-info');
const MIB = 1024 ** 2;

beforeAll(async () => {
  const identity = { uuid: '00112233-4455-6677-8899-aabbccddeeff', timestamp: new Date('2025-01-31T12:00:00Z') };
  await createImage(folder.file('dynamic.vhd'), { ...identity, size: 10 * MIB });
  await createImage(folder.file('fixed.vhd'), { ...identity, size: 10 * MIB, type: 'fixed', creator: 'vbox' });
  await writeFile(folder.file('disk.raw'), new Uint8Array(MIB));
  await writeFile(folder.file('short.raw'), new Uint8Array(100));
  await writeFile(folder.file('empty.raw'), '');
  await writeFile(folder.file('nofooter.vhd'), new Uint8Array(MIB));
  await writeFile(folder.file('qcow.vhd'), Buffer.concat([Buffer.from('QFI\u00fb', 'latin1'), new Uint8Array(4096)]));
  await copyFile(folder.file('dynamic.vhd'), folder.file('dynamic.img'));
  await copyFile(folder.file('dynamic.vhd'), folder.file('lost-end.vhd'));
  await truncate(folder.file('lost-end.vhd'), 7168);
});

describe('info', () => {
  it('tells everything about a dynamic image', async () => {
    const { code, stdout, stderr } = await vhd(['info', folder.file('dynamic.vhd')]);
    expect([code, stderr]).toEqual([0, '']);
    for (const line of [
      /^ {2}type +dynamic$/m,
      /^ {2}virtual size +10 MiB \(10485760 bytes\)$/m,
      /^ {2}CHS size +9\.99 MiB \(10479616 bytes\) = 301\/4\/17$/m,
      /^ {2}seen by others +Virtual PC: 9\.99 MiB \(10479616 bytes\)$/m,
      /^ {2}allocated +0 bytes, 0 of 5 blocks$/m,
      /^ {2}block size +2 MiB$/m,
      /^ {2}creator +'win ' 10\.0 on 'Wi2k'$/m,
      /^ {2}created +2025-01-31T12:00:00Z$/m,
      /^ {2}uuid +00112233-4455-6677-8899-aabbccddeeff$/m,
      /^ {2}uuid, Windows +33221100-5544-7766-8899-aabbccddeeff$/m,
    ]) {
      expect(stdout).toMatch(line);
    }
  });

  it('says who would see another size of an image by another creator', async () => {
    const { stdout } = await vhd(['info', folder.file('fixed.vhd')]);
    expect(stdout).toMatch(/seen by others +qemu before 10: 9\.99 MiB/);
    expect(stdout).not.toMatch(/block size|allocated|parent/);
  });

  it('prints one object for one file, with the names scripts count on', async () => {
    const { code, stdout } = await vhd(['info', '--json', folder.file('dynamic.vhd')]);
    const report = JSON.parse(stdout) as Record<string, unknown>;
    expect(code).toBe(0);
    expect(report).toMatchObject({
      schema: 'vhdkit/info/1',
      path: folder.file('dynamic.vhd'),
      type: 'dynamic',
      virtualSize: 10 * MIB,
      chsSize: 10479616,
      allocatedBytes: 0,
      uuidMixedEndian: '33221100-5544-7766-8899-aabbccddeeff',
      readable: true,
      refusal: null,
    });
    for (const name of ['fileSize', 'blockSize', 'dataAlignment', 'creator', 'created', 'parent', 'findings']) {
      expect(report).toHaveProperty(name);
    }
  });

  it('takes --size-from chs', async () => {
    const { stdout } = await vhd(['info', '--json', '--size-from', 'chs', folder.file('dynamic.vhd')]);
    expect(JSON.parse(stdout)).toMatchObject({ virtualSize: 10479616 });
  });

  it('has colour on a terminal only', async () => {
    expect((await vhd(['info', folder.file('dynamic.vhd')])).stdout).not.toContain('\u001b');
    expect((await vhd(['info', folder.file('dynamic.vhd')], { terminals: ['stdout'] })).stdout).toContain('\u001b[1m');
  });
});

describe('info of several files', () => {
  it('separates them by a blank line', async () => {
    const { code, stdout } = await vhd(['info', folder.file('dynamic.vhd'), folder.file('fixed.vhd')]);
    expect(code).toBe(0);
    expect(stdout).toContain(`\n\n${folder.file('fixed.vhd')}\n  type `);
    expect(stdout.endsWith('\n')).toBe(true);
    expect(stdout.endsWith('\n\n')).toBe(false);
  });

  it('prints one object a line', async () => {
    const { stdout } = await vhd(['info', '--json', folder.file('dynamic.vhd'), folder.file('fixed.vhd')]);
    const types = stdout
      .trimEnd()
      .split('\n')
      .map((line) => (JSON.parse(line) as { type: string }).type);
    expect(types).toEqual(['dynamic', 'fixed']);
  });

  it('shows the others where one is missing, and ends with the highest code', async () => {
    const paths = [folder.file('nosuch.vhd'), folder.file('nofooter.vhd'), folder.file('fixed.vhd')];
    const { code, stdout, stderr } = await vhd(['info', ...paths]);
    expect(code).toBe(4);
    expect(stderr).toContain(`vhd: ${folder.file('nosuch.vhd')}: no such file or directory\n     check the name`);
    expect(stderr).toContain(`vhd: ${folder.file('nofooter.vhd')}: it is named .vhd but has no footer`);
    expect(stdout.startsWith(`${folder.file('nofooter.vhd')}\n`)).toBe(true);
    expect(stdout).toContain(`\n\n${folder.file('fixed.vhd')}\n`);
  });
});

describe('info of what is no sound VHD', () => {
  it('is short for a raw disk, whole or not', async () => {
    const { code, stdout, stderr } = await vhd(['info', folder.file('disk.raw'), folder.file('short.raw')]);
    expect([code, stderr]).toEqual([0, '']);
    expect(stdout.match(/type +raw, no footer of a VHD/g)).toHaveLength(2);
    const { stdout: json } = await vhd(['info', '--json', folder.file('disk.raw')]);
    expect(JSON.parse(json)).toMatchObject({
      type: 'raw',
      virtualSize: MIB,
      creator: null,
      findings: [],
      readable: true,
    });
  });

  it.each([
    ['nofooter.vhd', 'it is named .vhd but has no footer', 'if it is a raw disk, say --from raw'],
    ['qcow.vhd', 'this is a QCOW2 file', 'qemu-img convert -f qcow2 -O raw'],
    ['empty.raw', 'the file is empty', 'check that it is the file you mean'],
  ])('prints what is known about %s, and why it cannot be opened', async (name, sentence, remedy) => {
    const { code, stdout, stderr } = await vhd(['info', folder.file(name)]);
    expect(code).toBe(3);
    expect(stdout).toMatch(/^ {2}readable +no$/m);
    expect(stdout).toMatch(/^ {2}error .*\[footer\.missing\]$/m);
    expect(stderr).toContain(`vhd: ${folder.file(name)}: ${sentence}`);
    expect(stderr).toContain(`\n     ${remedy}`);
  });

  it('puts the report on standard output and the failure on standard error, as JSON', async () => {
    const { code, stdout, stderr } = await vhd(['info', '--json', folder.file('nofooter.vhd')]);
    expect(code).toBe(3);
    expect(JSON.parse(stdout)).toMatchObject({
      readable: false,
      type: null,
      refusal: expect.stringContaining('no footer') as string,
    });
    expect(JSON.parse(stderr)).toMatchObject({ schema: 'vhdkit/error/1', code: 'ERR_VHD_AMBIGUOUS', exitCode: 3 });
  });

  it('shows a raw disk named .vhd with --from raw', async () => {
    expect(await vhd(['info', '--from', 'raw', folder.file('nofooter.vhd')])).toMatchObject({ code: 0, stderr: '' });
  });

  it('shows a VHD named .img, and warns that other verbs will ask', async () => {
    const { code, stdout, stderr } = await vhd(['info', folder.file('dynamic.img')]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/type +dynamic/);
    expect(stderr).toMatch(/^vhd: warning: .*dynamic\.img: it is named \.img but .*: other verbs want --from\n$/);
  });

  it('counts warnings with --strict', async () => {
    const path = folder.file('lost-end.vhd');
    const { code, stdout } = await vhd(['info', path]);
    expect([code, /^ {2}warning .*footer/m.test(stdout)]).toEqual([0, true]);
    expect((await vhd(['info', '--strict', path])).code).toBe(1);
    expect((await vhd(['info', '--strict', folder.file('dynamic.vhd')])).code).toBe(0);
  });

  it('escapes what an image could do to a terminal', async () => {
    const path = folder.file('hostile.vhd');
    await writeFile(path, buildImage({ size: MIB, footer: { creatorApplication: '\u001b[2J' } }));
    const { stdout } = await vhd(['info', path]);
    expect(stdout).toContain("'\\u{1b}[2J'");
    expect(stdout).not.toContain('\u001b');
  });

  it('refuses standard input, a directory and nothing', async () => {
    expect((await vhd(['info', '-'])).code).toBe(2);
    expect((await vhd(['info'])).code).toBe(2);
    expect(await vhd(['info', folder.path])).toMatchObject({
      code: 4,
      stderr: `vhd: ${folder.path}: it is a directory\n     name a file\n`,
    });
  });
});

import { readFile, stat, writeFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { readInfo } from '../../src/ops/info.ts';
import { vhd } from '../support/cli.ts';
import { useTempFolder } from '../support/temp.ts';

const folder = useTempFolder('cli-create');

describe('create', () => {
  it('makes a dynamic disk and says what it made', async () => {
    const path = folder.file('plain.vhd');
    const { code, stdout, stderr } = await vhd(['create', path, '10M']);
    expect([code, stderr]).toEqual([0, '']);
    expect(stdout).toMatch(/^created .*plain\.vhd\n {2}type +dynamic\n {2}virtual size +10 MiB \(10485760 bytes\)\n/);
    expect(await readInfo(path)).toMatchObject({
      type: 'dynamic',
      virtualSize: 10 * 1024 ** 2,
      blockSize: 2 * 1024 ** 2,
    });
  });

  it('takes everything about the image from flags', async () => {
    const path = folder.file('flags.vhd');
    const identity = [
      '--uuid',
      '00112233-4455-6677-8899-AABBCCDDEEFF',
      '--creator',
      'abc',
      '--timestamp',
      '2025-01-31',
    ];
    const { code } = await vhd([
      'create',
      path,
      '--size',
      '4M',
      '--block-size',
      '512K',
      '--chs',
      '10/4/17',
      ...identity,
    ]);
    expect(code).toBe(0);
    expect(await readInfo(path)).toMatchObject({
      virtualSize: 4 * 1024 ** 2,
      blockSize: 512 * 1024,
      geometry: { cylinders: 10, heads: 4, sectorsPerTrack: 17 },
      uuid: '00112233-4455-6677-8899-aabbccddeeff',
      creator: 'abc ',
      created: '2025-01-31T00:00:00Z',
    });
  });

  it.each([
    ['2025-01-31T12:00:00', '2025-01-31T12:00:00Z'],
    ['2025-01-31T12:00:00+02:00', '2025-01-31T10:00:00Z'],
    ['2025-01-31T12:00', '2025-01-31T12:00:00Z'],
    ['2025-01-31T12:00:01.5Z', '2025-01-31T12:00:01Z'],
    ['2024-02-29t23:30-0130', '2024-03-01T01:00:00Z'],
    ['1738324800', '2025-01-31T12:00:00Z'],
  ])('reads the time %s as UTC', async (text, created) => {
    const path = folder.file('time.vhd');
    await vhd(['create', path, '1M', '--timestamp', text, '--force']);
    expect((await readInfo(path)).created).toBe(created);
  });

  it.each([
    ...['2020-02-30', '2021-06-31', '2023-02-29T00:00Z', '2020-13-01', '2020-00-10', '2020-1-1', '2020-01', '-5', ''],
    ...['2020-01-01 10:00', '2020-01-01T24:00', '2020-01-01T10', '2020-01-01T10:60', '2020-01-01T10:00:60Z'],
    ...['2020-01-01T10:00.5', '2020-01-01T10:00+24:00', '2020-01-01Z', ' 2020-01-01', '1 January 2020', '1e9'],
  ])('refuses the time %j', async (text) => {
    const { code, stderr } = await vhd(['create', folder.file('no-time.vhd'), '1M', `--timestamp=${text}`]);
    expect([code, stderr]).toEqual([2, expect.stringContaining(`--timestamp: expected an ISO date`)]);
  });

  it('honours SOURCE_DATE_EPOCH, unless a time is given', async () => {
    const path = folder.file('epoch.vhd');
    const env = { SOURCE_DATE_EPOCH: '1000000000' };
    await vhd(['create', path, '1M'], { env });
    expect((await readInfo(path)).created).toBe('2001-09-09T01:46:40Z');
    await vhd(['create', path, '1M', '--force', '--timestamp', '2025-01-31'], { env });
    expect((await readInfo(path)).created).toBe('2025-01-31T00:00:00Z');
    const { code, stderr } = await vhd(['create', path, '1M', '--force'], { env: { SOURCE_DATE_EPOCH: 'today' } });
    expect([code, stderr]).toEqual([
      2,
      expect.stringContaining("SOURCE_DATE_EPOCH: expected seconds since 1970, found 'today'"),
    ]);
  });

  it('makes a fixed disk, with holes or with zeros', async () => {
    const [sparse, full] = [folder.file('sparse.vhd'), folder.file('full.vhd')];
    expect((await vhd(['create', sparse, '8M', '--type', 'fixed'])).code).toBe(0);
    expect((await vhd(['create', full, '8M', '--type', 'fixed', '--preallocate', '-q'])).stdout).toBe('');
    expect([(await stat(sparse)).size, (await stat(full)).size]).toEqual([8 * 1024 ** 2 + 512, 8 * 1024 ** 2 + 512]);
    expect((await stat(full)).blocks * 512).toBeGreaterThanOrEqual(8 * 1024 ** 2);
  });

  it('reports as JSON', async () => {
    const path = folder.file('json.vhd');
    const { stdout, stderr } = await vhd(['create', path, '1M', '--json', '--chs', '65535/16/255']);
    expect(stderr).toBe('');
    expect(JSON.parse(stdout)).toMatchObject({
      schema: 'vhdkit/create/1',
      path,
      type: 'dynamic',
      virtualSize: 1024 ** 2,
      copiedBytes: 0,
      warnings: [expect.stringContaining('the geometry gives 136899993600 bytes')],
    });
  });

  it('replaces a file only with --force', async () => {
    const path = folder.file('there.vhd');
    await writeFile(path, 'dear');
    expect(await vhd(['create', path, '1M'])).toMatchObject({
      code: 2,
      stdout: '',
      stderr: `vhd: ${path}: the output exists already\n     --force replaces it\n`,
    });
    expect(await readFile(path, 'utf8')).toBe('dear');
    expect((await vhd(['create', path, '1M', '--force'])).code).toBe(0);
  });
});

describe('create refuses', () => {
  it.each([
    [[], 'no size is given', 'vhd create IMAGE SIZE, such as: vhd create disk.vhd 20G'],
    [['20G', '--size', '20G'], 'the size is given twice', 'leave one away'],
    [['20GB'], "SIZE: '20GB' could mean two sizes", 'write 20G (21474836480) or 20000000000'],
    [['--size', '20'], '--size: expected a multiple of 512 bytes, found 20', 'did you mean 20M or 20G?'],
    [['1M', '--type', 'differencing'], '--type: expected dynamic or fixed', 'vhd create --help'],
    [['1M', '--preallocate'], '--preallocate: a dynamic disk takes room as it is written', 'add --type fixed'],
    [['1M', '--type', 'fixed', '--block-size', '2M'], '--block-size: a fixed disk has no blocks', 'leave it away'],
    [['1M', '--block-size', '1M'], '--block-size: expected 512K or 2M', 'other sizes are read but not written'],
    [['1M', '--chs', '1/2'], '--chs: expected C/H/S of at most 65535/255/255', 'vhd create --help'],
    [['1M', '--chs', '0/1/1'], '--chs: expected', 'vhd create --help'],
    [['1M', '--uuid', 'new'], "--uuid: expected 8-4-4-4-12 hexadecimal digits, found 'new'", 'vhd create --help'],
    [['1M', '--creator', 'toolong'], '--creator: expected one to four ASCII characters', 'vhd create --help'],
    [['1M', '--creator', ''], '--creator: expected one to four ASCII characters', 'vhd create --help'],
    [['1M', '--timestamp', 'yesterday'], '--timestamp: expected an ISO date', 'vhd create --help'],
    [
      ['1M', '--timestamp', '1999-12-31'],
      '--timestamp: expected an ISO date such as 2025-01-31T12:00:00Z or seconds since 1970, from the year 2000 to',
      'vhd create --help',
    ],
  ])('%j', async (args, sentence, remedy) => {
    const path = folder.file('refused.vhd');
    const { code, stdout, stderr } = await vhd(['create', path, ...args]);
    expect([code, stdout]).toEqual([2, '']);
    expect(stderr).toContain(`vhd: ${sentence}`);
    expect(stderr).toContain(`\n     ${remedy}`);
    await expect(stat(path)).rejects.toThrow('ENOENT');
  });

  it('what a dynamic disk cannot hold, before it writes anything', async () => {
    const path = folder.file('huge.vhd');
    const { code, stderr } = await vhd(['create', path, '3T']);
    expect(code).toBe(3);
    expect(stderr).toMatch(/^vhd: .*huge\.vhd: a dynamic disk with blocks of 2097152 bytes holds at most \d+ bytes/);
    expect(stderr).toContain('\n     use a fixed disk\n');
    await expect(stat(path)).rejects.toThrow('ENOENT');
  });

  it('standard output, and a directory that is not there', async () => {
    expect(await vhd(['create', '-', '1M'])).toMatchObject({ code: 2, stdout: '' });
    const path = folder.file('nosuch/a.vhd');
    expect(await vhd(['create', path, '1M'])).toMatchObject({
      code: 4,
      stderr: `vhd: ${path}: the directory ${folder.file('nosuch')} does not exist\n     make it first, or check the name\n`,
    });
  });
});

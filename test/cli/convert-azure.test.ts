import { copyFile, readFile, stat, writeFile } from 'node:fs/promises';
import { beforeAll, describe, expect, it } from 'vitest';
import { firstDifference, pattern } from '../support/bytes.ts';
import { vhd } from '../support/cli.ts';
import { gptDisk, LINUX } from '../support/tables.ts';
import { useTempFolder } from '../support/temp.ts';

const MIB = 1024 ** 2;
const folder = useTempFolder('cli-azure');
const disk = gptDisk({ sectorCount: (20 * MIB) / 512 + 3, entries: [{ type: LINUX, first: 2048, last: 30_000 }] });
disk.set(pattern(1000), 2 * MIB);

beforeAll(() => writeFile(folder.file('disk.raw'), disk));

describe('convert --azure', () => {
  it('tells what it changed and the exact upload size', async () => {
    const { code, stdout, stderr } = await vhd(['convert', folder.file('disk.raw'), folder.file('a.vhd'), '--azure']);
    expect([code, stderr]).toEqual([0, '']);
    expect(stdout).toMatch(/type +fixed\n.*virtual size +21 MiB \(22020096 bytes\)/);
    expect(stdout).toMatch(/upload size +22020608 \(az disk create --upload-size-bytes\)\n/);
    expect(stdout).toMatch(/changed +its size was rounded up from 20973056 to 22020096 bytes\n/);
    expect(stdout).toMatch(/changed +the backup of its GPT was put at its end/);
    expect((await stat(folder.file('a.vhd'))).size).toBe(22_020_608);
  });

  it('reports as JSON, in a dry run too', async () => {
    const { stdout } = await vhd([
      'convert',
      folder.file('disk.raw'),
      folder.file('b.vhd'),
      '--azure',
      '--json',
      '--dry-run',
    ]);
    expect(JSON.parse(stdout)).toMatchObject({
      type: 'fixed',
      uploadSize: 22_020_608,
      virtualSize: 21 * MIB,
      dryRun: true,
    });
    await expect(stat(folder.file('b.vhd'))).rejects.toMatchObject({ code: 'ENOENT' });
  });

  it('takes a pipe whose size is said, to a file and to a pipe, and gives the same', async () => {
    const flags = ['--azure', '--reproducible', '--input-size', '20973056'];
    await vhd(['convert', folder.file('disk.raw'), folder.file('c.vhd'), '--azure', '--reproducible']);
    const expected = await readFile(folder.file('c.vhd'));
    await vhd(['convert', '-', folder.file('d.vhd'), ...flags], { stdin: disk });
    expect(firstDifference(await readFile(folder.file('d.vhd')), expected)).toBe(-1);
    const { bytes, code } = await vhd(['convert', '-', '-', ...flags], { stdin: disk });
    expect([code, firstDifference(bytes, expected)]).toEqual([0, -1]);
  });

  it('refuses a pipe with a GPT whose size is not said, and says what to say', async () => {
    const { code, stderr } = await vhd(['convert', '-', folder.file('e.vhd'), '--azure'], { stdin: disk });
    expect(code).toBe(3);
    expect(stderr).toContain('say --input-size; its GPT was made for --input-size 20973056');
    await expect(stat(folder.file('e.vhd'))).rejects.toMatchObject({ code: 'ENOENT' });
  });

  it.each([
    [['disk.raw', 'x.raw', '--azure'], /Azure takes fixed VHDs, and the target is raw/],
    [['disk.raw', 'x.vhd', '--azure', '--to', 'dynamic'], /Azure takes fixed VHDs, and the target is dynamic/],
    [['disk.raw', 'x.vhd', '--azure', '--block-size', '2M'], /a fixed image has no blocks/],
    [['disk.raw', 'x.vhd', '--input-size', '0'], /expected 1 or more bytes/],
    [['disk.raw'], /no target is given/],
  ])('refuses %j', async (args, message) => {
    const words = args.map((word) => (/\.(raw|vhd)$/.test(word) ? folder.file(word) : word));
    const { code, stderr } = await vhd(['convert', ...words]);
    expect([code, stderr]).toEqual([2, expect.stringMatching(message)]);
  });

  it('says so if the size is another', async () => {
    const { code, stderr } = await vhd([
      'convert',
      folder.file('disk.raw'),
      folder.file('f.vhd'),
      '--input-size',
      '20M',
    ]);
    expect([code, stderr]).toEqual([3, expect.stringMatching(/expected 20971520 bytes, found 20973056 bytes/)]);
  });
});

describe('convert --in-place', () => {
  it('makes a raw file a fixed VHD of another name, and back', async () => {
    await copyFile(folder.file('disk.raw'), folder.file('place.raw'));
    const there = await vhd(['convert', folder.file('place.raw'), folder.file('place.vhd'), '--in-place']);
    expect([there.code, there.stderr]).toEqual([0, '']);
    expect(there.stdout).toMatch(/^changed .*place\.raw in place, now .*place\.vhd\n/);
    expect(there.stdout).toMatch(/changed +a footer was put behind the disk\n$/);
    const back = await vhd(['convert', folder.file('place.vhd'), '--in-place', '--to', 'raw', '--json']);
    expect(JSON.parse(back.stdout)).toMatchObject({ type: 'raw', sourceType: 'fixed', fileSize: disk.length });
    expect(firstDifference(await readFile(folder.file('place.vhd')), disk)).toBe(-1);
  });

  it.each([
    [['place.raw', '--in-place'], /nothing says what the file is to become/],
    [['place.raw', '--in-place', '--to', 'dynamic'], /only raw and fixed change by their footer/],
    [['-', '--in-place', '--to', 'raw'], /expected the name of a file, found -/],
    [['place.vhd', '--in-place', '--to', 'raw', '--size-from', 'chs'], /is for copies/],
    [['place.vhd', '--in-place', '--to', 'raw', '--preallocate'], /is for copies/],
  ])('refuses %j', async (args, message) => {
    const words = args.map((word) => (/\.(raw|vhd)$/.test(word) ? folder.file(word) : word));
    const { code, stderr } = await vhd(['convert', ...words]);
    expect([code, stderr]).toEqual([2, expect.stringMatching(message)]);
  });
});

describe('convert --in-place, told', () => {
  it('says so if there is nothing to change, and changes nothing in a dry run', async () => {
    await vhd(['convert', folder.file('disk.raw'), folder.file('told.vhd'), '--to', 'fixed']);
    const same = await vhd(['convert', folder.file('told.vhd'), '--in-place', '--to', 'fixed']);
    expect([same.code, same.stderr]).toEqual([0, '']);
    expect(same.stdout).toMatch(/^nothing to change in .*told\.vhd\n/);
    const dry = await vhd(['convert', folder.file('told.vhd'), '--in-place', '--to', 'raw', '--dry-run']);
    expect([dry.code, dry.stderr]).toEqual([0, expect.stringContaining('it is a raw image') as string]);
    expect(dry.stdout).toMatch(/^would change /);
    expect((await stat(folder.file('told.vhd'))).size).toBe(disk.length + 512);
  });

  it('says that an image keeps its identity', async () => {
    const env = { SOURCE_DATE_EPOCH: '1700000000' };
    const { stderr } = await vhd(['convert', folder.file('told.vhd'), '--in-place', '--to', 'fixed'], { env });
    expect(stderr).toContain('keeps its identifier and its time in place');
    const refused = await vhd(['convert', folder.file('told.vhd'), '--in-place', '--to', 'fixed', '--creator', 'abcd']);
    expect([refused.code, refused.stderr]).toEqual([3, expect.stringContaining('which keeps its identity') as string]);
  });

  it.each(['/dev/null', '/dev/zero'])('refuses %s', async (name) => {
    const { code, stderr } = await vhd(['convert', name, '--in-place', '--to', 'fixed']);
    expect([code, stderr]).toEqual([3, expect.stringContaining('only a regular file') as string]);
  });
});

describe('a reproducible conversion', () => {
  it('is what SOURCE_DATE_EPOCH asks for', async () => {
    const env = { SOURCE_DATE_EPOCH: '1700000000' };
    for (const name of ['one.vhd', 'two.vhd']) {
      await vhd(['convert', folder.file('disk.raw'), folder.file(name)], { env });
    }
    const [one, two] = [await readFile(folder.file('one.vhd')), await readFile(folder.file('two.vhd'))];
    expect(firstDifference(one, two)).toBe(-1);
    const { stdout } = await vhd(['info', '--json', folder.file('one.vhd')]);
    expect(JSON.parse(stdout)).toMatchObject({ created: '2023-11-14T22:13:20Z' });
  });

  it('differs where the content does', async () => {
    const other = Uint8Array.from(disk);
    other[3 * MIB] = 1;
    await writeFile(folder.file('other.raw'), other);
    const uuids = [];
    for (const name of ['disk', 'other']) {
      await vhd(['convert', folder.file(`${name}.raw`), folder.file(`${name}-r.vhd`), '--reproducible', '-q']);
      const { stdout } = await vhd(['info', '--json', folder.file(`${name}-r.vhd`)]);
      uuids.push((JSON.parse(stdout) as { uuid: string }).uuid);
    }
    expect(uuids[0]).not.toBe(uuids[1]);
  });
});

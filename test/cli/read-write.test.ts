import { copyFile, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { firstDifference, pattern } from '../support/bytes.ts';
import { vhd } from '../support/cli.ts';
import { useTempFolder } from '../support/temp.ts';

const folder = useTempFolder('cli-read-write');
const MIB = 1024 ** 2;
const disk = new Uint8Array(5 * MIB);
disk.set(pattern(2 * MIB + 700), 0);

beforeAll(async () => {
  await writeFile(folder.file('disk.raw'), disk);
  await writeFile(folder.file('short.raw'), pattern(700));
  await vhd(['convert', folder.file('disk.raw'), folder.file('disk.vhd')]);
  await vhd(['convert', folder.file('disk.raw'), folder.file('fixed.vhd'), '--to', 'fixed']);
});

describe('read', () => {
  it.each(['disk.raw', 'disk.vhd', 'fixed.vhd'])('gives the virtual bytes of %s', async (name) => {
    const whole = await vhd(['read', folder.file(name)]);
    expect([whole.code, whole.stderr]).toEqual([0, '']);
    expect(firstDifference(whole.bytes, disk)).toBe(-1);
    const { bytes } = await vhd(['read', folder.file(name), '--start', '0x100001', '--length', '1M']);
    expect(firstDifference(bytes, disk.subarray(MIB + 1, 2 * MIB + 1))).toBe(-1);
  });

  it('gives what is left behind --start, down to nothing', async () => {
    expect((await vhd(['read', folder.file('disk.vhd'), '--start', '5242878'])).bytes).toHaveLength(2);
    expect((await vhd(['read', folder.file('disk.vhd'), '--start', '5M'])).bytes).toHaveLength(0);
    expect((await vhd(['read', folder.file('disk.vhd'), '--length', '0'])).bytes).toHaveLength(0);
  });

  it('writes a file, with holes, and says what it wrote', async () => {
    const path = folder.file('part.raw');
    const { code, stdout } = await vhd([
      'read',
      folder.file('disk.vhd'),
      '--start',
      '1000',
      '--length',
      '4.5M',
      '-o',
      path,
    ]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^wrote .*part\.raw\n {2}bytes +4\.5 MiB \(4718592 bytes\) from 1000 on\n {2}copied /);
    expect(firstDifference(await readFile(path), disk.subarray(1000, 1000 + 4.5 * MIB))).toBe(-1);
    expect((await stat(path)).blocks * 512).toBeLessThan(4.5 * MIB);
  });

  it('reports as JSON: of a file on standard output, of data on standard error', async () => {
    const path = folder.file('json.raw');
    const toFile = await vhd(['read', folder.file('disk.vhd'), '-o', path, '--json']);
    expect(JSON.parse(toFile.stdout)).toMatchObject({
      schema: 'vhdkit/read/1',
      path,
      start: 0,
      length: 5 * MIB,
      fileSize: 5 * MIB,
    });
    const toPipe = await vhd(['read', folder.file('disk.vhd'), '--length', '3', '--json']);
    expect(toPipe.bytes).toHaveLength(3);
    expect(JSON.parse(toPipe.stderr)).toMatchObject({ schema: 'vhdkit/read/1', path: '-', copiedBytes: 3 });
  });

  it('reads a raw image that is no whole number of sectors with --pad', async () => {
    const refused = await vhd(['read', folder.file('short.raw')]);
    expect([refused.code, refused.stderr]).toEqual([
      3,
      expect.stringContaining('--pad fills it up with zeros to 1024 bytes'),
    ]);
    expect((await vhd(['read', folder.file('short.raw'), '--pad'])).bytes).toHaveLength(1024);
  });

  it.each([
    [['disk.vhd', '--start', '6M'], 2, '--start: expected at most 5242880, the size of the disk, found 6291456'],
    [
      ['disk.vhd', '--start', '4M', '--length', '2M'],
      2,
      '--length: expected at most 1048576 from 4194304 on, found 2097152',
    ],
    [['disk.vhd', '--start', '1x'], 2, '--start: expected a number of bytes'],
    [['nosuch.vhd'], 4, 'no such file or directory'],
    [['.'], 4, 'it is a directory'],
  ])('refuses %j', async ([name = '', ...flags], code, sentence) => {
    const result = await vhd(['read', folder.file(name), ...flags]);
    expect([result.code, result.stdout]).toEqual([code, '']);
    expect(result.stderr).toContain(sentence);
    expect(result.stderr.trimEnd().split('\n')).toHaveLength(2);
  });

  it('refuses standard input, a terminal, an output that exists and its own input', async () => {
    const [image, there] = [folder.file('disk.vhd'), folder.file('disk.raw')];
    expect((await vhd(['read', '-'])).code).toBe(2);
    expect((await vhd(['read', image], { terminals: ['stdout'] })).code).toBe(2);
    expect((await vhd(['read', image, '-o', there])).stderr).toContain('--force replaces it');
    expect((await vhd(['read', image, '-o', image, '--force'])).stderr).toContain(
      'source and target are the same file',
    );
    expect((await vhd(['read', image, '-o', there, '--force'])).code).toBe(0);
    expect(firstDifference(await readFile(there), disk)).toBe(-1);
  });
});

describe('write', () => {
  const image = (): string => folder.file('target.vhd');
  const bytes = pattern(MIB + 1, 7);

  beforeEach(async () => {
    await copyFile(folder.file('disk.vhd'), image());
    await writeFile(folder.file('bytes.bin'), bytes);
  });

  async function content(path = image()): Promise<Buffer> {
    return (await vhd(['read', path])).bytes;
  }

  it('puts a file on the virtual disk, and says so', async () => {
    const { code, stdout, stderr } = await vhd(['write', image(), folder.file('bytes.bin'), '--start', '3M']);
    expect([code, stderr]).toEqual([0, '']);
    expect(stdout).toMatch(/^wrote to .*target\.vhd\n {2}bytes +1 MiB \(1048577 bytes\) from 3145728 on\n {2}time /);
    const expected = disk.slice();
    expected.set(bytes, 3 * MIB);
    expect(firstDifference(await content(), expected)).toBe(-1);
  });

  it('puts standard input there, into a raw image too', async () => {
    await copyFile(folder.file('fixed.vhd'), folder.file('other.vhd'));
    await writeFile(folder.file('other.raw'), disk);
    for (const path of [image(), folder.file('other.vhd'), folder.file('other.raw')]) {
      expect((await vhd(['write', path, '--start', '100'], { stdin: bytes })).code).toBe(0);
      expect(firstDifference((await content(path)).subarray(100, 100 + bytes.length), bytes)).toBe(-1);
    }
  });

  it('reports as JSON', async () => {
    const { stdout } = await vhd(['write', image(), '-', '--json'], { stdin: bytes });
    expect(JSON.parse(stdout)).toMatchObject({
      schema: 'vhdkit/write/1',
      path: image(),
      type: 'dynamic',
      virtualSize: 5 * MIB,
      fileSize: (await stat(image())).size,
      start: 0,
      copiedBytes: MIB + 1,
    });
  });

  it('refuses a file that runs past the end before it writes anything', async () => {
    const { code, stdout, stderr } = await vhd(['write', image(), folder.file('bytes.bin'), '--start', '4M']);
    expect([code, stdout]).toEqual([3, '']);
    expect(stderr).toContain(
      'bytes.bin: it does not fit on the disk: expected at most 1048576 bytes from byte 4194304 on, found 1048577',
    );
    expect(firstDifference(await content(), disk)).toBe(-1);
  });

  it('stops a pipe that runs past the end, and says that the rest was written', async () => {
    const { code, stderr } = await vhd(['write', image(), '--start', '4M'], { stdin: bytes });
    expect(code).toBe(3);
    expect(stderr).toContain('vhd: standard input: the stream is longer than the disk');
    expect(stderr).toContain('\n     what came before was written; there is room for 1048576 bytes\n');
    expect((await vhd(['info', image()])).code).toBe(0);
  });

  it('refuses what it cannot write to or from', async () => {
    const source = folder.file('bytes.bin');
    expect((await vhd(['write', image(), image()])).stderr).toContain('source and target are the same file');
    expect((await vhd(['write', image(), folder.file('nosuch')])).stderr).toContain(
      'nosuch: no such file or directory',
    );
    expect((await vhd(['write', folder.file('nosuch'), source])).stderr).toContain('nosuch: no such file or directory');
    expect((await vhd(['write', image(), folder.path])).stderr).toContain(`${folder.path}: it is a directory`);
    expect((await vhd(['write', folder.path, source])).stderr).toContain(`${folder.path}: it is a directory`);
    expect((await vhd(['write', '-', source])).code).toBe(2);
    expect((await vhd(['write', image(), source, '--start', '6M'])).stderr).toContain(
      '--start: expected at most 5242880',
    );
    expect((await vhd(['write', folder.file('short.raw'), source])).stderr).toContain('truncate -s %512');
    expect((await vhd(['write', image()], { terminals: ['stdin'] })).code).toBe(2);
    expect(firstDifference(await content(), disk)).toBe(-1);
  });

  it('leaves nothing else behind', async () => {
    await vhd(['write', image(), folder.file('bytes.bin')]);
    expect((await readdir(folder.path)).filter((name) => name.startsWith('.'))).toEqual([]);
  });
});

describe.runIf(process.platform === 'linux')('a source of which the system says that it has no bytes', () => {
  it('is read all the same', async () => {
    const path = folder.file('made-up.vhd');
    await copyFile(folder.file('disk.vhd'), path);
    const source = await readFile('/proc/version');
    const { code, stderr } = await vhd(['write', path, '/proc/version']);
    expect([code, stderr]).toEqual([0, '']);
    const { bytes } = await vhd(['read', path, '--length', String(source.length)]);
    expect(Buffer.compare(bytes, source)).toBe(0);
  });
});

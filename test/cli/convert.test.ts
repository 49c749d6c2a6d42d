import { link, mkdir, readdir, readFile, stat, symlink, writeFile } from 'node:fs/promises';
import { Readable, Writable } from 'node:stream';
import { beforeAll, describe, expect, it } from 'vitest';
import { Interrupted } from '../../bin/interrupted.ts';
import { readInfo } from '../../src/ops/info.ts';
import { buildImage } from '../support/build-image.ts';
import { firstDifference, pattern } from '../support/bytes.ts';
import { vhd } from '../support/cli.ts';
import { useTempFolder } from '../support/temp.ts';

const folder = useTempFolder('cli-convert');
const MIB = 1024 ** 2;
/** Two blocks with data, one empty between them, and a tail that is no whole block. */
const disk = new Uint8Array(7 * MIB);
disk.set(pattern(MIB), 0);
disk.set(pattern(3 * MIB, 2), 4 * MIB);

beforeAll(async () => {
  await writeFile(folder.file('disk.raw'), disk);
  await vhd(['convert', folder.file('disk.raw'), folder.file('disk.vhd')]);
  await writeFile(folder.file('short.raw'), new Uint8Array(100));
  await writeFile(folder.file('empty.raw'), '');
  await writeFile(folder.file('nofooter.vhd'), disk);
  await writeFile(folder.file('footer.img'), await readFile(folder.file('disk.vhd')));
  await writeFile(folder.file('qcow.vhd'), Buffer.concat([Buffer.from('QFI\u00fb', 'latin1'), new Uint8Array(4096)]));
});

async function sameAsDisk(path: string): Promise<boolean> {
  return firstDifference(await readFile(path), disk) === -1;
}

describe('convert between files', () => {
  it('says what it read and wrote', async () => {
    const { code, stdout, stderr } = await vhd(['convert', folder.file('disk.raw'), folder.file('said.vhd')]);
    expect([code, stderr]).toEqual([0, '']);
    expect(stdout).toMatch(
      /^wrote .*said\.vhd\n {2}source +.*disk\.raw \(read as raw: no footer found\)\n {2}type +dynamic\n/,
    );
    expect(stdout).toMatch(
      /virtual size +7 MiB \(7340032 bytes\)\n {2}file size .*\n {2}copied .*\n {2}empty .* skipped\n {2}time /,
    );
  });

  it('does not call raw what was said to be raw', async () => {
    const { stdout } = await vhd(['convert', '--from', 'raw', folder.file('disk.raw'), folder.file('stated.vhd')]);
    expect(stdout).toContain('disk.raw (raw)');
  });

  it.each(['raw', 'fixed', 'dynamic'])('gives the same bytes by way of %s', async (to) => {
    const [there, back] = [folder.file(`way-${to}`), folder.file(`back-${to}.raw`)];
    expect((await vhd(['convert', folder.file('disk.vhd'), there, '--to', to, '-q'])).stdout).toBe('');
    expect((await vhd(['convert', there, back])).code).toBe(0);
    expect(await sameAsDisk(back)).toBe(true);
  });

  it.each([
    ['a.VHD', 'dynamic'],
    ['a.avhd', 'dynamic'],
    ['a.vpc', 'dynamic'],
    ['a.img', 'raw'],
    ['a.dd', 'raw'],
    ['a.bin', 'raw'],
  ])('takes the type from the name %s', async (name, type) => {
    const { stdout } = await vhd(['convert', folder.file('disk.vhd'), folder.file(name), '--json']);
    expect(JSON.parse(stdout)).toMatchObject({ schema: 'vhdkit/convert/1', type, path: folder.file(name) });
  });

  it('takes the size from the geometry on demand', async () => {
    // 100 cylinders of 4 heads and 17 sectors are 3.3 MiB of the 7.
    const [image, target] = [folder.file('chs.vhd'), folder.file('chs.raw')];
    await vhd(['convert', folder.file('disk.raw'), image, '--chs', '100/4/17', '-q']);
    const { code, stdout } = await vhd(['convert', image, target, '--size-from', 'chs', '--json']);
    expect([code, JSON.parse(stdout)]).toMatchObject([0, { virtualSize: 100 * 4 * 17 * 512 }]);
    expect(firstDifference(await readFile(target), disk.subarray(0, 100 * 4 * 17 * 512))).toBe(-1);
  });

  it('reports as JSON', async () => {
    const { stdout, stderr } = await vhd(['convert', folder.file('disk.vhd'), folder.file('json.raw'), '--json']);
    expect(stderr).toBe('');
    const report = JSON.parse(stdout) as { copiedBytes: number; skippedBytes: number };
    expect(report).toMatchObject({ sourceType: 'dynamic', virtualSize: 7 * MIB, fileSize: 7 * MIB, warnings: [] });
    expect(report.copiedBytes + report.skippedBytes).toBe(7 * MIB);
  });

  it('makes the same image twice where everything is given', async () => {
    const flags = ['--uuid', '00112233-4455-6677-8899-aabbccddeeff', '--creator', 'abc', '--block-size', '512K'];
    const env = { SOURCE_DATE_EPOCH: '1700000000' };
    for (const name of ['one.vhd', 'two.vhd']) {
      await vhd(['convert', folder.file('disk.raw'), folder.file(name), ...flags], { env });
    }
    expect(firstDifference(await readFile(folder.file('one.vhd')), await readFile(folder.file('two.vhd')))).toBe(-1);
    expect(await readInfo(folder.file('one.vhd'))).toMatchObject({
      blockSize: 512 * 1024,
      creator: 'abc ',
      created: '2023-11-14T22:13:20Z',
    });
  });

  it('fills up a source with --pad, and says so', async () => {
    const path = folder.file('padded.raw');
    expect((await vhd(['convert', folder.file('short.raw'), path, '--pad'])).code).toBe(0);
    expect((await stat(path)).size).toBe(512);
    const { code, stderr } = await vhd(['convert', '-', path, '--pad', '--force'], { stdin: new Uint8Array(100) });
    expect(code).toBe(0);
    expect(stderr).toMatch(/^vhd: warning: standard input: .*from 100 to 512 bytes\n$/);
  });

  it('warns of a name that misleads', async () => {
    const { code, stderr } = await vhd(['convert', folder.file('disk.raw'), folder.file('x.qcow2'), '--to', 'raw']);
    expect(code).toBe(0);
    expect(stderr).toBe(`vhd: warning: ${folder.file('x.qcow2')}: it is named .qcow2, but it is a raw image\n`);
    const { stdout } = await vhd(['convert', folder.file('disk.raw'), folder.file('r.vhd'), '--to', 'raw', '--json']);
    expect(JSON.parse(stdout)).toMatchObject({ warnings: [expect.stringContaining('it is named .vhd')] });
  });
});

describe('convert --dry-run', () => {
  it('writes nothing and says what there would be', async () => {
    const path = folder.file('dry.vhd');
    const { stdout } = await vhd(['convert', folder.file('disk.raw'), path, '--dry-run', '--json']);
    await expect(stat(path)).rejects.toThrow('ENOENT');
    const planned = JSON.parse(stdout) as { fileSize: number; dryRun: boolean };
    expect(planned.dryRun).toBe(true);
    await vhd(['convert', folder.file('disk.raw'), path]);
    expect((await stat(path)).size).toBe(planned.fileSize);
  });

  it('warns where --force will be needed', async () => {
    const args = ['convert', folder.file('disk.vhd'), folder.file('disk.raw'), '--dry-run'];
    const { code, stdout, stderr } = await vhd(args);
    expect([code, stdout.startsWith('would write ')]).toEqual([0, true]);
    expect(stderr).toContain('the output exists already, --force will be needed');
    expect((await vhd([...args, '--force'])).stderr).toBe('');
  });

  it('may be for standard output, even a terminal', async () => {
    const args = ['convert', folder.file('disk.vhd'), '-', '--to', 'fixed', '--dry-run'];
    expect((await vhd(args, { terminals: ['stdout'] })).stdout).toContain('would write to standard output');
  });
});

describe('convert with standard input and output', () => {
  it.each(['fixed', 'dynamic', 'raw'])('reads a pipe into a %s file', async (to) => {
    const path = folder.file(`piped-${to}`);
    const { code, stdout } = await vhd(['convert', '-', path, '--to', to], { stdin: disk });
    expect(code).toBe(0);
    expect(stdout).toContain('standard input (read as raw: no footer found)');
    await vhd(['convert', path, folder.file('unpiped.raw'), '--force']);
    expect(await sameAsDisk(folder.file('unpiped.raw'))).toBe(true);
  });

  it('keeps data on standard output and the summary on standard error', async () => {
    const { code, bytes, stderr } = await vhd(['convert', folder.file('disk.vhd'), '-', '--to', 'raw']);
    expect(code).toBe(0);
    expect(firstDifference(bytes, disk)).toBe(-1);
    expect(stderr).toMatch(/^wrote to standard output\n {2}source /);
    const json = await vhd(['convert', folder.file('disk.vhd'), '-', '--to', 'raw', '--json']);
    expect(json.stderr.trimEnd()).not.toContain('\n');
    expect(JSON.parse(json.stderr)).toMatchObject({ schema: 'vhdkit/convert/1', path: '-', type: 'raw' });
    expect((await vhd(['convert', folder.file('disk.vhd'), '-', '--to', 'raw', '-q'])).stderr).toBe('');
  });

  it('streams a dynamic image out, and back in', async () => {
    const { bytes } = await vhd(['convert', folder.file('disk.raw'), '-', '--to', 'dynamic']);
    const raw = await vhd(['convert', '-', '-', '--to', 'raw'], { stdin: bytes });
    expect(firstDifference(raw.bytes, disk)).toBe(-1);
  });

  it.each([
    [['-', '-', '--to', 'dynamic'], 3, 'a dynamic image cannot be written to a pipe while its source is one'],
    [['-', 'x.vhd', '--dry-run'], 2, '--dry-run: standard input can be read only once'],
    [['-', 'x.vhd', '--size-from', 'chs'], 2, '--size-from: standard input can be read only once'],
    [['-', 'x.vhd', '--footer', 'end'], 2, '--footer: standard input can be read only once'],
    [['-', '-'], 2, 'standard output has no name that says what to write'],
  ])('refuses %j', async (args, code, sentence) => {
    const result = await vhd(['convert', ...args], { stdin: disk });
    expect([result.code, result.stdout]).toEqual([code, '']);
    expect(result.stderr).toContain(sentence);
    expect(result.stderr.trimEnd().split('\n')).toHaveLength(2);
  });

  it('refuses terminals', async () => {
    const target = await vhd(['convert', folder.file('disk.vhd'), '-', '--to', 'raw'], { terminals: ['stdout'] });
    expect(target).toMatchObject({
      code: 2,
      stdout: '',
      stderr: expect.stringContaining('the output is a terminal') as string,
    });
    const source = await vhd(['convert', '-', folder.file('tty.vhd')], { terminals: ['stdin'] });
    expect(source).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('standard input is a terminal') as string,
    });
  });

  it('refuses an empty pipe', async () => {
    const { code, stderr } = await vhd(['convert', '-', folder.file('nothing.vhd')]);
    expect([code, stderr]).toEqual([3, expect.stringContaining('vhd: standard input: the stream was empty')]);
    await expect(stat(folder.file('nothing.vhd'))).rejects.toThrow('ENOENT');
  });

  it('is silent where the reader has gone', async () => {
    let taken = 0;
    const stdout = new Writable({
      write(chunk: Buffer, _encoding, done) {
        taken += chunk.length;
        if (taken < MIB) done();
        else done(Object.assign(new Error('write EPIPE'), { code: 'EPIPE', syscall: 'write' }));
      },
    }).on('error', () => undefined);
    expect(await vhd(['convert', folder.file('disk.vhd'), '-', '--to', 'raw'], { stdout })).toMatchObject({
      code: 141,
      stderr: '',
    });
  });
});

describe('convert refuses, in one sentence and with nothing left behind', () => {
  beforeAll(async () => {
    await mkdir(folder.file('target'));
    await symlink(folder.file('disk.raw'), folder.file('symlink.img'));
    await link(folder.file('disk.raw'), folder.file('hardlink.img'));
    await writeFile(folder.file('differencing.vhd'), buildImage({ size: MIB, footer: { diskType: 4 } }));
  });

  it.each([
    ['nosuch.raw', 'target/a.vhd', 4, 'nosuch.raw: no such file or directory', 'check the name'],
    ['target', 'target/a.vhd', 4, 'target: it is a directory', 'name a file'],
    [
      'empty.raw',
      'target/a.vhd',
      3,
      'empty.raw: the file is empty: expected a disk image, found 0 bytes',
      'check that it is',
    ],
    ['short.raw', 'target/a.vhd', 3, 'found 100', '--pad fills it up with zeros to 512 bytes'],
    ['qcow.vhd', 'target/a.raw', 3, 'qcow.vhd: this is a QCOW2 file', 'qemu-img convert -f qcow2 -O raw'],
    ['nofooter.vhd', 'target/a.raw', 3, 'it is named .vhd but has no footer', 'if it is a raw disk, say --from raw'],
    ['footer.img', 'target/a.raw', 3, 'it is named .img but', 'say --from raw or --from vhd'],
    ['differencing.vhd', 'target/a.raw', 3, 'its parent is not named', 'add --parent-dir DIR'],
    ['disk.raw', 'disk.vhd', 2, 'disk.vhd: the output exists already', '--force replaces it'],
    ['disk.raw', 'target/a.vhdx', 2, 'it is named .vhdx', 'qemu-img convert -f raw -O vhdx'],
    ['disk.vhd', 'target/a.vdi', 2, 'it is named .vdi', 'vhd convert'],
    ['disk.raw', 'target/a.vhd.gz', 2, 'it is named .gz, and vhd does not compress', 'vhd convert'],
    ['disk.raw', 'target/a.zip', 2, 'it is named .zip', 'write disk.vhd'],
    ['disk.raw', 'target/a', 2, 'its name does not say what to write', 'say --to raw, --to fixed or --to dynamic'],
    ['disk.raw', 'nosuch/a.vhd', 4, 'nosuch does not exist', 'make it first'],
  ])('%s to %s', async (source, target, code, sentence, remedy) => {
    const result = await vhd(['convert', folder.file(source), folder.file(target)]);
    expect([result.code, result.stdout]).toEqual([code, '']);
    expect(result.stderr).toContain(sentence);
    expect(result.stderr).toContain(`\n     ${remedy}`);
    expect(result.stderr.trimEnd().split('\n')).toHaveLength(2);
    expect(await readdir(folder.file('target'))).toEqual([]);
  });

  it.each(['disk.raw', 'symlink.img', 'hardlink.img'])(
    'to write over its source by way of %s, even with --force',
    async (target) => {
      const { code, stderr } = await vhd([
        'convert',
        folder.file('disk.raw'),
        folder.file(target),
        '--to',
        'dynamic',
        '--force',
      ]);
      expect([code, stderr]).toEqual([
        2,
        `vhd: ${folder.file(target)}: source and target are the same file\n     give the target another name\n`,
      ]);
      expect(await sameAsDisk(folder.file('disk.raw'))).toBe(true);
    },
  );

  it('a directory as target, even with --force', async () => {
    const { code, stderr } = await vhd([
      'convert',
      folder.file('disk.raw'),
      folder.file('target'),
      '--to',
      'raw',
      '--force',
    ]);
    expect([code, stderr]).toEqual([2, expect.stringContaining('is no regular file')]);
  });

  it.each([
    [['--block-size', '2M', '--to', 'raw'], '--block-size: a raw image has no blocks'],
    [['--preallocate'], '--preallocate: a dynamic disk takes room as it is written'],
  ])('%j, which do not go together', async (flags, sentence) => {
    const { code, stderr } = await vhd(['convert', folder.file('disk.raw'), folder.file('target/a.vhd'), ...flags]);
    expect([code, stderr]).toEqual([2, expect.stringContaining(sentence)]);
  });

  it('to go on when it is interrupted, and removes what it wrote', async () => {
    const controller = new AbortController();
    const source = Readable.from(
      (function* () {
        yield Buffer.from(disk);
        controller.abort(new Interrupted('SIGTERM'));
        yield Buffer.from(disk);
      })(),
    );
    const result = await vhd(['convert', '-', folder.file('target/a.vhd')], {
      stdin: source,
      signal: controller.signal,
    });
    expect(result).toMatchObject({ code: 143, stdout: '', stderr: 'vhd: terminated\n' });
    expect(await readdir(folder.file('target'))).toEqual([]);
  });
});

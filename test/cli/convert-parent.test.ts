import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { beforeAll, describe, expect, it } from 'vitest';
import { readInfo } from '../../src/ops/info.ts';
import { firstDifference, pattern } from '../support/bytes.ts';
import { vhd } from '../support/cli.ts';
import { contentOfFile } from '../support/streams-disks.ts';
import { useTempFolder } from '../support/temp.ts';

const MIB = 1024 ** 2;
const folder = useTempFolder('cli-convert-parent');
const file = (name: string): string => folder.file(name);
const before = pattern(5 * MIB, 1);
const after = before.slice();
after.set(pattern(512, 2), 4 * MIB);
after.fill(0, 1024, 1536);

async function json(args: readonly string[]): Promise<Record<string, unknown>> {
  const { code, stdout, stderr } = await vhd([...args, '--json']);
  expect([code, stderr]).toEqual([0, '']);
  return JSON.parse(stdout) as Record<string, unknown>;
}

beforeAll(async () => {
  await writeFile(file('a.raw'), before);
  await writeFile(file('b.raw'), after);
  await vhd(['convert', file('a.raw'), file('a.vhd')]);
  await vhd(['convert', file('b.raw'), file('b.vhd'), '--to', 'fixed']);
  await vhd(['snapshot', file('a.vhd'), file('link.vhd')]);
  await vhd(['write', file('link.vhd'), file('b.raw')]);
});

describe('convert --parent', () => {
  it.each(['b.raw', 'b.vhd', 'link.vhd'])('writes what of %s differs, and it reads as that', async (source) => {
    const child = file(`of-${source}.vhd`);
    const result = await vhd(['convert', file(source), child, '--parent', file('a.vhd')]);
    expect([result.code, result.stderr]).toEqual([0, '']);
    expect(result.stdout).toMatch(/\n {2}type +differencing\n/);
    expect(result.stdout).toMatch(/\n {2}parent +.*a\.vhd\n {2}copied +1 KiB\n {2}as parent +5 MiB, skipped\n/);
    expect(await readInfo(child)).toMatchObject({ type: 'differencing', virtualSize: 5 * MIB });
    expect(firstDifference(await contentOfFile(child), after)).toBe(-1);
  });

  it('has the fields of convert, and a dry run tells them too and writes nothing', async () => {
    const args = ['convert', file('b.raw'), file('json.vhd'), '--parent', file('a.vhd')];
    const dry = await json([...args, '--dry-run']);
    await expect(stat(file('json.vhd'))).rejects.toThrow('ENOENT');
    const done = await json(args);
    expect(done).toEqual({
      schema: 'vhdkit/convert/1',
      path: file('json.vhd'),
      type: 'differencing',
      sourceType: 'raw',
      virtualSize: 5 * MIB,
      fileSize: (await stat(file('json.vhd'))).size,
      copiedBytes: 1024,
      skippedBytes: 5 * MIB - 1024,
      parent: file('a.vhd'),
      changes: [],
      seconds: expect.any(Number) as number,
      warnings: [],
    });
    expect({ ...dry, seconds: 0 }).toEqual({ ...done, seconds: 0, dryRun: true });
  });

  it('writes the same to a pipe, but for the names', async () => {
    const args = [
      '--parent',
      file('a.vhd'),
      '--uuid',
      '00112233-4455-6677-8899-aabbccddeeff',
      '--timestamp',
      '2025-01-31',
    ];
    const { code, bytes } = await vhd(['convert', file('b.raw'), '-', ...args, '-q']);
    await vhd(['convert', file('b.raw'), file('same.vhd'), ...args]);
    const written = await readFile(file('same.vhd'));
    expect([code, bytes.length]).toEqual([0, written.length]);
    expect(firstDifference(bytes.subarray(0, 512), written.subarray(0, 512))).toBe(-1);
    const blocks = 118_784 - 512;
    expect(firstDifference(bytes.subarray(blocks), written.subarray(blocks))).toBe(-1);
    await writeFile(file('piped.vhd'), bytes);
    expect(firstDifference(await contentOfFile(file('piped.vhd')), after)).toBe(-1);
  });

  it('is reproducible, with an identifier that is not that of its parent even if nothing differs', async () => {
    await vhd(['convert', file('a.raw'), file('fixed-uuid.vhd'), '--reproducible']);
    const args = [
      'convert',
      file('a.raw'),
      file('same-content.vhd'),
      '--parent',
      file('fixed-uuid.vhd'),
      '--reproducible',
    ];
    await json(args);
    const first = await readFile(file('same-content.vhd'));
    await json([...args, '--force']);
    expect(firstDifference(await readFile(file('same-content.vhd')), first)).toBe(-1);
    const [parent, child] = [await readInfo(file('fixed-uuid.vhd')), await readInfo(file('same-content.vhd'))];
    expect(child.uuid).not.toBe(parent.uuid);
    expect(child).toMatchObject({ created: '2000-01-01T00:00:00Z', parent: { uuid: parent.uuid }, allocatedBytes: 0 });
    expect(firstDifference(await contentOfFile(file('same-content.vhd')), before)).toBe(-1);
  });

  it('takes sources of other sizes, and says what that means', async () => {
    const larger = new Uint8Array(6 * MIB + 512);
    larger.set(after);
    larger[6 * MIB] = 1;
    await writeFile(file('larger.raw'), larger);
    await writeFile(file('smaller.raw'), after.subarray(0, 2 * MIB));
    const of = (name: string) => ['convert', file(`${name}.raw`), file(`${name}.vhd`), '--parent', file('a.vhd')];
    const told = await json(of('larger'));
    expect(told['warnings']).toEqual([expect.stringContaining('7-Zip reads no child that is larger than its parent')]);
    expect((await json(of('smaller')))['warnings']).toEqual([]);
    expect(firstDifference(await contentOfFile(file('larger.vhd')), larger)).toBe(-1);
    expect(firstDifference(await contentOfFile(file('smaller.vhd')), after.subarray(0, 2 * MIB))).toBe(-1);
  });

  it('shortens a chain: the difference of two links of it', async () => {
    const changed = after.slice();
    await vhd(['snapshot', file('link.vhd'), file('top.vhd')]);
    changed.set(pattern(2000, 8), 3 * MIB);
    await writeFile(file('piece.raw'), changed.subarray(3 * MIB, 3 * MIB + 2000));
    await vhd(['write', file('top.vhd'), file('piece.raw'), '--start', '3M']);
    const told = await json(['convert', file('top.vhd'), file('short.vhd'), '--parent', file('a.vhd')]);
    expect(told).toMatchObject({ sourceType: 'differencing', copiedBytes: 1024 + 2048 });
    expect(firstDifference(await contentOfFile(file('short.vhd')), changed)).toBe(-1);
    const back = await json(['convert', file('a.vhd'), file('back.vhd'), '--parent', file('top.vhd')]);
    expect(back).toMatchObject({ copiedBytes: 1024 + 2048 });
    expect(firstDifference(await contentOfFile(file('back.vhd')), before)).toBe(-1);
  });

  it('says how to open it where the parent is in another directory', async () => {
    await mkdir(file('elsewhere'));
    const told = await json(['convert', file('b.raw'), file('elsewhere/c.vhd'), '--parent', file('a.vhd')]);
    expect(told['warnings']).toEqual([
      expect.stringMatching(
        /c\.vhd: its parent is in another directory: to open it, vhd wants to be told --parent-dir /,
      ),
    ]);
  });

  it.each([
    [['b.raw', 'x.vhd', '--parent', 'a.raw'], 3, 'it is a raw disk: a child knows its parent by an identifier'],
    [['b.raw', 'a.vhd', '--parent', 'a.vhd', '--force'], 2, 'the new image would replace its own parent'],
    [['b.raw', 'a.vhd', '--parent', 'link.vhd', '--force'], 2, 'the target is a parent of the source'],
    [['top.vhd', 'link.vhd', '--parent', 'a.vhd', '--force'], 2, 'the target is a parent of the source'],
    [['b.raw', 'b.raw', '--parent', 'a.vhd', '--force'], 2, 'its name says that it is a raw image'],
    [['b.raw', 'link.vhd', '--parent', 'a.vhd'], 2, 'exists'],
    [['b.raw', 'x.vhdx', '--parent', 'a.vhd'], 2, 'it is named .vhdx'],
    [['b.raw', 'x.vhd', '--parent', 'a.vhd', '--to', 'dynamic'], 2, '--parent makes a differencing image, and --to'],
    [['b.raw', 'x.vhd', '--parent', 'a.vhd', '--azure'], 2, '--parent makes a differencing image, and --azure'],
    [['b.raw', 'x.vhd', '--parent', 'a.vhd', '--in-place'], 2, '--parent makes a differencing image, and --in-place'],
    [['b.raw', 'x.vhd', '--parent', 'a.vhd', '--preallocate'], 2, '--preallocate: a differencing disk takes room'],
    [['b.raw', 'x.vhd', '--parent', 'nothing.vhd'], 4, 'no such file or directory'],
  ])('refuses %j', async (args, code, sentence) => {
    const names = await readdir(folder.path);
    const a = await readFile(file('a.vhd'));
    const words = args.map((word) => (/^-|^dynamic$/.test(word) ? word : file(word)));
    const result = await vhd(['convert', ...words]);
    expect([result.code, result.stdout]).toEqual([code, '']);
    expect(result.stderr).toContain(sentence);
    expect(await readdir(folder.path)).toEqual(names);
    expect(firstDifference(await readFile(file('a.vhd')), a)).toBe(-1);
  });

  it('refuses a source that can be read only once', async () => {
    const args = ['--parent', file('a.vhd'), '--from', 'raw'];
    const piped = await vhd(['convert', '-', file('x.vhd'), ...args], { stdin: after });
    expect(piped).toMatchObject({ code: 2, stdout: '' });
    expect(piped.stderr).toContain('--parent: standard input can be read only once');
    const gzip = Buffer.from('H4sIAAAAAAAAAwMAAAAAAAAAAAA=', 'base64');
    await writeFile(file('b.raw.gz'), gzip);
    const packed = await vhd(['convert', file('b.raw.gz'), file('x.vhd'), '--parent', file('a.vhd')]);
    expect([packed.code, packed.stderr]).toEqual([3, expect.stringContaining('cannot be made of a compressed file')]);
  });
});

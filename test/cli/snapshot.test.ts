import { mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { decodeFooter, encodeFooter } from '../../src/format/footer.ts';
import { readInfo } from '../../src/ops/info.ts';
import { firstDifference, pattern } from '../support/bytes.ts';
import { vhd } from '../support/cli.ts';
import { contentOfFile } from '../support/streams-disks.ts';
import { useTempFolder } from '../support/temp.ts';

const MIB = 1024 ** 2;
const folder = useTempFolder('cli-snapshot');
const file = (name: string): string => folder.file(name);
const content = pattern(3 * MIB);

beforeAll(async () => {
  await writeFile(file('disk.raw'), content);
  await vhd(['convert', file('disk.raw'), file('disk.vhd'), '--uuid', '00112233-4455-6677-8899-aabbccddeeff']);
  await vhd(['convert', file('disk.raw'), file('fixed.vhd'), '--to', 'fixed']);
  await vhd(['convert', file('disk.raw'), file('small-blocks.vhd'), '--block-size', '512K']);
  for (const name of ['base', 'child', join('child', 'below')]) await mkdir(file(name));
  await vhd(['convert', file('disk.raw'), file('base/disk.vhd')]);
});

describe.each([
  ['create', (parent: string, child: string) => ['create', child, '--parent', parent]],
  ['snapshot', (parent: string, child: string) => ['snapshot', parent, child]],
] as const)('%s', (verb, args) => {
  it('makes a child that reads as its parent, and says that this must not change from now on', async () => {
    const child = file(`${verb}.vhd`);
    const { code, stdout, stderr } = await vhd(args(file('disk.vhd'), child));
    expect([code, stderr]).toEqual([0, '']);
    expect(stdout).toMatch(/^created .*\n {2}type +differencing\n {2}virtual size +3 MiB \(3145728 bytes\)\n/);
    expect(stdout).toMatch(/\n {2}from now on +.*disk\.vhd must not change: what is written goes to .*\.vhd\n$/);
    const info = await readInfo(child);
    expect(info).toMatchObject({ type: 'differencing', virtualSize: 3 * MIB, blockSize: 2 * MIB });
    expect(info.parent).toMatchObject({ uuid: '00112233-4455-6677-8899-aabbccddeeff' });
    expect(firstDifference(await contentOfFile(child), content)).toBe(-1);
  });

  it('tells the same as JSON', async () => {
    const child = file(`${verb}-json.vhd`);
    const { stdout } = await vhd([...args(file('fixed.vhd'), child), '--json']);
    expect(JSON.parse(stdout)).toEqual({
      schema: `vhdkit/${verb}/1`,
      path: child,
      type: 'differencing',
      virtualSize: 3 * MIB,
      fileSize: 118_784,
      copiedBytes: 0,
      skippedBytes: 3 * MIB,
      parent: file('fixed.vhd'),
      seconds: expect.any(Number) as number,
      warnings: [],
    });
  });

  it('takes who made it from flags, and small blocks from the parent', async () => {
    const child = file(`${verb}-flags.vhd`);
    const uuid = '01234567-89ab-cdef-0123-456789abcdef';
    const identity = ['--uuid', uuid, '--creator', 'abc', '--timestamp', '2025-01-31'];
    expect((await vhd([...args(file('small-blocks.vhd'), child), ...identity])).code).toBe(0);
    const created = '2025-01-31T00:00:00Z';
    expect(await readInfo(child)).toMatchObject({ blockSize: 512 * 1024, uuid, creator: 'abc ', created });
    await vhd([...args(file('small-blocks.vhd'), child), '--force', '--block-size', '2M']);
    expect(await readInfo(child)).toMatchObject({ blockSize: 2 * MIB });
  });

  it('makes children of children', async () => {
    const [first, second] = [file(`${verb}-first.vhd`), file(`${verb}-second.vhd`)];
    await vhd(args(file('disk.vhd'), first));
    const changed = content.slice();
    changed.set(pattern(700, 5), 1000);
    await writeFile(file('part.raw'), changed.subarray(1000, 1700));
    expect((await vhd(['write', first, file('part.raw'), '--start', '1000'])).code).toBe(0);
    await vhd(args(first, second));
    expect(firstDifference(await contentOfFile(second), changed)).toBe(-1);
  });

  it('says how to open a child whose parent is in another directory', async () => {
    const child = file(`child/${verb}.vhd`);
    const { code, stderr, stdout } = await vhd([...args(file('base/disk.vhd'), child), '--json']);
    expect([code, stderr]).toEqual([0, '']);
    const { parentDir, warnings } = JSON.parse(stdout) as { parentDir: string; warnings: string[] };
    expect(warnings).toEqual([
      `${child}: its parent is in another directory: to open it, vhd wants to be told --parent-dir ${parentDir}`,
    ]);
    expect((await vhd(['read', child])).code).toBe(3);
    const read = await vhd(['read', child, '--parent-dir', parentDir]);
    expect(firstDifference(read.bytes, content)).toBe(-1);
    await vhd(['convert', file('disk.raw'), file('child/below/b.vhd'), '--force']);
    const inside = await vhd([...args(file('child/below/b.vhd'), file(`child/${verb}-below.vhd`)), '--json']);
    expect(JSON.parse(inside.stdout)).toMatchObject({ warnings: [] });
    expect(firstDifference(await contentOfFile(file(`child/${verb}-below.vhd`)), content)).toBe(-1);
  });

  it('warns of a machine that is saved with the parent', async () => {
    const saved = file(`${verb}-saved.vhd`);
    const bytes = await readFile(file('fixed.vhd'));
    const { value: footer } = decodeFooter(bytes.subarray(-512));
    bytes.set(encodeFooter({ ...footer, savedState: 1 }), bytes.length - 512);
    await writeFile(saved, bytes);
    const { code, stderr } = await vhd(args(saved, file(`${verb}-of-saved.vhd`)));
    expect([code, stderr]).toEqual([0, expect.stringContaining('a virtual machine is saved with it, which must not')]);
  });

  it('warns of a name that its relatives are not looked for under', async () => {
    const child = file(`${verb}.txt`);
    const { code, stderr } = await vhd([...args(file('disk.vhd'), child), '-q']);
    expect(code).toBe(0);
    const told = `${child}: it is not named .vhd or .avhd: vhd tree and vhd relink --recursive pass it over`;
    expect(stderr).toContain(told);
    expect((await vhd(['write', file('disk.vhd'), file('disk.raw')])).code).toBe(3);
  });

  it.each([
    ['disk.raw', 'x.vhd', 3, 'it is a raw disk: a child knows its parent by an identifier', 'vhd convert '],
    ['nothing.vhd', 'x.vhd', 4, 'nothing.vhd: no such file or directory', ''],
    ['disk.vhd', 'disk.vhd', 2, 'the new image would replace its own parent', 'give the target another name'],
    ['disk.vhd', 'fixed.vhd', 2, 'exists', '--force'],
    ['disk.vhd', 'x.raw', 2, 'it is named .raw', 'name it .vhd'],
    ['disk.vhd', '-', 2, 'expected the name of a file, found -', ''],
  ])('refuses the parent %s for %s', async (parent, child, code, sentence, remedy) => {
    const path = child === '-' ? '-' : file(child);
    const force = child === 'disk.vhd' ? ['--force'] : [];
    const result = await vhd([...args(file(parent), path), ...force]);
    expect([result.code, result.stdout]).toEqual([code, '']);
    expect(result.stderr).toContain(sentence);
    expect(result.stderr).toContain(remedy);
    await expect(stat(file('x.vhd'))).rejects.toThrow('ENOENT');
  });

  it('refuses a child whose own parent is gone as parent', async () => {
    const [gone, orphan] = [file(`${verb}-gone.vhd`), file(`${verb}-orphan.vhd`)];
    await vhd(['create', gone, '1M']);
    await vhd(['snapshot', gone, orphan]);
    await vhd(['create', gone, '1M', '--force', '--allow-breaking-children']);
    const { code, stderr } = await vhd(args(orphan, file('x.vhd')));
    expect([code, stderr.startsWith(`vhd: ${orphan}: `)]).toEqual([3, true]);
  });

  it('does not replace a parent of its parent', async () => {
    const [base, middle] = [file(`${verb}-base.vhd`), file(`${verb}-middle.vhd`)];
    await vhd(['create', base, '1M']);
    await vhd(args(base, middle));
    const before = await readFile(base);
    expect((await vhd([...args(middle, base), '--force'])).code).toBe(2);
    expect(firstDifference(await readFile(base), before)).toBe(-1);
  });
});

describe('create --parent', () => {
  it.each([
    [['1M'], 'a child has the size of its parent', 'leave the size away'],
    [['--size', '3M'], 'a child has the size of its parent', 'leave the size away'],
    [['--type', 'fixed'], '--parent makes a differencing image, and --type fixed another one', 'leave one away'],
    [['--preallocate'], '--preallocate: a differencing disk takes room as it is written', 'leave it away'],
  ])('refuses %j', async (more, sentence, remedy) => {
    const result = await vhd(['create', file('x.vhd'), '--parent', file('disk.vhd'), ...more]);
    expect([result.code, result.stdout]).toEqual([2, '']);
    expect(result.stderr).toContain(sentence);
    expect(result.stderr).toContain(`\n     ${remedy}`);
  });
});

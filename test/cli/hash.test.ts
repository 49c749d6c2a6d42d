// hash and verify: what they print, what they take, and how they end.
import { createHash } from 'node:crypto';
import { appendFileSync, existsSync } from 'node:fs';
import { copyFile, mkdir, readdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { verifyText } from '../../bin/hash-text.ts';
import { openDisk, openVhd } from '../../src/open.ts';
import { convert } from '../../src/ops/convert.ts';
import { createImage } from '../../src/ops/create.ts';
import { hashDisk, RootDigest } from '../../src/ops/hash.ts';
import { vhd } from '../support/cli.ts';
import { partitionedDisk } from '../support/partitioned-disk.ts';
import { findProgram, runPeer, stub } from '../support/peers.ts';
import { useTempFolder } from '../support/temp.ts';

const folder = useTempFolder('cli-hash');
const MiB = 1024 ** 2;
const bytes = partitionedDisk();
const SHA256 = createHash('sha256').update(bytes).digest('hex');
let raw: string;
let image: string;
let manifest: string;
let changed: string;

beforeAll(async () => {
  raw = folder.file('disk.raw');
  image = folder.file('disk.vhd');
  manifest = folder.file('disk.json');
  changed = folder.file('changed.vhd');
  await writeFile(raw, bytes);
  await convert(raw, image, { to: 'dynamic' });
  await vhd(['hash', raw, '-o', manifest, '-q']);
  await copyFile(image, changed);
  await using disk = await openVhd(changed, { writable: true });
  await disk.write(Uint8Array.of(1), 13 * MiB);
});

afterEach(() => vi.restoreAllMocks());

const linesOf = (text: string): unknown[] =>
  text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as unknown);

function withPrograms(title: string, programs: readonly string[], test: () => Promise<void>): void {
  const missing = programs.filter((name) => findProgram(name) === undefined);
  if (missing.length > 0) stub(title, `${missing.join(', ')} is not there`);
  else it(title, test);
}

async function hashOf(path: string) {
  const { disk } = await openDisk(path);
  await using _ = disk;
  return await hashDisk(disk);
}

describe('hash', () => {
  it('prints the manifest, a block a line', async () => {
    const { code, stdout, stderr } = await vhd(['hash', image]);
    expect([code, stderr]).toEqual([0, '']);
    const expected = { schema: 'vhdkit/hash/1', path: image, type: 'dynamic', ...(await hashOf(raw)) };
    expect(JSON.parse(stdout)).toEqual(expected);
    expect(stdout.match(/^ {4}\{"start":\d+,"sha256":"\w+"\},?$/gm)).toHaveLength(expected.blocks.length);
    expect(JSON.parse((await vhd(['hash', image, '--json'])).stdout)).toEqual({ ...expected, warnings: [] });
  });

  it('prints one object a line for several files, and goes on behind one that it cannot read', async () => {
    const { code, stdout, stderr } = await vhd(['hash', raw, folder.file('missing.vhd'), image]);
    expect([code, stderr]).toEqual([4, expect.stringMatching(/^vhd: .*missing\.vhd: no such file/)]);
    expect(linesOf(stdout)).toMatchObject([
      { path: raw, type: 'raw', root: (await hashOf(raw)).root },
      { path: image, type: 'dynamic', root: (await hashOf(raw)).root },
    ]);
  });

  it('writes a file when it is complete, and sums up', async () => {
    const out = folder.file('out.json');
    const { code, stdout } = await vhd(['hash', image, '-o', out]);
    expect([code, stdout]).toEqual([
      0,
      `hashed ${image} into ${out}\n  type          dynamic\n  virtual size  16 MiB (16777216 bytes)\n` +
        `  with data     2 of 8 blocks of 2 MiB\n  root          ${(await hashOf(raw)).root}\n`,
    ]);
    expect(await readFile(out, 'utf8')).toBe((await vhd(['hash', image])).stdout);
    expect((await vhd(['hash', image, '-o', out])).code).toBe(2);
    expect((await vhd(['hash', image, '-o', out, '--force', '-q'])).stdout).toBe('');
    const { stdout: line } = await vhd(['hash', image, '-o', out, '--force', '--json']);
    expect(JSON.parse(line)).toMatchObject({ schema: 'vhdkit/hash/1', path: image, manifest: out, dataBlocks: 2 });
  });

  it('leaves no file behind where one of the images cannot be read', async () => {
    const out = folder.file('never.json');
    expect((await vhd(['hash', image, folder.file('missing.vhd'), '-o', out])).code).toBe(4);
    expect(existsSync(out)).toBe(false);
    expect((await readdir(folder.path)).filter((name) => name.endsWith('.tmp'))).toEqual([]);
  });

  it('tells a terminal the summary', async () => {
    const { stdout } = await vhd(['hash', image], { terminals: ['stdout'] });
    expect(stdout).toMatch(/^.*disk\.vhd\n( {2}.*\n){4} {2}manifest {6}written with -o FILE, or to a pipe\n$/);
    expect((await vhd(['hash', image, '-o', '-'], { terminals: ['stdout'] })).stdout).toMatch(/^\{/);
  });

  it('--plain prints what sha256sum prints, of names too', async () => {
    const strange = folder.file('a\\b\nc\r.raw');
    await writeFile(strange, bytes.subarray(0, 512));
    const { code, stdout } = await vhd(['hash', '--plain', raw, image, strange]);
    const escaped = strange.replace('\\', '\\\\').replace('\n', '\\n').replace('\r', '\\r');
    const sum = createHash('sha256').update(bytes.subarray(0, 512)).digest('hex');
    expect([code, stdout]).toEqual([0, `${SHA256}  ${raw}\n${SHA256}  ${image}\n\\${sum}  ${escaped}\n`]);
    expect((await vhd(['verify', strange, '-'], { stdin: Buffer.from(stdout) })).code).toBe(0);
  });

  withPrograms('sha256sum checks what --plain prints', ['sha256sum'], async () => {
    const [strange, sums] = [folder.file('x\\y\nz.raw'), folder.file('sums')];
    await writeFile(strange, bytes.subarray(0, 512));
    await vhd(['hash', '--plain', raw, strange, '-o', sums]);
    expect((await runPeer('sha256sum', ['-c', sums])).stdout).toMatch(/OK\n.*OK\n$/s);
  });

  withPrograms('the recipe of the README gives its root', ['jq', 'sha256sum'], async () => {
    const readme = await readFile(new URL('../../README.md', import.meta.url), 'utf8');
    const recipe = /^jq .*disk\.json \| sha256sum$/m.exec(readme)?.[0] ?? '';
    const sum = await runPeer('bash', ['-c', `cd "$1" && ${recipe}`, '-', folder.path]);
    expect(sum.stdout).toBe(`${(await hashOf(raw)).root}  -\n`);
  });

  it('takes an empty disk of 2040 GiB', async () => {
    const empty = folder.file('empty.vhd');
    await createImage(empty, { size: 2040 * 1024 * MiB });
    const { stdout } = await vhd(['hash', empty]);
    expect(JSON.parse(stdout)).toMatchObject({ virtualSize: 2040 * 1024 * MiB, blocks: [] });
  });

  it('opens images as the other verbs do', async () => {
    const elsewhere = folder.file('elsewhere');
    await mkdir(elsewhere);
    const [base, child] = [folder.file('base.vhd'), folder.file('child.vhd')];
    await copyFile(image, base);
    await createImage(child, { parent: base });
    expect(JSON.parse((await vhd(['hash', child])).stdout)).toMatchObject({ root: (await hashOf(raw)).root });
    expect((await vhd(['hash', child, '-o', base, '--force'])).code).toBe(2);
    await rename(base, join(elsewhere, 'base.vhd'));
    expect((await vhd(['hash', child])).code).toBe(3);
    expect((await vhd(['verify', child, manifest])).code).toBe(3);
    expect((await vhd(['verify', child, manifest, '--parent-dir', elsewhere])).code).toBe(0);
    await writeFile(folder.file('odd.raw'), bytes.subarray(0, -100));
    expect((await vhd(['hash', folder.file('odd.raw')])).code).toBe(3);
    expect((await vhd(['verify', folder.file('odd.raw'), manifest, '--pad'])).code).toBe(0);
    expect((await vhd(['verify', image, manifest, '--from', 'raw'])).code).toBe(1);
  });

  it.each([
    [['hash', '-'], 'hash needs both ends of an image'],
    [['verify', '-', 'm.json'], 'verify needs both ends of an image'],
    [['hash', '--plain', '--json', 'a.vhd'], '--plain and --json'],
    [['hash'], 'FILE is missing'],
    [['verify', 'a.vhd'], 'MANIFEST is missing'],
  ])('vhd %j is a usage error', async (args, why) => {
    const { code, stderr } = await vhd(args);
    expect([code, stderr]).toEqual([2, expect.stringContaining(why)]);
  });

  it('does not write over the image', async () => {
    expect((await vhd(['hash', image, '-o', image, '--force'])).code).toBe(2);
    expect((await vhd(['verify', image, manifest])).code).toBe(0);
  });

  it('ends with 4, and an unfinished manifest, if the image changes meanwhile', async () => {
    const copy = folder.file('moving.raw');
    await copyFile(raw, copy);
    vi.spyOn(RootDigest.prototype, 'add').mockImplementation(() => appendFileSync(copy, 'x'));
    const { code, stdout, stderr } = await vhd(['hash', copy, raw]);
    expect([code, stderr]).toEqual([4, expect.stringContaining('the source changed while it was read')]);
    const [unfinished = '', next = ''] = stdout.split('\n');
    expect(() => JSON.parse(unfinished) as unknown).toThrow(SyntaxError);
    expect(JSON.parse(next)).toMatchObject({ path: raw });
  });

  it('stops with the signal', async () => {
    const controller = new AbortController();
    const stdout = new Writable({ write: (_chunk, _encoding, done) => done() });
    controller.abort();
    for (const args of [
      ['hash', image],
      ['hash', image, image],
      ['verify', image, manifest],
    ]) {
      expect((await vhd(args, { signal: controller.signal, stdout })).code).toBe(130);
    }
  });
});

describe('verify', () => {
  it('says that nothing changed, whatever the container', async () => {
    const { code, stdout, stderr } = await vhd(['verify', image, manifest]);
    expect([code, stdout, stderr]).toEqual([0, `${image}: unchanged, as in ${manifest}\n`, '']);
    expect((await vhd(['verify', image, manifest, '-q'])).stdout).toBe('');
  });

  it('names the blocks and the partitions that changed', async () => {
    const { code, stdout, stderr } = await vhd(['verify', changed, manifest]);
    expect([code, stderr]).toEqual([1, '']);
    expect(stdout).toBe(`${changed}: changed, not as in ${manifest}
  virtual size  16 MiB (16777216 bytes)
  changed       1 block of 2 MiB

  partitions with changes
    2  Linux filesystem    2 MiB of 8 MiB

  changed blocks: start, length
    12582912  2097152  partition 2
`);
    const json = await vhd(['verify', changed, manifest, '--json']);
    expect(json.code).toBe(1);
    expect(JSON.parse(json.stdout)).toMatchObject({
      ...{ schema: 'vhdkit/verify/1', path: changed, manifest, type: 'dynamic', ok: false, warnings: [] },
      ...{ virtualSize: 16 * MiB, expectedSize: 16 * MiB, blockSize: 2 * MiB, changedBytes: 2 * MiB },
      ranges: [{ start: 12 * MiB, length: 2 * MiB }],
      partitions: [{ number: 2, changedBytes: 2 * MiB }],
    });
  });

  it('answers that the size is another one', async () => {
    const longer = folder.file('longer.raw');
    await writeFile(longer, Buffer.concat([bytes, new Uint8Array(512)]));
    const { code, stdout } = await vhd(['verify', longer, manifest]);
    expect(code).toBe(1);
    expect(stdout).toMatch(/^ {2}expected +16 MiB \(16777216 bytes\)\n {2}changed +nothing up to 16 MiB$/m);
  });

  it('lists some of many changes, and counts the others', () => {
    const ranges = Array.from({ length: 25 }, (_, index) => ({ start: index * 4 * MiB, length: 2 * MiB }));
    const sizes = { virtualSize: 100 * MiB, expectedSize: 100 * MiB, blockSize: 2 * MiB, changedBytes: 50 * MiB };
    const text = verifyText({ path: 'a', manifest: 'm', ok: false, ...sizes, ranges, partitions: [] }, false);
    expect(text).toMatch(/changed +25 blocks of 2 MiB\n/);
    expect(text).toMatch(/^ {4}79691776 +2097152\n {4}and 5 more: --json lists all\n$/m);
    expect(text).not.toContain('partition');
  });

  it('takes what several hash calls wrote, and sums, from standard input too', async () => {
    const several = Buffer.from((await vhd(['hash', raw, image])).stdout);
    expect((await vhd(['verify', image, '-'], { stdin: several })).code).toBe(0);
    expect((await vhd(['verify', changed, '-'], { stdin: several })).code).toBe(3);
    expect((await vhd(['verify', changed, '-'], { stdin: several })).stderr).toContain(
      'a manifest of other images: expected',
    );
    const twice = Buffer.from((await vhd(['hash', image, image])).stdout);
    expect((await vhd(['verify', raw, '-'], { stdin: twice })).code).toBe(0);
    const sum = Buffer.from((await vhd(['hash', '--plain', image])).stdout);
    expect((await vhd(['verify', image, '-'], { stdin: sum })).code).toBe(0);
    const { code, stdout } = await vhd(['verify', changed, '-'], { stdin: sum });
    expect([code, stdout]).toEqual([1, `${changed}: changed, not as in -\n  a sha256 does not tell where\n`]);
  });

  it.each([
    ['is an image', () => readFile(image)],
    ['is cut short', async () => (await readFile(manifest)).subarray(0, -10)],
    ['has another root', async () => (await readFile(manifest, 'utf8')).replace(/"root": ".{4}/, '"root": "0000')],
    ['is empty', async () => ''],
  ])('ends with 3 where the manifest %s', async (_why, make) => {
    const broken = folder.file('broken.json');
    await writeFile(broken, await make());
    const { code, stderr } = await vhd(['verify', image, broken, '--json']);
    expect([code, JSON.parse(stderr)]).toEqual([
      3,
      expect.objectContaining({ code: 'ERR_VHD_MANIFEST', path: broken, exitCode: 3 }),
    ]);
  });

  it('ends with 4 where there is no manifest, or no image', async () => {
    expect((await vhd(['verify', image, folder.file('missing.json')])).code).toBe(4);
    expect((await vhd(['verify', folder.file('missing.vhd'), manifest])).code).toBe(4);
  });

  it('escapes what a manifest says', async () => {
    const evil = folder.file('evil.json');
    await writeFile(evil, JSON.stringify({ schema: '\u001b[31m' }));
    expect((await vhd(['verify', image, evil])).stderr).not.toContain('\u001b');
  });
});

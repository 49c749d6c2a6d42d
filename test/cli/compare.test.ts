// compare: what it prints, what it takes, and how it ends.
import { appendFileSync } from 'node:fs';
import { copyFile, mkdir, open, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { openVhd } from '../../src/open.ts';
import { DifferenceList } from '../../src/ops/compare-list.ts';
import { convert } from '../../src/ops/convert.ts';
import { createImage } from '../../src/ops/create.ts';
import { shell, useBuiltCommand, vhd } from '../support/cli.ts';
import { partitionedDisk } from '../support/partitioned-disk.ts';
import { useTempFolder } from '../support/temp.ts';

const folder = useTempFolder('cli-compare');
const command = useBuiltCommand();
const MiB = 1024 ** 2;
const bytes = partitionedDisk();
const SIZE = '16 MiB (16777216 bytes)';
let raw: string;
let image: string;
let changed: string;
let longer: string;

beforeAll(async () => {
  raw = folder.file('disk.raw');
  image = folder.file('disk.vhd');
  changed = folder.file('changed.vhd');
  longer = folder.file('longer.raw');
  await writeFile(raw, bytes);
  await writeFile(longer, Buffer.concat([bytes, Buffer.alloc(MiB)]));
  await convert(raw, image, { to: 'dynamic' });
  await copyFile(image, changed);
  await using disk = await openVhd(changed, { writable: true });
  await disk.write(Uint8Array.of(1), 13 * MiB + 5);
  await disk.write(Uint8Array.of(1, 1), 6 * MiB + 511);
});

afterEach(() => vi.restoreAllMocks());

describe('compare', () => {
  it('ends with 0 where two images are equal, and says what it took them for', async () => {
    const { code, stdout, stderr } = await vhd(['compare', image, raw]);
    expect([code, stderr]).toEqual([0, '']);
    expect(stdout).toBe(
      `${image} and ${raw}: equal\n  a         dynamic, ${SIZE}\n  b         raw, ${SIZE}\n  compared  16 MiB\n`,
    );
    expect(await vhd(['compare', image, raw, '-q'])).toMatchObject({ code: 0, stdout: '' });
    expect((await vhd(['compare', image, image])).stdout).toContain('compared  nothing had to be read');
  });

  it('ends with 1 where they differ, and says where', async () => {
    const { code, stdout, stderr } = await vhd(['compare', image, changed]);
    expect([code, stderr]).toEqual([1, '']);
    expect(stdout.slice(stdout.indexOf('\n') + 1)).toBe(
      [
        `  a          dynamic, ${SIZE}\n  b          dynamic, ${SIZE}`,
        '  differing  1.5 KiB (1536 bytes), in 2 ranges',
        `  first      byte ${6 * MiB + 511}`,
        '  compared   8 MiB; 8 MiB empty on both sides, or the same by their place\n',
        `  partitions of ${image} that differ\n    2  Linux filesystem    512 bytes of 8 MiB\n`,
        '  ranges that differ: start, length',
        `     ${6 * MiB}  1024  in no partition`,
        `    ${13 * MiB}   512  partition 2\n`,
      ].join('\n'),
    );
    expect(await vhd(['compare', image, changed, '-q'])).toMatchObject({ code: 1, stdout: '' });
  });

  it('--json has every range', async () => {
    const { code, stdout } = await vhd(['compare', image, changed, '--json']);
    expect([code, JSON.parse(stdout)]).toEqual([
      1,
      {
        schema: 'vhdkit/compare/1',
        ranges: [
          { start: 6 * MiB, length: 1024, partitions: [] },
          { start: 13 * MiB, length: 512, partitions: [2] },
        ],
        equal: false,
        a: { path: image, type: 'dynamic', virtualSize: 16 * MiB },
        b: { path: changed, type: 'dynamic', virtualSize: 16 * MiB },
        ...{ firstDifference: 6 * MiB + 511, differingBytes: 1536, rangeCount: 2, tail: null, partitionsOf: 'a' },
        partitions: [expect.objectContaining({ number: 2, differingBytes: 512 })],
        ...{ comparedBytes: 8 * MiB, skippedBytes: 8 * MiB, warnings: [] },
      },
    ]);
    const equal = await vhd(['compare', image, raw, '--json']);
    expect([equal.code, JSON.parse(equal.stdout)]).toMatchObject([0, { equal: true, ranges: [], partitionsOf: null }]);
  });

  it('--first stops there', async () => {
    const { code, stdout } = await vhd(['compare', raw, changed, '--first']);
    expect([code, stdout.split('\n').at(-2)]).toEqual([
      1,
      `  first  byte ${6 * MiB + 511}, in no partition; what follows was not compared`,
    ]);
    const { stdout: json } = await vhd(['compare', raw, changed, '--first', '--json']);
    expect(JSON.parse(json)).toMatchObject({ ranges: [{ start: 6 * MiB, length: 512 }] });
  });

  it('another size is a difference, unless --ignore-tail finds nothing but zeros there', async () => {
    const more = `${longer} has 1 MiB (1048576 bytes) more`;
    const { code, stdout } = await vhd(['compare', image, longer]);
    expect([code, stdout]).toEqual([
      1,
      expect.stringContaining(`equal up to ${SIZE}; ${more}, all zero: equal with --ignore-tail\n`),
    ]);
    const ignoring = await vhd(['compare', longer, image, '--ignore-tail']);
    expect([ignoring.code, ignoring.stdout]).toEqual([0, expect.stringContaining('all zero, which do not count\n')]);
    appendFileSync(longer, Buffer.alloc(512, 1));
    const { code: unequal, stdout: told } = await vhd(['compare', image, longer, '--ignore-tail']);
    expect([unequal, told]).toEqual([1, expect.stringContaining(`more, not all zero: byte ${17 * MiB} is not\n`)]);
  });

  it('opens images as the other verbs do, both of them', async () => {
    const elsewhere = folder.file('elsewhere');
    await mkdir(elsewhere);
    const [base, child] = [folder.file('base.vhd'), folder.file('child.vhd')];
    await copyFile(image, base);
    await createImage(child, { parent: base });
    expect((await vhd(['compare', raw, child])).code).toBe(0);
    await rename(base, join(elsewhere, 'base.vhd'));
    expect((await vhd(['compare', raw, child])).code).toBe(3);
    expect((await vhd(['compare', child, child, '--parent-dir', elsewhere])).code).toBe(0);
    await writeFile(folder.file('odd.raw'), bytes.subarray(0, -100));
    expect((await vhd(['compare', raw, folder.file('odd.raw')])).code).toBe(3);
    expect((await vhd(['compare', folder.file('odd.raw'), raw, '--pad'])).code).toBe(0);
    expect(await vhd(['compare', image, '-'])).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/two files .*found -\n.*cat > disk\.raw/) as string,
    });
    expect(await vhd(['compare', image, folder.file('missing')])).toMatchObject({
      code: 4,
      stderr: expect.stringMatching(/^vhd: .*missing: no such file/) as string,
    });
  });

  it('--from-a and --from-b are about one of them', async () => {
    const named = folder.file('raw.vhd');
    await copyFile(raw, named);
    const refused = await vhd(['compare', image, named]);
    expect([refused.code, refused.stderr]).toEqual([3, expect.stringContaining('say --from-b raw')]);
    expect((await vhd(['compare', image, named, '--from-b', 'raw'])).code).toBe(0);
    expect((await vhd(['compare', named, image, '--from-a', 'raw'])).code).toBe(0);
    expect((await vhd(['compare', image, image, '--from', 'raw'])).stdout).toMatch(/a +raw, .*\n +b +raw, /);
    const packed = folder.file('disk.raw.gz');
    await writeFile(packed, gzipSync(bytes));
    for (const [pair, side] of [
      [[packed, raw], 'a'],
      [[raw, packed], 'b'],
    ] as const) {
      const { stderr } = await vhd(['compare', ...pair]);
      expect(stderr).toContain(`--from-${side} raw`);
      expect(stderr).not.toContain('--from raw');
    }
  });

  it('tells a warning once, about one file on both sides and about a common parent', async () => {
    const [base, left, right] = [folder.file('worn.vhd'), folder.file('left.vhd'), folder.file('right.vhd')];
    await copyFile(image, base);
    await createImage(left, { parent: base });
    await createImage(right, { parent: base });
    // The first bytes of the copy of the footer.
    const file = await open(base, 'r+');
    await file.write(new Uint8Array(16), 0, 16, 0);
    await file.close();
    for (const pair of [
      [base, base],
      [left, right],
    ]) {
      const { code, stderr } = await vhd(['compare', ...pair]);
      expect([code, stderr.match(/warning:/g)?.length]).toEqual([0, 1]);
      const { stdout } = await vhd(['compare', ...pair, '--json']);
      expect((JSON.parse(stdout) as { warnings: string[] }).warnings).toHaveLength(1);
    }
  });

  it('ends with 4 if one of them is changed meanwhile', async () => {
    for (const flags of [[], ['--json']]) {
      vi.spyOn(DifferenceList.prototype, 'add').mockImplementationOnce(async () => appendFileSync(changed, 'x'));
      const { code, stderr } = await vhd(['compare', image, changed, ...flags]);
      expect([code, stderr]).toEqual([4, expect.stringContaining('the source changed while it was read')]);
      await openVhd(changed).then((disk) => disk.close());
    }
  });

  it('stops when nobody reads on', async () => {
    await writeFile(
      folder.file('noise.raw'),
      bytes.map((byte, index) => ((index >> 9) % 2 === 0 ? byte ^ 1 : byte)),
    );
    const line = '$vhd compare disk.raw noise.raw --json | head -c 100 > /dev/null; echo ${PIPESTATUS[0]}';
    expect(await shell(command, folder.path, line)).toMatchObject({ stdout: '141\n', stderr: '' });
  });
});

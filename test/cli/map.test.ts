import { copyFile, readdir, readFile, writeFile } from 'node:fs/promises';
import { Writable } from 'node:stream';
import { beforeAll, describe, expect, it } from 'vitest';
import { FlatDisk } from '../../src/disk/flat.ts';
import { createImage } from '../../src/ops/create.ts';
import { MemoryStorage } from '../../src/storage/memory.ts';
import { encodeVhd } from '../../src/stream/encode.ts';
import { buildImage } from '../support/build-image.ts';
import { pattern } from '../support/bytes.ts';
import { vhd } from '../support/cli.ts';
import { collect } from '../support/collect.ts';
import { partitionedDisk } from '../support/partitioned-disk.ts';
import { useTempFolder } from '../support/temp.ts';
import { parseXml } from '../support/xml.ts';

const folder = useTempFolder('cli-map');
const KiB = 1024;
const MiB = 1024 ** 2;
const UTF8 = { LC_ALL: 'C.UTF-8' };

const shape = {
  size: 8 * MiB,
  blockSize: 512 * KiB,
  blocks: [
    { index: 5, data: pattern(512 * KiB, 1) },
    { index: 0, data: pattern(512 * KiB, 2) },
  ],
};

beforeAll(async () => {
  const raw = new FlatDisk(new MemoryStorage(partitionedDisk()), 16 * MiB, true);
  const encoded = await encodeVhd(raw, { type: 'dynamic', blockSize: 512 * KiB });
  await writeFile(folder.file('parts.vhd'), Buffer.concat(await collect(encoded.stream as AsyncIterable<Buffer>)));
  await writeFile(folder.file('disk.vhd'), buildImage(shape));
  const damaged = [...shape.blocks, { index: 7, data: 1, entry: 0x00ff_ffff }];
  await writeFile(folder.file('damaged.vhd'), buildImage({ ...shape, blocks: damaged }));
  await writeFile(folder.file('bitmap.vhd'), buildImage({ ...shape, blocks: [{ index: 1, data: 1, sectors: [3] }] }));
  await createImage(folder.file('fixed.vhd'), { size: MiB, type: 'fixed' });
  await createImage(folder.file('large.vhd'), { size: 127 * 1024 * MiB });
  await writeFile(folder.file('odd.raw'), new Uint8Array(1000).fill(1));
});

describe('map', () => {
  it('draws where the data is', async () => {
    const { code, stdout, stderr } = await vhd(['map', folder.file('disk.vhd')], { env: UTF8 });
    expect([code, stderr]).toEqual([0, '']);
    expect(stdout).toBe(`${folder.file('disk.vhd')}
  type          dynamic
  virtual size  8 MiB (8388608 bytes)
  file size     1 MiB (1052160 bytes)
  data          1 MiB (1048576 bytes), 12.5 %
  zero          7 MiB (7340032 bytes), 87.5 %
  in the file   2 runs in 2 fragments, 1 of them out of order

${[
  '         0  ████████████████████████████████████████████████████████████████',
  ...[512, 1, 1.5, 2]
    .map((at) => `${at} ${at === 512 ? 'K' : 'M'}iB`.padStart(10))
    .map((at) => `${at}  ${'·'.repeat(64)}`),
  '   2.5 MiB  ████████████████████████████████████████████████████████████████',
  ...Array.from({ length: 10 }, (_, row) => `${`${3 + row / 2} MiB`.padStart(10)}  ${'·'.repeat(64)}`),
]
  .map((line) => `  ${line}\n`)
  .join('')}
  a sign is 8 KiB:  · empty   ░▒▓ some data   █ full
`);
  });

  it('keeps to ASCII where the locale does, and to the width of the window', async () => {
    const narrow = await vhd(['map', folder.file('disk.vhd')], { columns: 40 });
    expect(narrow.stdout).toMatch(/^ {11}0 {2}#{16}$/m);
    expect(narrow.stdout).toMatch(/^[\x20-\x7e\n]*$/);
    const wide = await vhd(['map', folder.file('disk.vhd')], { columns: 200, env: { LANG: 'de_DE.utf8' } });
    expect(wide.stdout).toMatch(/^ {11}0 {2}█{128}$/m);
    for (const { stdout, columns } of [
      { ...narrow, columns: 40 },
      { ...wide, columns: 200 },
    ]) {
      const rows = stdout.split('\n').filter((line) => /[#█]{8}/.test(line));
      for (const row of rows) expect(row.length).toBeLessThanOrEqual(columns);
    }
  });

  it('has colour on a terminal only, and none where it is not wanted', async () => {
    const terminals = ['stdout'] as const;
    expect((await vhd(['map', folder.file('disk.vhd')], { terminals })).stdout).toContain('\u001b[36m####');
    const plain = await vhd(['map', folder.file('disk.vhd')], { terminals, env: { NO_COLOR: '1' } });
    expect(plain.stdout).toBe((await vhd(['map', folder.file('disk.vhd')])).stdout);
  });

  it('shows the partitions over the slices and with how much is in them', async () => {
    const { code, stdout, stderr } = await vhd(['map', folder.file('parts.vhd')], { env: UTF8 });
    expect([code, stderr]).toEqual([0, '']);
    const lines = stdout.split('\n');
    const first = lines.findIndex((line) => line.includes('╷1'));
    expect(lines[first + 1]).toMatch(/^ {7}1 MiB {2}/);
    expect(lines[lines.findIndex((line) => line.includes('╷2')) + 1]).toMatch(/^ {7}8 MiB {2}█/);
    expect(stdout).toMatch(/^ {2}1 .* {2}1 MiB {2}4 MiB +0 %$/m);
    expect(stdout).toMatch(/^ {2}2 .* {2}8 MiB {2}8 MiB +25 %$/m);
  });

  it('maps a part of the disk', async () => {
    const { stdout } = await vhd(['map', folder.file('disk.vhd'), '--start', '2M', '--length', '1M'], { env: UTF8 });
    expect(stdout).toMatch(/^ {2}mapped +1 MiB \(1048576 bytes\) from 2097152 on$/m);
    expect(stdout).toMatch(/^ {2}data +512 KiB \(524288 bytes\), 50 %$/m);
    expect(await vhd(['map', folder.file('disk.vhd'), '--start', '9M'])).toMatchObject({ code: 2 });
    expect(await vhd(['map', folder.file('disk.vhd'), '--length', '9M'])).toMatchObject({ code: 2 });
  });

  it('takes a disk that is empty, fixed, or raw and not whole', async () => {
    expect((await vhd(['map', folder.file('large.vhd')])).stdout).toMatch(/^ {5}120 GiB {2}\.{56}$/m);
    expect((await vhd(['map', folder.file('fixed.vhd')])).stdout).toMatch(/^ {2}in the file +1 run, in the order/m);
    const refused = await vhd(['map', folder.file('odd.raw')]);
    expect([refused.code, refused.stderr]).toEqual([3, expect.stringContaining('--pad fills it up') as string]);
    expect((await vhd(['map', folder.file('odd.raw'), '--pad'])).stdout).toMatch(/virtual size +1 KiB/);
  });

  it('finds zeros by reading', async () => {
    const { stdout } = await vhd(['map', '--detect-zeros', folder.file('parts.vhd')]);
    // Of the first block, only the first 64 KiB hold anything.
    expect(stdout).toMatch(/^ {2}data +2\.06 MiB/m);
    expect(stdout).toMatch(/^ {2}stored zeros +448 KiB \(458752 bytes\) of these$/m);
  });
});

describe('map as a list', () => {
  const runs = [
    { start: 0, length: 524_288, kind: 'data', depth: 0, fileOffset: 527_360 },
    { start: 524_288, length: 2_097_152, kind: 'zero', depth: 0, fileOffset: null },
    { start: 2_621_440, length: 524_288, kind: 'data', depth: 0, fileOffset: 2560 },
    { start: 3_145_728, length: 5_242_880, kind: 'zero', depth: 0, fileOffset: null },
  ];

  it('is JSON with the names scripts count on, a run a line', async () => {
    const { code, stdout, stderr } = await vhd(['map', '--json', folder.file('disk.vhd')]);
    expect([code, stderr]).toEqual([0, '']);
    const report = JSON.parse(stdout) as Record<string, unknown>;
    expect(report).toMatchObject({
      schema: 'vhdkit/map/1',
      path: folder.file('disk.vhd'),
      type: 'dynamic',
      virtualSize: 8 * MiB,
      fileSize: 1_052_160,
      start: 0,
      length: 8 * MiB,
      runs,
      dataBytes: MiB,
      zeroBytes: 7 * MiB,
      unknownBytes: 0,
      fragmentCount: 2,
      findings: [],
    });
    expect(stdout.match(/^ {4}\{"start":/gm)).toHaveLength(4);
    const bytes = await readFile(folder.file('disk.vhd'));
    expect(Buffer.compare(bytes.subarray(2560, 2560 + 512 * KiB), pattern(512 * KiB, 1))).toBe(0);
  });

  it('is JSON of nothing, too', async () => {
    const { stdout } = await vhd(['map', '--json', folder.file('disk.vhd'), '--length', '0']);
    expect(JSON.parse(stdout)).toMatchObject({ runs: [], runCount: 0, length: 0 });
  });

  it('is a table', async () => {
    const { code, stdout } = await vhd(['map', '--table', folder.file('disk.vhd')]);
    expect(code).toBe(0);
    expect(stdout.split('\n').map((line) => line.trim().split(/ {2,}/))).toEqual([
      ['start', 'length', 'kind', 'file offset', 'depth'],
      ['0', '524288', 'data', '527360', '0'],
      ['524288', '2097152', 'zero', '-', '0'],
      ['2621440', '524288', 'data', '2560', '0'],
      ['3145728', '5242880', 'zero', '-', '0'],
      [''],
    ]);
    expect(new Set(stdout.split('\n').map((line) => line.length)).size).toBe(2);
  });

  it('ends when its reader goes', async () => {
    const stdout = new Writable({
      write: (_chunk, _encoding, done) =>
        done(Object.assign(new Error('write EPIPE'), { code: 'EPIPE', syscall: 'write' })),
    }).on('error', () => undefined);
    expect(await vhd(['map', '--json', folder.file('disk.vhd')], { stdout })).toMatchObject({ code: 141, stderr: '' });
  });

  it('is one of the two', async () => {
    const both = await vhd(['map', '--table', '--json', folder.file('disk.vhd')]);
    expect([both.code, JSON.parse(both.stderr)]).toEqual([2, expect.objectContaining({ code: 'ERR_VHD_USAGE' })]);
    const twice = await vhd(['map', '--table', '--svg', '-', folder.file('disk.vhd')]);
    expect([twice.code, twice.stdout]).toEqual([2, '']);
    expect(twice.stderr).toContain('--svg FILE');
  });
});

describe('map of a damaged image', () => {
  it('shows what is not known as that, says why, and ends with 3', async () => {
    const { code, stdout, stderr } = await vhd(['map', folder.file('damaged.vhd')]);
    expect(code).toBe(3);
    expect(stdout).toMatch(/^ {2}not known +512 KiB \(524288 bytes\): the image is damaged$/m);
    expect(stdout).toMatch(/^ {5}3\.5 MiB {2}\?{64}$/m);
    expect(stdout).toContain('? not known');
    expect(stderr).toMatch(/^vhd: warning: .*a block lies past the end of the file/m);
    expect(stderr).toMatch(/^vhd: .*512 KiB of the disk cannot be told: a block lies past .*block 7 /m);
  });

  it('does so in JSON and as a table', async () => {
    const { code, stdout, stderr } = await vhd(['map', '--json', folder.file('damaged.vhd')]);
    const report = JSON.parse(stdout) as { runs: object[]; findings: object[] };
    expect(code).toBe(3);
    expect(report.runs).toContainEqual({
      start: 3_670_016,
      length: 524_288,
      kind: 'unknown',
      depth: 0,
      fileOffset: null,
      problem: expect.objectContaining({ code: 'ERR_VHD_CORRUPT' }) as object,
    });
    expect(report.findings).toContainEqual(expect.objectContaining({ rule: 'bat.out-of-file' }));
    expect(JSON.parse(stderr)).toMatchObject({ schema: 'vhdkit/error/1', code: 'ERR_VHD_CORRUPT', exitCode: 3 });
    const table = await vhd(['map', '--table', folder.file('damaged.vhd')]);
    expect([table.code, table.stdout]).toEqual([3, expect.stringMatching(/524288 {2}unknown .*block 7/) as string]);
  });

  it('is fine where what is looked at is', async () => {
    expect((await vhd(['map', folder.file('damaged.vhd'), '--length', '3M'])).code).toBe(0);
  });

  it('says how to look at bytes that contradict the bitmap', async () => {
    const { code, stderr } = await vhd(['map', folder.file('bitmap.vhd')]);
    expect([code, stderr]).toEqual([3, expect.stringContaining('--bitmap honour') as string]);
    const honoured = await vhd(['map', '--json', '--bitmap', 'honour', folder.file('bitmap.vhd')]);
    expect([honoured.code, JSON.parse(honoured.stdout)]).toEqual([0, expect.objectContaining({ dataBytes: 512 })]);
  });

  it('says what is wrong with one that cannot be opened, and leaves nothing behind', async () => {
    await writeFile(folder.file('no.vhd'), new Uint8Array(MiB));
    const { code, stderr } = await vhd(['map', folder.file('no.vhd'), '--svg', folder.file('no.svg')]);
    expect([code, stderr]).toEqual([3, expect.stringContaining('has no footer') as string]);
    expect((await readdir(folder.path)).filter((name) => name.includes('no.svg'))).toEqual([]);
  });
});

describe('map into an SVG file', () => {
  it('writes the picture and sums it up', async () => {
    const target = folder.file('out.svg');
    const { code, stdout, stderr } = await vhd(['map', folder.file('parts.vhd'), '--svg', target]);
    expect([code, stderr]).toEqual([0, '']);
    expect(stdout).toMatch(new RegExp(`^wrote ${target}\n {2}type +dynamic\n`));
    const words = parseXml(await readFile(target, 'utf8')).map((element) => element.text);
    expect(words).toContain('parts.vhd');
    expect(words.some((text) => text.startsWith('2 '))).toBe(true);
    expect(await vhd(['map', folder.file('parts.vhd'), '--svg', target, '--force', '-q'])).toMatchObject({
      stdout: '',
    });
  });

  it('does not replace a file, let alone the image, unless told to', async () => {
    await copyFile(folder.file('disk.vhd'), folder.file('there.svg'));
    const refused = await vhd(['map', folder.file('disk.vhd'), '--svg', folder.file('there.svg')]);
    expect([refused.code, refused.stderr]).toEqual([2, expect.stringContaining('--force replaces it') as string]);
    const same = await vhd(['map', folder.file('disk.vhd'), '--svg', folder.file('disk.vhd'), '--force']);
    expect([same.code, same.stderr]).toEqual([2, expect.stringContaining('same file') as string]);
    expect(Buffer.compare(await readFile(folder.file('there.svg')), await readFile(folder.file('disk.vhd')))).toBe(0);
  });

  it('writes to standard output, a terminal too, and nothing else there', async () => {
    for (const terminals of [[], ['stdout']] as const) {
      const { code, stdout, stderr } = await vhd(['map', folder.file('disk.vhd'), '--svg', '-'], { terminals });
      expect([code, stderr]).toEqual([0, '']);
      expect(parseXml(stdout)[0]?.name).toBe('svg');
    }
  });

  it('goes with JSON, and shows what is not known', async () => {
    const target = folder.file('damaged.svg');
    const { code, stdout } = await vhd(['map', folder.file('damaged.vhd'), '--json', '--svg', target]);
    expect([code, (JSON.parse(stdout) as { unknownBytes: number }).unknownBytes]).toEqual([3, 524_288]);
    expect(await readFile(target, 'utf8')).toContain('512 KiB cannot be told');
  });
});

it('map refuses standard input', async () => {
  expect(await vhd(['map', '-'])).toMatchObject({
    code: 2,
    stderr: expect.stringContaining('save it to a file') as string,
  });
});

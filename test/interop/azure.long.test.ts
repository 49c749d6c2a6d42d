// Disks with a GPT made by sgdisk, made fit for Azure in every way there is, and looked at by sgdisk and sfdisk.
import { createReadStream, createWriteStream } from 'node:fs';
import { copyFile, open, readFile, stat, truncate } from 'node:fs/promises';
import { beforeAll, expect, it } from 'vitest';
import { openVhd } from '../../src/open.ts';
import { convert } from '../../src/ops/convert.ts';
import { firstDifference, pattern } from '../support/bytes.ts';
import { describeWithPeers, runPeer } from '../support/peers.ts';
import { useTempFolder } from '../support/temp.ts';

const MIB = 1024 ** 2;
const folder = useTempFolder('azure');

interface Layout {
  readonly name: string;
  readonly size: number;
  /** Arguments of sgdisk. */
  readonly table: readonly string[];
}

const WHOLE = ['-n', '1:2048:0', '-t', '1:8300', '-c', '1:root'];
const THREE = ['-n', '1:2048:+2M', '-t', '1:ef00', '-n', '2:0:+3M', '-n', '3:0:0', '-t', '3:8200', '-A', '2:set:2'];
const LAYOUTS: readonly Layout[] = [
  { name: 'one sector more than 24 MiB', size: 24 * MIB + 512, table: WHOLE },
  { name: 'one sector less than 24 MiB', size: 24 * MIB - 512, table: WHOLE },
  { name: '16 KiB less than 24 MiB', size: 24 * MIB - 16 * 1024, table: THREE },
  { name: '16.5 KiB less than 24 MiB', size: 24 * MIB - 33 * 512, table: THREE },
  { name: '17 KiB less than 24 MiB', size: 24 * MIB - 34 * 512, table: THREE },
  { name: 'a third of a MiB more than 24 MiB', size: 24 * MIB + 341 * 1024, table: THREE },
  { name: 'less than Azure takes', size: 10 * MIB, table: WHOLE },
  { name: 'exactly 32 MiB', size: 32 * MIB, table: THREE },
  { name: '256 entries', size: 25 * MIB + 512 * 7, table: ['-S', '256', ...THREE] },
  { name: '4 entries', size: 25 * MIB + 512 * 7, table: ['-S', '4', ...THREE] },
  { name: 'a partition in no order', size: 25 * MIB + 1024, table: ['-n', '5:20480:0', '-n', '2:2048:+1M'] },
];

/** The disk, with something recognisable in its middle. */
async function makeDisk(path: string, { size, table }: Layout): Promise<void> {
  const file = await open(path, 'w');
  await file.truncate(size);
  await file.write(pattern(70_000, size), 0, 70_000, 4 * MIB + 100);
  await file.close();
  await runPeer('sgdisk', ['-a', '8', ...table, path]);
}

/** The partitions as sgdisk tells them, without what has to change. */
async function partitionsOf(path: string): Promise<string> {
  const { stdout } = await runPeer('sgdisk', ['-p', path]);
  return stdout.slice(stdout.indexOf('Number  Start')) + (/GUID\): (\S+)/.exec(stdout)?.[1] ?? '');
}

async function checkResult(image: string, source: string, size: number, tableEnd = size): Promise<void> {
  const wanted = Math.max(20 * MIB, Math.ceil(size / MIB) * MIB);
  expect((await stat(image)).size).toBe(wanted + 512);
  await using disk = await openVhd(image);
  expect([disk.type, disk.size]).toEqual(['fixed', wanted]);
  const raw = `${image}.raw`;
  await copyFile(image, raw);
  const file = await open(raw, 'r+');
  await file.truncate(wanted);
  await file.close();
  const verdict = await runPeer('sgdisk', ['-v', raw], { anyCode: true });
  expect(verdict.stdout).toContain('No problems found');
  // Where partitions end and how many entries there are is the source's business, of which sgdisk says the same.
  const known =
    /Caution: Partition \d+ doesn't end on[^.]*\.[^.]*\.|Warning: The size of the partition table[^.]*\.[^.]*\./g;
  expect((verdict.stdout + verdict.stderr).replaceAll(known, '')).not.toMatch(/warning|caution|problem:|error/i);
  const verified = await runPeer('sfdisk', ['--verify', raw], { anyCode: true });
  expect([verified.code, verified.stderr]).toEqual([0, '']);
  expect((await runPeer('sfdisk', ['-l', raw])).stderr).toBe('');
  expect(await partitionsOf(raw)).toBe(await partitionsOf(source));
  checkBytes(await readFile(raw), (await readFile(source)).subarray(0, tableEnd));
}

/** Everything between the primary table and the old backup is as it was, everything behind it zero but the new backup. */
function checkBytes(after: Buffer, before: Buffer): void {
  const [front, tail] = [256 * 130, 512 * 70];
  const kept = before.length - tail;
  expect(firstDifference(after.subarray(front, kept), before.subarray(front, kept))).toBe(-1);
  const backup = after.lastIndexOf('EFI PART');
  expect(backup).toBe(after.length - 512);
  expect(after.indexOf('EFI PART', 1024)).toBe(backup);
}

type Way = (source: string, image: string, size: number) => Promise<unknown>;

const AZURE = { to: 'fixed', azure: true } as const;
const WAYS: Readonly<Record<string, Way>> = {
  'from a file': (source, image) => convert(source, image, AZURE),
  'from a dynamic image': async (source, image) => {
    await convert(source, `${image}.dynamic`, { to: 'dynamic' });
    await convert(`${image}.dynamic`, image, AZURE);
  },
  'from a pipe': (source, image, size) => convert(createReadStream(source), image, { ...AZURE, inputSize: size }),
  'from a dynamic image down a pipe': async (source, image) => {
    await convert(source, `${image}.dynamic`, { to: 'dynamic' });
    await convert(createReadStream(`${image}.dynamic`), image, AZURE);
  },
  'from a pipe to a pipe': async (source, image, size) => {
    const target = createWriteStream(image);
    await convert(createReadStream(source, { highWaterMark: 10_007 }), target, { ...AZURE, inputSize: size });
    await new Promise((resolve) => target.end(resolve));
  },
  'from a file to a pipe': async (source, image) => {
    const target = createWriteStream(image);
    await convert(source, target, AZURE);
    await new Promise((resolve) => target.end(resolve));
  },
  'in place, from raw': async (source, image) => {
    await copyFile(source, `${image}.before`);
    await convert(`${image}.before`, image, { ...AZURE, inPlace: true });
  },
  'in place, from fixed': async (source, image) => {
    await convert(source, image, { to: 'fixed' });
    await convert(image, image, { ...AZURE, inPlace: true });
  },
};

const sourceOf = ({ name }: Layout): string => folder.file(`${name.replaceAll(' ', '-')}.raw`);
const FITTING: Layout = { name: 'fitting', size: 32 * MIB, table: THREE };
const GROWN: Layout = { name: 'grown', size: 24 * MIB, table: THREE };
const ODD: Layout = { name: 'odd', size: 24 * MIB + 512, table: THREE };

describeWithPeers(['sgdisk', 'sfdisk'], 'a disk with a GPT for Azure', () => {
  // All at once: sgdisk waits a second after it has written.
  beforeAll(() => Promise.all([...LAYOUTS, FITTING, GROWN, ODD].map((layout) => makeDisk(sourceOf(layout), layout))));

  // Every layout in one way, every way with one layout: the plan is the same for all, only who carries it out differs.
  const ways = Object.keys(WAYS).map((way, index) => [way, LAYOUTS[(index * 2) % LAYOUTS.length]] as const);
  const cases = [...LAYOUTS.map((layout) => ['from a file', layout] as const), ...ways.slice(1)];
  it.each(cases.map(([way, layout]) => ({ way, layout })))('of $layout.name, $way', async ({ way, layout }) => {
    if (layout === undefined) throw new Error('no layout');
    const image = folder.file(`${layout.name}-${way}.vhd`.replaceAll(' ', '-'));
    await WAYS[way]?.(sourceOf(layout), image, layout.size);
    await checkResult(image, sourceOf(layout), layout.size);
  });

  it('leaves a disk that fits as it is, byte for byte', async () => {
    const [source, image] = [sourceOf(FITTING), folder.file('fits.vhd')];
    const { changes, virtualSize, uploadSize } = await convert(source, image, AZURE);
    expect({ changes, virtualSize, uploadSize }).toEqual({
      changes: [],
      virtualSize: 32 * MIB,
      uploadSize: 33_554_944,
    });
    expect(firstDifference((await readFile(image)).subarray(0, 32 * MIB), await readFile(source))).toBe(-1);
  });

  it('moves a backup that a file made longer left behind, and mends one that is broken', async () => {
    const source = sourceOf(GROWN);
    const file = await open(source, 'r+');
    await file.truncate(30 * MIB);
    const { changes } = await convert(source, folder.file('longer.vhd'), AZURE);
    expect(changes).toEqual(['the backup of its GPT was put at its end, and what points there was made to fit']);
    await checkResult(folder.file('longer.vhd'), source, 30 * MIB, 24 * MIB);
    await file.truncate(24 * MIB);
    await file.write(pattern(300), 0, 300, 24 * MIB - 400);
    await file.close();
    await convert(source, folder.file('mended.vhd'), AZURE);
    await checkResult(folder.file('mended.vhd'), source, 24 * MIB);
  });

  it('refuses a GPT whose primary is broken, and says where', async () => {
    const source = folder.file('broken.raw');
    await copyFile(sourceOf(ODD), source);
    const file = await open(source, 'r+');
    await file.write(pattern(1), 0, 1, 512 + 60);
    await file.close();
    await expect(convert(source, folder.file('broken.vhd'), AZURE)).rejects.toMatchObject({ code: 'ERR_VHD_CORRUPT' });
  });

  it('writes the backup of a disk that lost only that, and refuses one that lost more', async () => {
    const source = folder.file('cut.raw');
    await copyFile(sourceOf(FITTING), source);
    for (const [lost, outcome] of [
      [1, undefined],
      [33, undefined],
      [34, 'ERR_VHD_TRUNCATED'],
    ] as const) {
      await truncate(source, 32 * MIB - lost * 512);
      const image = folder.file(`cut-${lost}.vhd`);
      if (outcome === undefined) {
        await convert(source, image, AZURE);
        await checkResult(image, sourceOf(FITTING), 32 * MIB);
      } else await expect(convert(source, image, AZURE)).rejects.toMatchObject({ code: outcome });
    }
  });

  it.each([512, 4096])('refuses a GPT at %d that it cannot trust down a pipe as from a file', async (headerAt) => {
    const source = folder.file(`untrusted-${headerAt}.raw`);
    await copyFile(sourceOf(ODD), source);
    const file = await open(source, 'r+');
    const header = new Uint8Array(512);
    await file.read(header, 0, 512, 512);
    await file.write(new Uint8Array(512), 0, 512, 512);
    if (headerAt === 4096) await file.write(header, 0, 512, 4096);
    await file.close();
    const target = createWriteStream(folder.file('untrusted.vhd'));
    await expect(convert(createReadStream(source), target, AZURE)).rejects.toMatchObject({ code: 'ERR_VHD_STREAM' });
    await expect(convert(source, folder.file('untrusted.vhd'), { ...AZURE, force: true })).rejects.toThrow(/GPT/);
    target.destroy();
  });

  it('wants the size of a pipe, and tells what the GPT says of it', async () => {
    const source = sourceOf(ODD);
    await expect(convert(createReadStream(source), folder.file('unsized.vhd'), AZURE)).rejects.toMatchObject({
      code: 'ERR_VHD_STREAM',
      remedy: expect.stringContaining(`--input-size ${24 * MIB + 512}`) as string,
    });
    for (const [inputSize, code] of [
      [24 * MIB, 'ERR_VHD_SIZE'],
      [25 * MIB, 'ERR_VHD_TRUNCATED'],
    ] as const) {
      const wrong = convert(createReadStream(source), folder.file('unsized.vhd'), { ...AZURE, inputSize });
      await expect(wrong).rejects.toMatchObject({ code });
    }
    await expect(stat(folder.file('unsized.vhd'))).rejects.toMatchObject({ code: 'ENOENT' });
  });
});

import { copyFile, truncate, writeFile } from 'node:fs/promises';
import { beforeAll, describe, expect, it, vi } from 'vitest';
import { FlatDisk } from '../../../src/disk/flat.ts';
import { openDisk, openVhd } from '../../../src/open.ts';
import { compare } from '../../../src/ops/compare.ts';
import { compareDisks } from '../../../src/ops/compare-disks.ts';
import type { DifferingRange } from '../../../src/ops/compare-report.ts';
import { convert } from '../../../src/ops/convert.ts';
import { createImage } from '../../../src/ops/create.ts';
import type { Progress } from '../../../src/ops/progress.ts';
import { FileStorage } from '../../../src/storage/file.ts';
import { MemoryStorage } from '../../../src/storage/memory.ts';
import { buildImage } from '../../support/build-image.ts';
import { pattern } from '../../support/bytes.ts';
import { partitionedDisk } from '../../support/partitioned-disk.ts';
import { numberFromEnv, Random } from '../../support/seed.ts';
import { useTempFolder } from '../../support/temp.ts';

const folder = useTempFolder('compare');
const KiB = 1024;
const MiB = 1024 * KiB;

const diskOf = (bytes: Uint8Array) => new FlatDisk(new MemoryStorage(bytes), bytes.length, true);

function changed(source: Uint8Array, ...positions: number[]): Uint8Array {
  const bytes = source.slice();
  for (const position of positions) bytes[position] = (bytes[position] ?? 0) ^ 1;
  return bytes;
}

/** What the documentation says, in the slowest way. */
function expectedRanges(a: Uint8Array, b: Uint8Array): { start: number; length: number }[] {
  const end = Math.min(a.length, b.length);
  const ranges: { start: number; length: number }[] = [];
  for (let start = 0; start < end; start += 512) {
    const length = Math.min(512, end - start);
    const [ofA, ofB] = [a.subarray(start, start + length), b.subarray(start, start + length)];
    if (Buffer.compare(ofA, ofB) === 0) continue;
    const last = ranges.at(-1);
    if (last !== undefined && last.start + last.length === start) last.length += length;
    else ranges.push({ start, length });
  }
  return ranges;
}

const placesOf = (ranges: readonly DifferingRange[]) => ranges.map(({ start, length }) => ({ start, length }));

async function bytesOf(path: string, from?: 'raw' | 'vhd'): Promise<Uint8Array> {
  const { disk } = await openDisk(path, { from });
  await using _ = disk;
  const bytes = new Uint8Array(disk.size);
  await disk.read(bytes, 0);
  return bytes;
}

describe('two disks', () => {
  const original = pattern(5 * MiB + 512);

  it('are equal', async () => {
    expect(await compareDisks(diskOf(original), diskOf(original.slice()))).toEqual({
      ...{ equal: true, firstDifference: null, differingBytes: 0, rangeCount: 0, ranges: [], tail: null },
      ...{ partitionsOf: null, partitions: [], comparedBytes: original.length, skippedBytes: 0 },
    });
  });

  it.each([
    [[0], [[0, 512]]],
    [[511, 512], [[0, 1024]]],
    [
      [700, 5000],
      [
        [512, 512],
        [4608, 512],
      ],
    ],
    [[2 * MiB - 1, 2 * MiB], [[2 * MiB - 512, 1024]]],
    [[5 * MiB + 511], [[5 * MiB, 512]]],
  ])('differ at %j: ranges %j', async (positions, ranges) => {
    const found = await compareDisks(diskOf(original), diskOf(changed(original, ...positions)));
    expect(found).toMatchObject({ equal: false, firstDifference: positions[0], rangeCount: ranges.length });
    expect(found.ranges).toEqual(ranges.map(([start, length]) => ({ start, length, partitions: [] })));
    expect(found.differingBytes).toBe(ranges.reduce((sum, [, length = 0]) => sum + length, 0));
  });

  it('are joined into one range where everything differs', async () => {
    const found = await compareDisks(diskOf(original), diskOf(new Uint8Array(original.length)));
    expect(found.ranges).toEqual([{ start: 0, length: original.length, partitions: [] }]);
  });

  it('end within a sector', async () => {
    const [a, b] = [original.subarray(0, 1000), changed(original, 999).subarray(0, 1000)];
    expect((await compareDisks(diskOf(a), diskOf(b))).ranges).toMatchObject([{ start: 512, length: 488 }]);
  });

  it('--first: the sector of the first difference, and nothing behind it is read', async () => {
    const b = diskOf(changed(original, 3 * MiB + 5, 3 * MiB + 600, 5 * MiB));
    const found = await compareDisks(diskOf(original), b, { first: true });
    expect(found).toMatchObject({ equal: false, firstDifference: 3 * MiB + 5, rangeCount: 1 });
    expect(placesOf(found.ranges)).toEqual([{ start: 3 * MiB, length: 512 }]);
    expect(found.comparedBytes).toBe(4 * MiB);
    expect((await compareDisks(diskOf(original), diskOf(original), { first: true })).equal).toBe(true);
  });

  it('lists as many ranges as it is told to, counts all and hands out each', async () => {
    const positions = Array.from({ length: 50 }, (_, index) => index * 1024);
    const heard: DifferingRange[] = [];
    const onRange = async (range: DifferingRange): Promise<void> => {
      await new Promise((resolve) => setImmediate(resolve));
      heard.push(range);
    };
    const b = diskOf(changed(original, ...positions));
    const found = await compareDisks(diskOf(original), b, { maxRanges: 3, onRange });
    expect(found).toMatchObject({ rangeCount: 50, differingBytes: 50 * 512 });
    expect(found.ranges).toEqual(heard.slice(0, 3));
    expect(placesOf(heard)).toEqual(positions.map((start) => ({ start, length: 512 })));
  });

  it('know their options, tell how far they are, and can be stopped', async () => {
    const [a, b] = [diskOf(original), diskOf(original)];
    await expect(compareDisks(a, b, { x: 1 } as object)).rejects.toThrow("unknown option 'x'");
    await expect(compareDisks(a, b, { first: 'yes' } as object)).rejects.toThrow(TypeError);
    await expect(compareDisks(a, b, { maxRanges: -1 })).rejects.toThrow(RangeError);
    const heard: Progress[] = [];
    await compareDisks(a, b, { onProgress: (progress) => heard.push(progress) });
    const size = original.length;
    expect(heard.at(-1)).toMatchObject({ phase: 'compare', doneBytes: size, totalBytes: size });
    const signal = AbortSignal.abort(new Error('enough'));
    await expect(compareDisks(a, b, { signal })).rejects.toThrow('enough');
    const controller = new AbortController();
    const stop = { signal: controller.signal, onRange: () => controller.abort(new Error('stopped')) };
    await expect(compareDisks(a, diskOf(new Uint8Array(size)), stop)).rejects.toThrow('stopped');
  });
});

describe('disks of different sizes', () => {
  const short = pattern(MiB);
  const longer = (fill?: (bytes: Uint8Array) => void): Uint8Array => {
    const bytes = new Uint8Array(4 * MiB);
    bytes.set(short);
    fill?.(bytes);
    return bytes;
  };

  it('are equal as far as both go, and the rest is zero: only with ignoreTail that is equal', async () => {
    const tail = { of: 'b', start: MiB, length: 3 * MiB, allZero: true, firstData: null };
    expect(await compareDisks(diskOf(short), diskOf(longer()))).toMatchObject({ equal: false, ranges: [], tail });
    const ignoring = { ignoreTail: true };
    expect(await compareDisks(diskOf(short), diskOf(longer()), ignoring)).toMatchObject({ equal: true, tail });
    expect(await compareDisks(diskOf(longer()), diskOf(short), ignoring)).toMatchObject({
      equal: true,
      tail: { ...tail, of: 'a' },
    });
  });

  it('are different where the rest is not all zero, whatever is ignored', async () => {
    const b = longer((bytes) => (bytes[3 * MiB + 7] = 1));
    expect(await compareDisks(diskOf(short), diskOf(b), { ignoreTail: true })).toMatchObject({
      ...{ equal: false, ranges: [], rangeCount: 0, firstDifference: null },
      tail: { of: 'b', start: MiB, length: 3 * MiB, allZero: false, firstData: 3 * MiB + 7 },
    });
  });

  it('are not looked at behind the first difference, if that is enough', async () => {
    const b = diskOf(longer((bytes) => (bytes[0] = 0)));
    expect(await compareDisks(diskOf(short), b, { first: true })).toMatchObject({
      tail: { of: 'b', allZero: null, firstData: null },
    });
    expect(await compareDisks(diskOf(new Uint8Array(0)), diskOf(short))).toMatchObject({
      equal: false,
      tail: { start: 0, firstData: 0 },
    });
  });
});

describe('the partitions of disks that differ', () => {
  const original = partitionedDisk();

  it('are named, with how much of each differs', async () => {
    const b = changed(original, 300, 5 * MiB - 1, 5 * MiB, 6 * MiB, 9 * MiB);
    const found = await compareDisks(diskOf(original), diskOf(b));
    expect(found.ranges).toEqual([
      { start: 0, length: 512, partitions: [] },
      { start: 5 * MiB - 512, length: 1024, partitions: [1] },
      { start: 6 * MiB, length: 512, partitions: [] },
      { start: 9 * MiB, length: 512, partitions: [2] },
    ]);
    expect(found).toMatchObject({
      partitionsOf: 'a',
      partitions: [
        { number: 1, type: '0x0c', differingBytes: 512 },
        { number: 2, type: '0x83', differingBytes: 512 },
      ],
    });
  });

  it('are those of B where A has none', async () => {
    const found = await compareDisks(diskOf(new Uint8Array(original.length)), diskOf(original));
    expect(found).toMatchObject({ partitionsOf: 'b', partitions: [{ number: 2, differingBytes: 2 * MiB }] });
  });
});

describe('two images', () => {
  const content = new Uint8Array(9 * MiB);
  content.set(pattern(3 * MiB), MiB);
  content.set(pattern(1000, 2), 8 * MiB);

  beforeAll(async () => {
    const raw = folder.file('disk.raw');
    await writeFile(raw, content);
    await convert(raw, folder.file('fixed.vhd'), { to: 'fixed' });
    await convert(raw, folder.file('dynamic.vhd'), { to: 'dynamic' });
    await convert(raw, folder.file('small.vhd'), { to: 'dynamic', blockSize: 512 * KiB });
    await createImage(folder.file('child.vhd'), { parent: folder.file('dynamic.vhd') });
    await createImage(folder.file('other.vhd'), { parent: folder.file('dynamic.vhd') });
  });

  const NAMES = ['disk.raw', 'fixed.vhd', 'dynamic.vhd', 'small.vhd', 'child.vhd'] as const;
  const pairs = NAMES.flatMap((a, index) => NAMES.slice(index).map((b) => [a, b] as const));

  it.each(pairs)('%s and %s are equal', async (a, b) => {
    const found = await compare(folder.file(a), folder.file(b));
    expect(found).toMatchObject({ equal: true, a: { path: folder.file(a), virtualSize: 9 * MiB } });
    expect(found.comparedBytes + found.skippedBytes).toBe(9 * MiB);
    const isSparse = ![a, b].some((name) => name === 'disk.raw' || name === 'fixed.vhd');
    if (isSparse) expect(found.skippedBytes).toBeGreaterThan(3 * MiB);
  });

  it.each(NAMES)('%s and one that was changed differ there', async (name) => {
    const path = folder.file('changed.vhd');
    await copyFile(folder.file('small.vhd'), path);
    const disk = await openVhd(path, { writable: true });
    await disk.write(new Uint8Array(4096), 2 * MiB);
    await disk.write(Uint8Array.of(1), 7 * MiB + 600);
    await disk.close();
    expect((await compare(folder.file(name), path)).ranges).toEqual([
      { start: 2 * MiB, length: 4096, partitions: [] },
      { start: 7 * MiB + 512, length: 512, partitions: [] },
    ]);
  });

  it('that are the same file, or have one parent, are not read', async () => {
    const reads = vi.spyOn(FileStorage.prototype, 'read');
    const batches = vi.spyOn(FileStorage.prototype, 'readAcross');
    for (const [a, b] of [
      ['disk.raw', 'disk.raw'],
      ['dynamic.vhd', 'dynamic.vhd'],
      ['child.vhd', 'other.vhd'],
      ['child.vhd', 'dynamic.vhd'],
    ] as const) {
      reads.mockClear();
      expect(await compare(folder.file(a), folder.file(b))).toMatchObject({ equal: true, comparedBytes: 0 });
      // Footers, tables and bitmaps.
      expect(Math.max(...reads.mock.calls.map(([target]) => target.length))).toBeLessThan(64 * KiB);
      expect(batches).not.toHaveBeenCalled();
    }
    vi.restoreAllMocks();
  });

  it('that have one parent are read where they have something of their own', async () => {
    const disk = await openVhd(folder.file('other.vhd'), { writable: true });
    await disk.write(content.subarray(2 * MiB, 2 * MiB + 512), 2 * MiB);
    await disk.write(Uint8Array.of(9), 2 * MiB + 5000);
    await disk.close();
    const found = await compare(folder.file('child.vhd'), folder.file('other.vhd'));
    expect(placesOf(found.ranges)).toEqual([{ start: 2 * MiB + 4608, length: 512 }]);
    expect(found.comparedBytes).toBeLessThanOrEqual(64 * KiB);
  });

  it('are not equal because they are one file, if that is read in two ways', async () => {
    // Sectors 1 and 2 of the block are marked as never written, and hold bytes: zeros for whoever honours that.
    const path = folder.file('clear.vhd');
    const sectors = [0, 3, 4, 5, 6, 7];
    await writeFile(path, buildImage({ size: 40 * KiB, blockSize: 4 * KiB, blocks: [{ index: 3, sectors }] }));
    await expect(compare(path, path)).rejects.toThrow('never written');
    expect(await compare(path, path, { bitmap: 'honour' })).toMatchObject({ equal: true });
    const found = await compare(path, path, { fromA: 'raw', fromB: 'vhd', bitmap: 'honour' });
    const expected = expectedRanges(
      await bytesOf(path, 'raw'),
      new Uint8Array(40 * KiB).fill(0xb0, 12 * KiB, 12 * KiB + 512).fill(0xb0, 12 * KiB + 1536, 16 * KiB),
    );
    expect(placesOf(found.ranges)).toEqual(expected);
    expect(found).toMatchObject({ a: { type: 'raw' }, b: { type: 'dynamic' } });
  });

  it('are told which of them is ambiguous', async () => {
    const path = folder.file('named.vhd');
    await writeFile(path, pattern(4096));
    await expect(compare(folder.file('disk.raw'), path)).rejects.toMatchObject({
      remedy: expect.stringContaining('--from-b raw') as string,
    });
    await expect(compare(path, folder.file('disk.raw'), { from: 'vhd' })).rejects.toMatchObject({
      code: 'ERR_VHD_NOT_VHD',
      remedy: 'if it is a raw disk, say --from-a raw',
    });
    expect(await compare(path, path, { fromA: 'raw', fromB: 'raw' })).toMatchObject({ equal: true });
    await expect(compare(path, path, { writable: true } as object)).rejects.toThrow("unknown option 'writable'");
    await expect(compare(path, path, { fromA: 'x' } as object)).rejects.toThrow(TypeError);
  });

  it('are refused where the bytes of one cannot be told', async () => {
    const path = folder.file('cut.vhd');
    await copyFile(folder.file('fixed.vhd'), path);
    await truncate(path, 5 * MiB);
    await expect(compare(folder.file('disk.raw'), path, { from: undefined })).rejects.toThrow();
  });

  it('end within a sector and are filled up', async () => {
    const [a, b] = [folder.file('a.raw'), folder.file('b.raw')];
    await writeFile(a, pattern(1000));
    await writeFile(b, Buffer.concat([pattern(1000), new Uint8Array(23), Uint8Array.of(1)]));
    expect((await compare(a, b, { pad: true })).ranges).toMatchObject([{ start: 512, length: 512 }]);
  });
});

/** Writes here and there, whole sectors and parts of them, data and zeros. */
async function scribble(path: string, random: Random, writes: number): Promise<void> {
  const disk = await openVhd(path, { writable: true });
  for (let count = 0; count < writes; count++) {
    const start = random.below(disk.size);
    const length = Math.min(1 + random.below(3000), disk.size - start);
    await disk.write(random.oneIn(3) ? new Uint8Array(length) : pattern(length, random.below(4)), start);
  }
  await disk.close();
}

it('chains that were written to at random differ where their bytes do', async () => {
  const seed = numberFromEnv('VHDKIT_SEED', 7);
  const random = new Random(seed);
  const names = ['base', 'left', 'right', 'leaf'].map((name) => folder.file(`${name}.vhd`));
  const [base = '', left = '', right = '', leaf = ''] = names;
  await createImage(base, { size: 2 * MiB + 512, blockSize: 512 * KiB });
  await scribble(base, random, 40);
  await createImage(left, { parent: base });
  await createImage(right, { parent: base });
  await scribble(left, random, 12);
  await scribble(right, random, 12);
  await createImage(leaf, { parent: left });
  await scribble(leaf, random, 12);
  const contents = await Promise.all(names.map((name) => bytesOf(name)));
  for (const [index, a] of names.entries()) {
    for (const [other, b] of names.entries()) {
      const found = await compare(a, b);
      const expected = expectedRanges(contents[index] ?? new Uint8Array(0), contents[other] ?? new Uint8Array(0));
      expect([seed, a, b, placesOf(found.ranges)]).toEqual([seed, a, b, expected]);
      expect(found.equal).toBe(expected.length === 0);
    }
  }
});

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { BitmapPolicy } from '../../../src/disk/bitmap-rule.ts';
import { FlatDisk } from '../../../src/disk/flat.ts';
import { openVhdStorage } from '../../../src/disk/open-storage.ts';
import { isAllZeros } from '../../../src/format/zeros.ts';
import { type MapRun, mapDisk, mapRuns } from '../../../src/ops/map.ts';
import { MemoryStorage } from '../../../src/storage/memory.ts';
import { type BlockShape, buildImage, contentOf, type ImageShape } from '../../support/build-image.ts';
import { firstDifference, pattern } from '../../support/bytes.ts';
import { collect } from '../../support/collect.ts';
import { checkParameters } from '../../support/seed.ts';

const KiB = 1024;
const MiB = 1024 * KiB;

function open(image: Uint8Array, bitmap?: BitmapPolicy) {
  return openVhdStorage(new MemoryStorage(image), { bitmap });
}

/** The file from byte `offset` on, the sector number of a block's table entry being the third of four things there. */
const BLOCKS: ImageShape = {
  size: 6 * 4096,
  blockSize: 4096,
  blocks: [
    { index: 3, data: pattern(4096, 1) },
    { index: 0, data: pattern(4096, 2) },
    { index: 1, data: pattern(4096, 3) },
  ],
};
const FIRST = 2048;
const STRIDE = 4096 + 512;

describe('the map of a dynamic image', () => {
  it('has a run for every block, with its place in the file', async () => {
    const map = await mapDisk(await open(buildImage(BLOCKS)));
    expect(map).toEqual({
      virtualSize: 6 * 4096,
      start: 0,
      length: 6 * 4096,
      runs: [
        { start: 0, length: 4096, kind: 'data', depth: 0, fileOffset: FIRST + STRIDE + 512 },
        { start: 4096, length: 4096, kind: 'data', depth: 0, fileOffset: FIRST + 2 * STRIDE + 512 },
        { start: 8192, length: 4096, kind: 'zero', depth: 0, fileOffset: null },
        { start: 12_288, length: 4096, kind: 'data', depth: 0, fileOffset: FIRST + 512 },
        { start: 16_384, length: 8192, kind: 'zero', depth: 0, fileOffset: null },
      ],
      runCount: 5,
      dataBytes: 12_288,
      parentBytes: 0,
      zeroBytes: 12_288,
      storedZeroBytes: 0,
      unknownBytes: 0,
      dataRunCount: 3,
      fragmentCount: 2,
      backwardCount: 1,
    });
  });

  it('is that of a range, cut at its ends', async () => {
    const { runs, start, length } = await mapDisk(await open(buildImage(BLOCKS)), { start: 5000, length: 4000 });
    expect([start, length]).toEqual([5000, 4000]);
    expect(runs).toEqual([
      { start: 5000, length: 3192, kind: 'data', depth: 0, fileOffset: FIRST + 2 * STRIDE + 512 + 904 },
      { start: 8192, length: 808, kind: 'zero', depth: 0, fileOffset: null },
    ]);
    expect((await mapDisk(await open(buildImage(BLOCKS)), { start: 100, length: 0 })).runs).toEqual([]);
  });

  it('follows the bitmaps, or takes whole blocks where that is asked for', async () => {
    const data = new Uint8Array(4096).fill(7, 512, 1536);
    const image = buildImage({ size: 8192, blockSize: 4096, blocks: [{ index: 1, data, sectors: [1, 2, 5] }] });
    const starts = (runs: readonly MapRun[]) => runs.map(({ start, length, kind }) => [start, length, kind]);
    expect(starts((await mapDisk(await open(image))).runs)).toEqual([
      [0, 4608, 'zero'],
      [4608, 1024, 'data'],
      [5632, 1024, 'zero'],
      [6656, 512, 'data'],
      [7168, 1024, 'zero'],
    ]);
    expect((await mapDisk(await open(image))).fragmentCount).toBe(1);
    expect(starts((await mapDisk(await open(image), { coarse: true })).runs)).toEqual([
      [0, 4096, 'zero'],
      [4096, 4096, 'data'],
    ]);
  });

  it('refuses unknown options, and ranges that are not on the disk', async () => {
    const disk = await open(buildImage(BLOCKS));
    await expect(mapDisk(disk, { from: 1 } as object)).rejects.toThrow(TypeError);
    await expect(mapDisk(disk, { start: disk.size + 1 })).rejects.toThrow(RangeError);
    await expect(collect(mapRuns(disk, { start: 1, length: disk.size }))).rejects.toThrow(RangeError);
  });

  it('tells how far it is, and stops when it is told to', async () => {
    const disk = await open(buildImage(BLOCKS));
    const heard: unknown[] = [];
    await mapDisk(disk, { onProgress: (progress) => heard.push(progress) });
    expect(heard.at(-1)).toEqual({ phase: 'map', doneBytes: 24_576, totalBytes: 24_576, skippedBytes: 12_288 });
    const controller = new AbortController();
    const seen: MapRun[] = [];
    const stopping = (async () => {
      for await (const run of mapRuns(disk, { signal: controller.signal })) {
        seen.push(run);
        controller.abort(new Error('enough'));
      }
    })();
    await expect(stopping).rejects.toThrow('enough');
    expect(seen).toHaveLength(1);
  });
});

describe('the map of a raw or fixed disk', () => {
  it('is one run that begins where it does', async () => {
    const bytes = pattern(200 * KiB, 4);
    const { runs } = await mapDisk(new FlatDisk(new MemoryStorage(bytes), bytes.length, true), { start: 700 });
    expect(runs).toEqual([{ start: 700, length: 200 * KiB - 700, kind: 'data', depth: 0, fileOffset: 700 }]);
  });

  it('has the zeros that are found by reading, which have a place in the file', async () => {
    const bytes = pattern(5 * MiB, 4)
      .fill(0, 100 * KiB, 300 * KiB)
      .fill(0, 4 * MiB);
    const disk = new FlatDisk(new MemoryStorage(bytes), bytes.length, true);
    const map = await mapDisk(disk, { detectZeros: true });
    expect(map.runs).toEqual([
      { start: 0, length: 128 * KiB, kind: 'data', depth: 0, fileOffset: 0 },
      { start: 128 * KiB, length: 128 * KiB, kind: 'zero', depth: 0, fileOffset: 128 * KiB },
      { start: 256 * KiB, length: 4 * MiB - 256 * KiB, kind: 'data', depth: 0, fileOffset: 256 * KiB },
      { start: 4 * MiB, length: MiB, kind: 'zero', depth: 0, fileOffset: 4 * MiB },
    ]);
    expect(map).toMatchObject({ zeroBytes: MiB + 128 * KiB, storedZeroBytes: MiB + 128 * KiB, fragmentCount: 1 });
  });
});

describe('the map of a disk of somebody else', () => {
  it('has no places where the disk tells none, and counts what parents hold', async () => {
    const extents = [
      { start: 0, length: 512, kind: 'data', depth: 0 },
      { start: 512, length: 512, kind: 'data', depth: 1, fileOffset: 77 },
    ] as const;
    const disk = new FlatDisk(new MemoryStorage(pattern(1024)), 1024, true);
    async function* told() {
      yield* extents;
    }
    disk.extents = () => told();
    const map = await mapDisk(disk);
    expect(map.runs.map((run) => run.fileOffset)).toEqual([null, 77]);
    expect(map).toMatchObject({ dataBytes: 1024, parentBytes: 512, dataRunCount: 0, fragmentCount: 0 });
  });
});

describe('the map of a damaged image', () => {
  const outside: BlockShape = { index: 3, data: pattern(4096, 1), entry: 1_000_000 };
  const overHeader: BlockShape = { index: 2, data: pattern(4096, 1), entry: 1 };

  it('says of what cannot be read that it is not known, and why', async () => {
    const shape = { ...BLOCKS, blocks: [{ index: 0, data: pattern(4096, 2) }, overHeader, outside] };
    const { runs, unknownBytes, zeroBytes } = await mapDisk(await open(buildImage(shape)));
    expect(runs.map(({ start, kind, fileOffset }) => [start, kind, fileOffset])).toEqual([
      [0, 'data', FIRST + 512],
      [4096, 'zero', null],
      [8192, 'unknown', null],
      [16_384, 'zero', null],
    ]);
    expect(runs[2]).toMatchObject({ length: 8192, problem: { code: 'ERR_VHD_CORRUPT', offset: 1536 + 8 } });
    expect(runs[2]?.problem?.message).toContain('block 2');
    expect([unknownBytes, zeroBytes]).toEqual([8192, 12_288]);
  });

  it('says it at the start and the end of a range, and with blocks as a whole', async () => {
    const shape = { ...BLOCKS, size: 4 * 4096, blocks: [{ index: 1, data: 1 }, overHeader, outside] };
    const disk = await open(buildImage(shape));
    for (const coarse of [false, true]) {
      const kinds = async (start: number, length: number) =>
        (await mapDisk(disk, { start, length, coarse })).runs.map((run) => [run.start, run.length, run.kind]);
      expect(await kinds(8292, 500)).toEqual([[8292, 500, 'unknown']]);
      expect(await kinds(8000, 8292)).toEqual([
        [8000, 192, 'data'],
        [8192, 8100, 'unknown'],
      ]);
    }
  });

  it('knows nothing of a block whose bytes contradict its bitmap, until it is said which is right', async () => {
    const shape = { ...BLOCKS, blocks: [{ index: 2, data: pattern(4096, 5), sectors: [1] }] };
    const { runs } = await mapDisk(await open(buildImage(shape)));
    expect(runs.map((run) => run.kind)).toEqual(['zero', 'unknown', 'zero']);
    expect(runs[1]?.problem).toMatchObject({ code: 'ERR_VHD_BITMAP' });
    expect(runs[1]?.problem?.remedy).toContain('--bitmap honour');
    expect((await mapDisk(await open(buildImage(shape), 'honour'))).dataBytes).toBe(512);
    expect((await mapDisk(await open(buildImage(shape), 'ignore'))).dataBytes).toBe(4096);
  });

  it('rejects where the file cannot be read', async () => {
    const storage = new MemoryStorage(buildImage({ ...BLOCKS, blocks: [{ index: 0, data: 1, sectors: [0] }] }));
    const disk = await openVhdStorage(storage);
    storage.read = () => Promise.reject(Object.assign(new Error('EIO'), { code: 'EIO' }));
    await expect(mapDisk(disk)).rejects.toMatchObject({ code: 'EIO' });
  });
});

describe('any map', () => {
  const shapes = fc.record({
    blockSize: fc.constantFrom(512 * KiB, 2 * MiB),
    alignment: fc.constantFrom('packed' as const, 'aligned' as const),
    order: fc.shuffledSubarray([0, 1, 2, 3, 4]),
    sectors: fc.array(fc.tuple(fc.nat(4095), fc.integer({ min: 1, max: 300 })), { maxLength: 6 }),
    seed: fc.nat(1000),
  });

  it.each([false, true])('is exact; zeros found by reading: %s', { timeout: 30_000 }, async (detectZeros) => {
    const property = fc.asyncProperty(shapes, async ({ blockSize, alignment, order, sectors, seed }) => {
      const shape: ImageShape = {
        size: 5 * blockSize - 1024,
        blockSize,
        alignment,
        blocks: order.map((index) => blockOf(index, blockSize, index % 2 === 0 ? undefined : sectors, seed)),
      };
      const image = buildImage(shape);
      const { runs, ...figures } = await mapDisk(await open(image), { detectZeros });
      expectExact(runs, image, contentOf(shape));
      expect(figures.dataBytes + figures.zeroBytes).toBe(shape.size);
    });
    await fc.assert(property, checkParameters(8));
  });
});

/** A block with a hole of zeros in its data, and sectors that were never written if `set` names those that were. */
function blockOf(index: number, blockSize: number, set: [number, number][] | undefined, seed: number): BlockShape {
  const data = pattern(blockSize, seed + index).fill(0, 100 * KiB, 300 * KiB);
  if (set === undefined) return { index, data };
  const written = new Set<number>();
  for (const [first, count] of set) {
    for (let sector = first; sector < Math.min(first + count, blockSize / 512); sector++) written.add(sector);
  }
  for (let sector = 0; sector < blockSize / 512; sector++) {
    if (!written.has(sector)) data.fill(0, sector * 512, (sector + 1) * 512);
  }
  return { index, data, sectors: [...written] };
}

function expectExact(runs: readonly MapRun[], image: Uint8Array, content: Uint8Array): void {
  let position = 0;
  for (const { start, length, kind, fileOffset } of runs) {
    expect(start).toBe(position);
    expect(length).toBeGreaterThan(0);
    const expected = content.subarray(start, start + length);
    if (kind === 'zero') expect(isAllZeros(expected), `zeros at ${start}`).toBe(true);
    if (kind === 'data') expect(fileOffset).not.toBeNull();
    if (fileOffset !== null) {
      expect(firstDifference(image.subarray(fileOffset, fileOffset + length), expected), `at ${start}`).toBe(-1);
    }
    position += length;
  }
  expect(position).toBe(content.length);
}

// compare as it is called: its options, how it is stopped, and what is not read.
import { appendFileSync } from 'node:fs';
import { copyFile, open, stat, truncate, writeFile } from 'node:fs/promises';
import { beforeAll, describe, expect, it, vi } from 'vitest';
import type { ByteRange, Extent } from '../../../src/disk/disk.ts';
import { FlatDisk } from '../../../src/disk/flat.ts';
import { openVhd } from '../../../src/open.ts';
import { type CompareOptions, compare } from '../../../src/ops/compare.ts';
import { compareDisks } from '../../../src/ops/compare-disks.ts';
import { DifferenceList } from '../../../src/ops/compare-list.ts';
import type { DifferingRange } from '../../../src/ops/compare-report.ts';
import type { ComparedDisk } from '../../../src/ops/compare-stretches.ts';
import { convert } from '../../../src/ops/convert.ts';
import { createImage } from '../../../src/ops/create.ts';
import { FileStorage } from '../../../src/storage/file.ts';
import { MemoryStorage } from '../../../src/storage/memory.ts';
import { buildImage } from '../../support/build-image.ts';
import { pattern } from '../../support/bytes.ts';
import { BASIC_DATA, gptDisk, LINUX } from '../../support/tables.ts';
import { useTempFolder } from '../../support/temp.ts';

const folder = useTempFolder('compare-calls');
const KiB = 1024;
const MiB = 1024 * KiB;
const GiB = 1024 * MiB;

const placesOf = (ranges: readonly DifferingRange[]) => ranges.map(({ start, length }) => [start, length]);

async function writeTo(path: string, bytes: Uint8Array, ...positions: number[]): Promise<void> {
  const disk = await openVhd(path, { writable: true });
  for (const position of positions) await disk.write(bytes, position);
  await disk.close();
}

beforeAll(async () => {
  await writeFile(folder.file('disk.raw'), pattern(3 * MiB));
  await convert(folder.file('disk.raw'), folder.file('disk.vhd'), { to: 'dynamic' });
  await copyFile(folder.file('disk.vhd'), folder.file('changed.vhd'));
  await writeTo(folder.file('changed.vhd'), new Uint8Array(512), MiB);
});

describe('compare', () => {
  it('takes every option there is', async () => {
    const heard = { ranges: 0, done: 0 };
    const options: Required<CompareOptions> = {
      ...{ ignoreTail: true, first: false, maxRanges: 5, fromA: 'raw', fromB: 'vhd', from: 'vhd', pad: true },
      ...{ footer: undefined, sizeFrom: undefined, bitmap: 'strict', lock: true, parentDirs: [folder.path] },
      ...{ followParents: true, strictParent: true, maxChainLength: 2, allowRawParent: true },
      onRange: () => {
        heard.ranges++;
      },
      onProgress: ({ doneBytes }) => {
        heard.done = doneBytes;
      },
      onWarning: () => undefined,
      signal: new AbortController().signal,
    };
    const found = await compare(folder.file('disk.raw'), folder.file('changed.vhd'), options);
    expect(found.ranges).toEqual([{ start: MiB, length: 512, partitions: [] }]);
    expect(heard).toEqual({ ranges: 1, done: 3 * MiB });
  });

  it('is stopped by its signal, before and in the middle', async () => {
    const [a, b] = [folder.file('disk.raw'), folder.file('changed.vhd')];
    await expect(compare(a, b, { signal: AbortSignal.abort(new Error('enough')) })).rejects.toThrow('enough');
    const controller = new AbortController();
    const options = { signal: controller.signal, onRange: () => controller.abort(new Error('stopped')) };
    await expect(compare(a, b, options)).rejects.toThrow('stopped');
    await openVhd(b, { writable: true }).then((disk) => disk.close());
  });
});

describe('of two images that are opened', () => {
  it('the second is told that cannot be, also where closing the first fails', async () => {
    const first = new MemoryStorage(pattern(1024));
    const close = vi.spyOn(first, 'close').mockRejectedValue(new Error('not closed'));
    await expect(compare(first, folder.file('missing'), { fromA: 'raw' })).rejects.toMatchObject({ code: 'ENOENT' });
    expect(close).toHaveBeenCalled();
  });
});

/** Of any size, empty; tells what of it was asked for. */
class EmptyDisk {
  readonly size: number;
  asked = 0;

  constructor(size: number) {
    this.size = size;
  }

  read(): Promise<void> {
    return Promise.reject(new Error('nothing of it has to be read'));
  }

  async *extents({ start = 0, length = this.size - start }: ByteRange = {}): AsyncGenerator<Extent> {
    this.asked += length;
    yield { start, length, kind: 'zero', depth: 0 };
  }
}

describe('what is skipped', () => {
  it.each([
    ['both disks', 2040 * GiB],
    ['the tail', 512],
  ])('is told of, and can be stopped, where %s are empty', async (_, size) => {
    const heard: number[] = [];
    const onProgress = ({ doneBytes }: { doneBytes: number }): void => void heard.push(doneBytes);
    let now = 0;
    vi.spyOn(performance, 'now').mockImplementation(() => (now += 1000));
    const found = await compareDisks(new EmptyDisk(2040 * GiB), new EmptyDisk(size), { ignoreTail: true, onProgress });
    vi.restoreAllMocks();
    expect(found).toMatchObject({ equal: true, comparedBytes: 0, skippedBytes: 2040 * GiB });
    expect(heard.filter((done) => done > 0 && done < 2040 * GiB).length).toBeGreaterThan(1000);
    const long = new EmptyDisk(2040 * GiB);
    const controller = new AbortController();
    setImmediate(() => controller.abort(new Error('stopped')));
    await expect(compareDisks(long, new EmptyDisk(size), { signal: controller.signal })).rejects.toThrow('stopped');
    expect(long.asked).toBeLessThan(100 * GiB);
  });

  it('is looked at sector by sector in blocks only: a raw file and itself need no finer look at its holes', async () => {
    const path = folder.file('sparse.raw');
    const file = await open(path, 'w');
    for (let position = 0; position < 2 * MiB; position += 32 * KiB) await file.write(pattern(4096), 0, 4096, position);
    await file.close();
    await truncate(path, 600 * MiB);
    const extents = vi.spyOn(FlatDisk.prototype, 'extents');
    expect(await compare(path, path)).toMatchObject({ equal: true, comparedBytes: 0, skippedBytes: 600 * MiB });
    expect(extents.mock.calls.map(([how]) => how?.coarse)).not.toContain(false);
    vi.restoreAllMocks();
  });
});

describe('sectors', () => {
  it('between two that one of them has, and that both have from elsewhere, are read on both sides', async () => {
    const [base = '', middle = '', a = '', b = ''] = ['g0', 'g1', 'gA', 'gB'].map((name) => folder.file(`${name}.vhd`));
    await createImage(base, { size: 8 * MiB });
    await createImage(middle, { parent: base });
    await writeTo(middle, pattern(3584), 512);
    for (const path of [a, b]) await createImage(path, { parent: middle });
    await writeTo(a, pattern(512, 3), 0, 4096);
    expect(placesOf((await compare(a, b)).ranges)).toEqual([
      [0, 512],
      [4096, 512],
    ]);
  });

  it('that a raw file ends in are whole', async () => {
    const [odd, image] = [folder.file('odd.raw'), folder.file('hole.vhd')];
    await writeFile(odd, pattern(1000));
    await createImage(image, { size: 1024 });
    const found = await compare(odd, image, { pad: true, fromA: 'raw' });
    expect(placesOf(found.ranges)).toEqual([[0, 1024]]);
    await writeFile(odd, Buffer.concat([new Uint8Array(600), pattern(400)]));
    expect(placesOf((await compare(odd, image, { pad: true, fromA: 'raw' })).ranges)).toEqual([[512, 512]]);
  });
});

it('sectors are whole where a disk of any kind has data from within one to within another', async () => {
  const bytes = new Uint8Array(4 * KiB);
  bytes.set(pattern(900), 700);
  const disk = {
    size: bytes.length,
    read: async (target: Uint8Array, position: number): Promise<void> => {
      target.set(bytes.subarray(position, position + target.length));
    },
    async *extents({ start = 0, length = bytes.length - start }: ByteRange = {}): AsyncGenerator<Extent> {
      expect([start, length]).toEqual([0, bytes.length]);
      yield { start, length: 700, kind: 'zero', depth: 0 };
      yield { start: 700, length: 900, kind: 'data', depth: 0 };
      yield { start: 1600, length: length - 1600, kind: 'zero', depth: 0 };
    },
  };
  const hole: ComparedDisk = {
    size: bytes.length,
    read: async (target) => {
      target.fill(0);
    },
    extents: (range) => new EmptyDisk(bytes.length).extents(range),
  };
  const found = await compareDisks(disk, hole);
  expect(placesOf(found.ranges)).toEqual([[512, 1536]]);
  expect(found.firstDifference).toBe(700);
});

describe('an image with an entry that leads past the end of its file', () => {
  const shape = { size: 40 * KiB, blockSize: 4 * KiB, blocks: [{ index: 3, entry: 0x00ff_0000 }] };
  const code = { code: 'ERR_VHD_CORRUPT' };

  it('is refused, alone, as the parent of both, and as one file twice', async () => {
    const [broken, sound, parent] = [folder.file('broken.vhd'), folder.file('sound.raw'), folder.file('parent.vhd')];
    await writeFile(broken, buildImage(shape));
    await writeFile(sound, new Uint8Array(40 * KiB));
    await expect(compare(broken, sound)).rejects.toMatchObject(code);
    await expect(compare(sound, broken)).rejects.toMatchObject(code);
    await expect(compare(broken, broken)).rejects.toMatchObject(code);
    await writeFile(parent, buildImage({ ...shape, blocks: [{ index: 3 }] }));
    const [left, right] = [folder.file('left.vhd'), folder.file('right.vhd')];
    for (const path of [left, right]) await createImage(path, { parent });
    await copyFile(broken, parent);
    await expect(compare(left, right)).rejects.toMatchObject(code);
  });
});

describe('changed meanwhile', () => {
  const names = ['base', 'common', 'child', 'one', 'two'] as const;
  const pathOf = (name: (typeof names)[number]): string => folder.file(`m-${name}.vhd`);

  beforeAll(async () => {
    const [base = '', common = '', child = '', one = '', two = ''] = names.map(pathOf);
    for (const file of [base, common]) await copyFile(folder.file('disk.vhd'), file);
    await createImage(child, { parent: base });
    for (const file of [one, two]) await createImage(file, { parent: common });
    await writeTo(two, new Uint8Array(512), 0);
  });

  it.each([
    ['A', 'child', 'two', 'child'],
    ['B', 'child', 'two', 'two'],
    ['a parent', 'child', 'two', 'base'],
    ['a common parent', 'one', 'two', 'common'],
  ] as const)('%s is told', async (_, a, b, touched) => {
    const changing = pathOf(touched);
    vi.spyOn(DifferenceList.prototype, 'add').mockImplementationOnce(async () => appendFileSync(changing, 'x'));
    await expect(compare(pathOf(a), pathOf(b))).rejects.toMatchObject({
      code: 'ERR_VHD_SOURCE_CHANGED',
      storage: changing,
    });
    vi.restoreAllMocks();
    await truncate(changing, (await stat(changing)).size - 1);
  });
});

describe('partitions', () => {
  it('that overlap are all named, in the order of the table', async () => {
    const entries = [
      { type: LINUX, first: 4096, last: 6143 },
      { type: BASIC_DATA, first: 2048, last: 8191 },
      { type: LINUX, first: 2048, last: 2048 },
      { type: LINUX, first: 6144, last: 6200 },
    ];
    const bytes = gptDisk({ sectorCount: 16_384, entries });
    const other = bytes.slice();
    for (const sector of [2047, 2048, 4095, 5000, 6143, 6144, 7000, 8191, 8192]) {
      other.fill(1, sector * 512, sector * 512 + 512);
    }
    const diskOf = (content: Uint8Array) => new FlatDisk(new MemoryStorage(content), content.length, true);
    const found = await compareDisks(diskOf(bytes), diskOf(other));
    expect(found.ranges.map(({ start, length, partitions }) => [start / 512, length / 512, partitions])).toEqual([
      [2047, 2, [2, 3]],
      [4095, 1, [2]],
      [5000, 1, [1, 2]],
      [6143, 2, [1, 2, 4]],
      [7000, 1, [2]],
      [8191, 2, [2]],
    ]);
    expect(found.partitions.map(({ number, differingBytes }) => [number, differingBytes / 512])).toEqual([
      [1, 2],
      [2, 7],
      [3, 1],
      [4, 1],
    ]);
  });

  it('are not gone through for every range', async () => {
    const entryCount = 1024;
    const entries = Array.from({ length: entryCount }, (_, index) => {
      return { type: LINUX, first: 4096 + index, last: 4096 + index };
    });
    const bytes = gptDisk({ sectorCount: 32_768, entries, entryCount });
    const read = async (target: Uint8Array, position: number): Promise<void> => {
      target.set(bytes.subarray(position, position + target.length));
    };
    const disk = { size: bytes.length, read };
    const list = new DifferenceList([disk, disk], {});
    await list.add({ start: 0, length: 512 });
    let looks = 0;
    const starts = vi.spyOn(Math, 'max').mockImplementation((first = 0, second = 0) => {
      looks++;
      return first > second ? first : second;
    });
    for (let sector = 4096; sector < 4096 + entryCount; sector += 2) {
      await list.add({ start: sector * 512, length: 512 });
    }
    starts.mockRestore();
    expect(list.found.partitions).toHaveLength(entryCount / 2);
    expect(looks).toBeLessThan(entryCount * 2);
  });
});

it('one file is told from another, and from what it was', async () => {
  const file = folder.file('identity');
  await writeFile(file, 'x');
  const storage = await FileStorage.open(file);
  const before = await storage.identity();
  expect(await storage.identity()).toBe(before);
  appendFileSync(file, 'y');
  const after = await storage.identity();
  expect(after === before).toBe(before === undefined);
  await storage.close();
});

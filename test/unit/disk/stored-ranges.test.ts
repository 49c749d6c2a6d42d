import { describe, expect, it } from 'vitest';
import { FlatDisk } from '../../../src/disk/flat.ts';
import { storedRanges } from '../../../src/disk/stored-ranges.ts';
import { MemoryStorage } from '../../../src/storage/memory.ts';
import type { Storage, StoredRange } from '../../../src/storage/storage.ts';
import { pattern } from '../../support/bytes.ts';
import { collect } from '../../support/collect.ts';
import { gate } from '../../support/probe-storage.ts';

const KiB = 1024;
const MiB = 1024 * KiB;

type Find = NonNullable<Storage['findData']>;

/** Finds what lies in ranges, given by start and end. */
function findIn(...stored: readonly (readonly [number, number])[]): Find {
  return async (position, length) => {
    const found = stored.find(([, end]) => end > position);
    if (found === undefined || found[0] >= position + length) return undefined;
    const start = Math.max(found[0], position);
    return { start, length: Math.min(found[1], position + length) - start };
  };
}

async function rangesOf(find: Find, start: number, end: number, coarse: boolean): Promise<[number, number][]> {
  const ranges = await collect(storedRanges(find, start, end, coarse));
  return ranges.map((range) => [range.start, range.start + range.length]);
}

describe('exact ranges', () => {
  it('are what is stored, neighbours joined', async () => {
    expect(await rangesOf(findIn([10, 20], [20, 30], [31, 40]), 0, 100, false)).toEqual([
      [10, 30],
      [31, 40],
    ]);
  });

  it.each([
    ['nothing', [], []],
    ['all of it', [[0, 1000]], [[100, 200]]],
    ['what begins before', [[0, 101]], [[100, 101]]],
    ['what ends behind', [[199, 1000]], [[199, 200]]],
    ['what lies outside', [[0, 100]], []],
  ] as const)('cut to what is asked for: %s', async (_name, stored, expected) => {
    expect(await rangesOf(findIn(...stored), 100, 200, false)).toEqual(expected);
  });

  it('of nothing are none, and nobody is asked', async () => {
    expect(await rangesOf(() => Promise.reject(new Error('asked')), 7, 7, false)).toEqual([]);
  });
});

describe('coarse ranges', () => {
  it('are whole grains of 64 KiB, within what is asked for', async () => {
    const find = findIn([5 * MiB + 1, 5 * MiB + 2], [9 * MiB - 1, 9 * MiB + 1]);
    expect(await rangesOf(find, 0, 20 * MiB, true)).toEqual([
      [5 * MiB, 5 * MiB + 64 * KiB],
      [9 * MiB - 64 * KiB, 9 * MiB + 64 * KiB],
    ]);
    expect(await rangesOf(find, 5 * MiB + 1, 9 * MiB + 3, true)).toEqual([
      [5 * MiB + 1, 5 * MiB + 64 * KiB],
      [9 * MiB - 64 * KiB, 9 * MiB + 3],
    ]);
  });

  it('leave out no hole below 256 KiB', async () => {
    const find = findIn([MiB, MiB + 1], [MiB + 320 * KiB - 1, MiB + 320 * KiB], [MiB + 576 * KiB, MiB + 577 * KiB]);
    expect(await rangesOf(find, 0, 4 * MiB, true)).toEqual([
      [MiB, MiB + 320 * KiB],
      [MiB + 576 * KiB, MiB + 640 * KiB],
    ]);
    expect(await rangesOf(find, MiB - 100 * KiB, 4 * MiB, true)).toEqual([
      [MiB - 100 * KiB, MiB + 320 * KiB],
      [MiB + 576 * KiB, MiB + 640 * KiB],
    ]);
  });

  it('ask once a grain, however small the pieces are', async () => {
    let asked = 0;
    const find: Find = async (position, length) => {
      asked++;
      return { start: position, length: Math.min(512, length) };
    };
    expect(await rangesOf(find, 0, MiB, true)).toEqual([[0, MiB]]);
    expect(asked).toBe(16);
  });
});

describe('a storage that answers nonsense', () => {
  it.each([
    { start: 99, length: 5 },
    { start: 100, length: 0 },
    { start: 150, length: -1 },
    { start: 150, length: 51 },
    { start: 150.5, length: 1 },
    { start: Number.NaN, length: 1 },
    { start: 100, length: Number.POSITIVE_INFINITY },
  ] satisfies StoredRange[])('is refused: %j', async (answer) => {
    const ranges = collect(storedRanges(async () => answer, 100, 200, true));
    await expect(ranges).rejects.toThrow(/^findData: expected a range between 100 and 200, found start /);
  });
});

describe('the extents of a flat disk', () => {
  function diskWith(findData: Find | undefined, bytes = new Uint8Array(4096)): FlatDisk {
    const storage = new MemoryStorage(bytes);
    return new FlatDisk(findData === undefined ? storage : Object.assign(storage, { findData }), 4096, false);
  }

  it('are data where its storage cannot tell', async () => {
    expect(await collect(diskWith(undefined).extents({ start: 1, length: 9 }))).toEqual([
      { start: 1, length: 9, kind: 'data', depth: 0 },
    ]);
  });

  it('cover the range', async () => {
    expect(await collect(diskWith(findIn([512, 1024], [3000, 3001])).extents({ start: 600, length: 3000 }))).toEqual([
      { start: 600, length: 424, kind: 'data', depth: 0 },
      { start: 1024, length: 1976, kind: 'zero', depth: 0 },
      { start: 3000, length: 1, kind: 'data', depth: 0 },
      { start: 3001, length: 599, kind: 'zero', depth: 0 },
    ]);
  });

  it('are all zero, or not there', async () => {
    const disk = diskWith(findIn());
    expect(await collect(disk.extents())).toEqual([{ start: 0, length: 4096, kind: 'zero', depth: 0 }]);
    expect(await collect(disk.extents({ start: 5, length: 0 }))).toEqual([]);
  });

  it('see every write that was called before', async () => {
    const storage = new MemoryStorage(new Uint8Array(4096));
    const { opened, open } = gate();
    const events: string[] = [];
    const slow = Object.assign(storage, {
      write: async (source: Uint8Array, position: number) => {
        await opened;
        events.push('written');
        await MemoryStorage.prototype.write.call(storage, source, position);
      },
      findData: async (position: number, length: number) => {
        events.push('asked');
        return { start: position, length };
      },
    });
    const disk = new FlatDisk(slow, 4096, false);
    const write = disk.write(pattern(512), 0);
    const extents = collect(disk.extents());
    await new Promise((resolve) => setImmediate(resolve));
    open();
    await Promise.all([write, extents]);
    expect(events).toEqual(['written', 'asked']);
  });
});

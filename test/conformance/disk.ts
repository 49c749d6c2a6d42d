// What every disk must do, as a suite to run over any of them.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Disk, type Extent, mergeExtents } from '../../src/disk/disk.ts';
import { isAllZeros } from '../../src/format/zeros.ts';
import type { Storage } from '../../src/storage/storage.ts';
import { firstDifference, pattern } from '../support/bytes.ts';
import { collect } from '../support/collect.ts';
import { ProbeStorage } from '../support/probe-storage.ts';
import { checkParameters } from '../support/seed.ts';

/** A kind of disk: how to make one, and what it holds. */
export interface DiskSubject {
  readonly name: string;
  /** What it holds when it is made; at least three blocks. */
  readonly content: Uint8Array;
  /** Where calls are cut; for disks without blocks any number. */
  readonly blockSize: number;
  /** A new storage that holds the disk. */
  readonly create: () => Storage;
  readonly open: (storage: Storage, writable: boolean) => Promise<Disk>;
}

/** Registers the suite for one kind of disk. */
export function diskSuite(subject: DiskSubject): void {
  describe(`${subject.name} as a disk`, () => {
    readingSuite(subject);
    extentSuite(subject);
    writingSuite(subject);
    misuseSuite(subject);
    orderSuite(subject);
  });
}

/** Every byte of a disk. */
export async function readAll(disk: Disk): Promise<Uint8Array> {
  const bytes = new Uint8Array(disk.size).fill(0xdd);
  await disk.read(bytes, 0);
  return bytes;
}

async function expectContent(disk: Disk, expected: Uint8Array): Promise<void> {
  expect(firstDifference(await readAll(disk), expected), 'first byte that differs').toBe(-1);
}

/** Ranges that begin and end at, before and behind everything that matters. */
function ranges({ content, blockSize }: DiskSubject): [position: number, length: number][] {
  const last = Math.floor((content.length - 1) / blockSize) * blockSize;
  const pairs: [number, number][] = [
    [0, 1],
    [511, 2],
    [100, 0],
    [content.length, 0],
    [content.length - 1, 1],
    [last, content.length - last],
    [0, blockSize],
    [blockSize - 1, 2],
    [blockSize - 512, 1024],
    [blockSize + 1, blockSize],
    [last - 3, 7],
    [Math.floor(blockSize / 2), blockSize * 2],
    [0, content.length],
  ];
  return pairs.map(([position, length]) => [position, Math.min(length, content.length - position)]);
}

function readingSuite(subject: DiskSubject): void {
  it('has its size and holds its bytes', async () => {
    const disk = await subject.open(subject.create(), false);
    expect(disk.size).toBe(subject.content.length);
    expect(disk.readOnly).toBe(true);
    await expectContent(disk, subject.content);
    await disk.close();
  });

  it('reads any range of bytes', async () => {
    const disk = await subject.open(subject.create(), false);
    for (const [position, length] of ranges(subject)) {
      const target = new Uint8Array(length).fill(0xdd);
      await disk.read(target, position);
      const expected = subject.content.subarray(position, position + length);
      expect(firstDifference(target, expected), `${position}+${length}`).toBe(-1);
    }
    await disk.close();
  });
}

async function extentsOf(disk: Disk, range?: { start?: number; length?: number }): Promise<Extent[]> {
  return collect(disk.extents(range));
}

async function expectExtents(disk: Disk, start: number, end: number, content: Uint8Array): Promise<void> {
  let position = start;
  let previous: Extent | undefined;
  for (const extent of await extentsOf(disk, { start, length: end - start })) {
    expect(extent.start).toBe(position);
    expect(extent.length).toBeGreaterThan(0);
    expect(extent.kind === previous?.kind && extent.depth === previous.depth).toBe(false);
    position += extent.length;
    if (extent.kind === 'zero') expect(isAllZeros(content.subarray(extent.start, position))).toBe(true);
    previous = extent;
  }
  expect(position).toBe(end);
}

/** Located extents: the same kinds as the others, and the bytes of data stand in the file where they say. */
async function expectPlaces(
  disk: Disk,
  storage: Storage,
  range: { start: number; length: number },
  content: Uint8Array,
): Promise<void> {
  const located = await collect(disk.extents({ ...range, located: true }));
  const coarse = await collect(disk.extents({ ...range, located: true, coarse: true }));
  for (const extent of [...located, ...coarse]) {
    expect(extent.fileOffset === undefined, `${extent.kind} at ${extent.start}`).toBe(extent.kind === 'zero');
  }
  for (const { start, length, depth, fileOffset } of located) {
    if (fileOffset === undefined || depth > 0) continue;
    const bytes = new Uint8Array(length);
    await storage.read(bytes, fileOffset);
    expect(firstDifference(bytes, content.subarray(start, start + length)), `${start}+${length}`).toBe(-1);
  }
  const withoutPlaces = located.map(({ start, length, kind, depth }) => ({ start, length, kind, depth }));
  expect(await collect(mergeExtents(listed(withoutPlaces)))).toEqual(await extentsOf(disk, range));
}

async function* listed<T>(items: readonly T[]): AsyncGenerator<T> {
  yield* items;
}

function extentSuite(subject: DiskSubject): void {
  it('has extents that are adjacent, maximal, cover the range, and are zero where they say so', async () => {
    const disk = await subject.open(subject.create(), false);
    for (const [position, length] of ranges(subject)) {
      await expectExtents(disk, position, position + length, subject.content);
    }
    expect((await extentsOf(disk)).reduce((sum, extent) => sum + extent.length, 0)).toBe(disk.size);
    await disk.close();
  });

  it('tells where in the file its data lies', async () => {
    const storage = subject.create();
    const disk = await subject.open(storage, false);
    for (const [position, length] of ranges(subject)) {
      await expectPlaces(disk, storage, { start: position, length }, subject.content);
    }
    await disk.close();
  });

  it('tells it of what was just written, too', async () => {
    const storage = subject.create();
    const disk = await subject.open(storage, true);
    const expected = subject.content.slice();
    const source = pattern(subject.blockSize, 61);
    await disk.write(source, subject.blockSize + 512);
    expected.set(source, subject.blockSize + 512);
    await expectPlaces(disk, storage, { start: 0, length: disk.size }, expected);
    await disk.close();
  });

  it('refuses extents of a range that is not on it', async () => {
    const disk = await subject.open(subject.create(), false);
    for (const range of [{ start: -1 }, { start: disk.size + 1 }, { start: 1, length: disk.size }, { length: -1 }]) {
      await expect(extentsOf(disk, range)).rejects.toThrow(RangeError);
    }
    await disk.close();
  });
}

function writingSuite(subject: DiskSubject): void {
  it('holds what is written, at once, after a flush and after it was opened again', async () => {
    const storage = subject.create();
    const keep = keepOpen(storage);
    const disk = await subject.open(keep, true);
    expect(disk.readOnly).toBe(false);
    const expected = subject.content.slice();
    for (const [index, [position, length]] of ranges(subject).slice(0, -1).entries()) {
      const source = pattern(length, index + 50);
      await disk.write(source, position);
      expected.set(source, position);
    }
    await expectContent(disk, expected);
    await disk.flush();
    await expectContent(disk, expected);
    await expectExtents(disk, 0, disk.size, expected);
    await disk.close();
    await reopened(subject, keep, expected);
  });

  it('reads zeros where it was discarded, and keeps every byte beside', async () => {
    const keep = keepOpen(subject.create());
    const disk = await subject.open(keep, true);
    const expected = subject.content.slice();
    for (const [position, length] of ranges(subject).slice(0, -1)) {
      await disk.discard(position, length);
      expected.fill(0, position, position + length);
      await expectContent(disk, expected);
    }
    await expectExtents(disk, 0, disk.size, expected);
    await disk.close();
    await reopened(subject, keep, expected);
  });

  it('can be filled, emptied and filled again', async () => {
    const keep = keepOpen(subject.create());
    const disk = await subject.open(keep, true);
    await disk.write(pattern(disk.size, 4), 0);
    await disk.discard(0, disk.size);
    await disk.flush();
    await expectContent(disk, new Uint8Array(disk.size));
    await disk.write(pattern(disk.size, 5), 0);
    await disk.close();
    await reopened(subject, keep, pattern(disk.size, 5));
  });

  it('flushes when it closes, and closes once', async () => {
    const probe = new ProbeStorage(subject.create());
    const disk = await subject.open(probe, true);
    await disk.write(pattern(700), 300);
    const flushed = probe.count('flush');
    await Promise.all([disk.close(), disk.close()]);
    await disk.close();
    expect(probe.count('flush')).toBeGreaterThan(flushed);
    expect(probe.count('close')).toBe(1);
  });

  it('closes at the end of its scope', async () => {
    const probe = new ProbeStorage(subject.create());
    const disk = await subject.open(probe, false);
    await disk[Symbol.asyncDispose]();
    expect(probe.count('close')).toBe(1);
  });
}

/** The storage, but for its closing, so that it can be opened again. */
function keepOpen(storage: Storage): Storage {
  return {
    name: storage.name,
    capabilities: storage.capabilities,
    size: () => storage.size(),
    read: (target, position) => storage.read(target, position),
    write: (source, position) => storage.write(source, position),
    truncate: (byteLength) => storage.truncate(byteLength),
    flush: () => storage.flush(),
    discard: (position, length) => storage.discard(position, length),
    close: async () => undefined,
  };
}

async function reopened(subject: DiskSubject, storage: Storage, expected: Uint8Array): Promise<void> {
  for (const writable of [false, true]) {
    const disk = await subject.open(storage, writable);
    await expectContent(disk, expected);
    await disk.close();
  }
}

function misuseSuite(subject: DiskSubject): void {
  it('refuses ranges that are not on it, and stays as it was', async () => {
    const disk = await subject.open(subject.create(), true);
    const { size } = disk;
    for (const [position, length] of [
      [size, 1],
      [size - 1, 2],
      [-1, 1],
      [0.5, 1],
      [Number.NaN, 0],
    ] as const) {
      await expect(disk.read(new Uint8Array(length), position)).rejects.toThrow(RangeError);
      await expect(disk.write(new Uint8Array(length).fill(1), position)).rejects.toThrow(RangeError);
      await expect(disk.discard(position, length)).rejects.toThrow(RangeError);
    }
    await expect(disk.discard(0, -1)).rejects.toThrow(RangeError);
    await expectContent(disk, subject.content);
    await disk.close();
  });

  it('changes nothing when open for reading', async () => {
    const probe = new ProbeStorage(subject.create());
    const disk = await subject.open(probe, false);
    await expect(disk.write(Uint8Array.of(1), 0)).rejects.toMatchObject({ code: 'ERR_VHD_READ_ONLY' });
    await expect(disk.discard(0, 1)).rejects.toMatchObject({ code: 'ERR_VHD_READ_ONLY' });
    await disk.flush();
    await expectContent(disk, subject.content);
    await disk.close();
    expect(probe.changes().filter((change) => change !== 'flush')).toEqual([]);
  });

  it('rejects every call with ERR_VHD_CLOSED once close was called', async () => {
    const disk = await subject.open(subject.create(), true);
    const closing = disk.close();
    const calls = [
      disk.read(new Uint8Array(1), 0),
      disk.write(Uint8Array.of(1), 0),
      disk.discard(0, 1),
      disk.flush(),
      extentsOf(disk),
    ];
    for (const call of calls) await expect(call).rejects.toMatchObject({ code: 'ERR_VHD_CLOSED' });
    await closing;
  });
}

type Step = readonly [kind: 'read' | 'write' | 'discard' | 'flush', position: number, length: number];

function steps(subject: DiskSubject): fc.Arbitrary<Step[]> {
  // Close together, around the boundary between two blocks, so that most of the calls overlap.
  const around = Math.min(subject.blockSize, subject.content.length - 2048);
  const position = fc.integer({ min: Math.max(0, around - 1500), max: around + 500 });
  const length = fc.integer({ min: 0, max: 1500 });
  const kind = fc.constantFrom('read', 'write', 'write', 'discard', 'flush');
  const step: fc.Arbitrary<Step> = fc.tuple(kind, position, length);
  const whole: fc.Arbitrary<Step> = fc.constantFrom(
    ['discard', 0, subject.content.length] as const,
    ['discard', 0, Math.min(subject.blockSize, subject.content.length)] as const,
  );
  return fc.array(fc.oneof({ arbitrary: step, weight: 8 }, { arbitrary: whole, weight: 1 }), {
    minLength: 2,
    maxLength: 12,
  });
}

function orderSuite(subject: DiskSubject): void {
  const numRuns = subject.content.length > 4 * 2 ** 20 ? 6 : 20;

  it('lets overlapping calls take effect in the order of the calls, however the storage dawdles', async () => {
    await fc.assert(
      fc.asyncProperty(fc.scheduler(), steps(subject), async (scheduler, program) => {
        const probe = new ProbeStorage(subject.create());
        const disk = await subject.open(probe, true);
        probe.before = (call) => scheduler.schedule(Promise.resolve(), `before ${call.kind}`);
        probe.after = (call) => scheduler.schedule(Promise.resolve(), `after ${call.kind}`);
        const expected = subject.content.slice();
        await scheduler.waitFor(Promise.all(program.map((step, index) => perform(disk, step, index, expected))));
        await scheduler.waitFor(expectContent(disk, expected));
        await scheduler.waitFor(disk.close());
      }),
      checkParameters(numRuns),
    );
  });
}

function perform(disk: Disk, [kind, position, length]: Step, index: number, expected: Uint8Array): Promise<void> {
  if (kind === 'flush') return disk.flush();
  if (kind === 'discard') {
    expected.fill(0, position, position + length);
    return disk.discard(position, length);
  }
  if (kind === 'write') {
    const source = index % 3 === 0 ? new Uint8Array(length) : pattern(length, index + 1);
    expected.set(source, position);
    return disk.write(source, position);
  }
  const seen = expected.slice(position, position + length);
  const target = new Uint8Array(length).fill(0xdd);
  return disk.read(target, position).then(() => {
    expect(firstDifference(target, seen), `call ${index}`).toBe(-1);
  });
}

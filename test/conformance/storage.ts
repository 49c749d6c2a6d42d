// What every storage must do, as a suite to run over any of them.
import { describe, expect, it } from 'vitest';
import type { Storage } from '../../src/storage/storage.ts';
import { pattern, shifted } from '../support/bytes.ts';

/** A kind of storage, and how to make one that holds given bytes. */
export interface StorageSubject {
  readonly name: string;
  /** Makes a storage that holds `content`; a writable one unless the subject cannot write. */
  readonly create: (content: Uint8Array, options: { readonly writable: boolean }) => Promise<Storage>;
  /** False: there is no writable storage of this kind. */
  readonly canWrite: boolean;
}

const CONTENT = pattern(200_000, 3);

/** Registers the suite for one kind of storage. */
export function storageSuite(subject: StorageSubject): void {
  describe(`${subject.name} as a storage`, () => {
    readingSuite(subject);
    closingSuite(subject);
    readOnlySuite(subject);
    if (subject.canWrite) writingSuite(subject);
  });
}

async function contentOf(storage: Storage): Promise<Uint8Array> {
  const bytes = new Uint8Array(await storage.size());
  await storage.read(bytes, 0);
  return bytes;
}

function readingSuite({ create, canWrite }: StorageSubject): void {
  const open = (content = CONTENT) => create(content, { writable: canWrite });

  it('has a name and says truly whether it can be written to', async () => {
    const storage = await open();
    expect(storage.name).not.toBe('');
    expect(storage.capabilities.writable).toBe(canWrite);
    expect(storage.capabilities.preferredIoSize).toBeGreaterThan(0);
    await storage.close();
  });

  it('knows its size, and that of nothing', async () => {
    const storage = await open();
    expect(await storage.size()).toBe(CONTENT.length);
    await storage.close();
    const empty = await open(new Uint8Array(0));
    expect(await empty.size()).toBe(0);
    await empty.close();
  });

  it.each([
    [0, 200_000],
    [0, 1],
    [199_999, 1],
    [65_530, 20],
    [12_345, 100_001],
    [200_000, 0],
    [7, 0],
  ])('fills a target from %d on with %d bytes and touches nothing beside it', async (position, length) => {
    const storage = await open();
    const target = shifted(new Uint8Array(length), 5);
    await storage.read(target, position);
    expect(Buffer.compare(target, CONTENT.subarray(position, position + length))).toBe(0);
    const around = new Uint8Array(target.buffer);
    expect([...around.subarray(0, 5), ...around.subarray(5 + length)]).toEqual(Array.from({ length: 14 }, () => 0xee));
    await storage.close();
  });

  it.each([
    [199_999, 2],
    [200_000, 1],
    [10_000_000, 512],
    [0, 200_001],
  ])('rejects a read at %d of %d bytes, which ends behind its end', async (position, length) => {
    const storage = await open();
    const error = await storage.read(new Uint8Array(length), position).then(
      () => undefined,
      (reason: unknown) => reason,
    );
    expect(error).toMatchObject({ code: 'ERR_VHD_TRUNCATED', storage: storage.name, offset: position });
    await storage.close();
  });

  it.each([-1, 0.5, Number.NaN])('rejects a read at %d as misuse', async (position) => {
    const storage = await open();
    await expect(storage.read(new Uint8Array(1), position)).rejects.toThrow(RangeError);
    await storage.close();
  });

  it('serves reads that overlap in time and place', async () => {
    const storage = await open();
    const reads = Array.from({ length: 40 }, async (_, index) => {
      const target = new Uint8Array(50_000);
      await storage.read(target, index * 3000);
      return Buffer.compare(target, CONTENT.subarray(index * 3000, index * 3000 + 50_000));
    });
    expect(new Set(await Promise.all(reads))).toEqual(new Set([0]));
    await storage.close();
  });

  it('fills adjacent targets in one call, if it has that', async () => {
    const storage = await open();
    const targets = [0, 3, 0, 70_000, 1].map((length) => new Uint8Array(length));
    await (storage.readv?.(targets, 100) ?? storage.read(Buffer.alloc(0), 0));
    const expected = storage.readv === undefined ? new Uint8Array(70_004) : CONTENT.subarray(100, 70_104);
    expect(Buffer.compare(Buffer.concat(targets), expected)).toBe(0);
    const behind = storage.readv?.([new Uint8Array(8), new Uint8Array(8)], 199_990);
    if (behind !== undefined) await expect(behind).rejects.toMatchObject({ code: 'ERR_VHD_TRUNCATED' });
    await storage.close();
  });
}

function closingSuite({ create, canWrite }: StorageSubject): void {
  it('closes once and for all: a second time is fine, a call is ERR_VHD_CLOSED', async () => {
    const storage = await create(CONTENT, { writable: canWrite });
    await storage.close();
    await storage.close();
    const calls = [storage.size(), storage.read(new Uint8Array(1), 0), storage.flush()];
    if (canWrite) calls.push(storage.write(new Uint8Array(1), 0), storage.truncate(0), storage.discard(0, 1));
    for (const call of calls) await expect(call).rejects.toMatchObject({ code: 'ERR_VHD_CLOSED' });
  });

  it('lets calls on their way end before it closes', async () => {
    const storage = await create(CONTENT, { writable: canWrite });
    const targets = Array.from({ length: 20 }, () => new Uint8Array(100_000));
    const reads = targets.map((target, index) => storage.read(target, index));
    const closing = storage.close();
    // A blob holds nothing that could be taken away from a read.
    if (!canWrite) await Promise.all(reads);
    await closing;
    targets.forEach((target, index) => {
      expect(Buffer.compare(target, CONTENT.subarray(index, index + 100_000))).toBe(0);
    });
    await Promise.all(reads);
  });
}

function readOnlySuite({ create }: StorageSubject): void {
  it('rejects every change with ERR_VHD_READ_ONLY when open for reading', async () => {
    const storage = await create(CONTENT, { writable: false });
    expect(storage.capabilities.writable).toBe(false);
    const calls = [storage.write(new Uint8Array(1), 0), storage.truncate(5), storage.discard(0, 5)];
    if (storage.writev !== undefined) calls.push(storage.writev([new Uint8Array(1)], 0));
    if (storage.writeEach !== undefined) calls.push(storage.writeEach([{ position: 0, bytes: new Uint8Array(1) }]));
    for (const call of calls) await expect(call).rejects.toMatchObject({ code: 'ERR_VHD_READ_ONLY' });
    expect(Buffer.compare(await contentOf(storage), CONTENT)).toBe(0);
    await storage.close();
  });
}

function writingSuite({ create }: StorageSubject): void {
  const open = (content = CONTENT) => create(content, { writable: true });

  it('writes exactly what it is given, where it is told', async () => {
    const storage = await open();
    const expected = CONTENT.slice();
    for (const [position, length] of [
      [0, 1],
      [65_535, 2],
      [100_000, 70_001],
      [50, 0],
      [199_999, 1],
    ] as const) {
      const source = shifted(pattern(length, position + 7), 3);
      await storage.write(source, position);
      expected.set(source, position);
    }
    expect(Buffer.compare(await contentOf(storage), expected)).toBe(0);
    await storage.close();
  });

  it('grows, and a gap reads as zeros', async () => {
    const storage = await open(CONTENT.subarray(0, 1000));
    await storage.write(pattern(10, 9), 150_000);
    const expected = new Uint8Array(150_010);
    expected.set(CONTENT.subarray(0, 1000));
    expected.set(pattern(10, 9), 150_000);
    expect(await storage.size()).toBe(150_010);
    expect(Buffer.compare(await contentOf(storage), expected)).toBe(0);
    await storage.close();
  });

  it('forgets what it is cut off, and gains zeros', async () => {
    const storage = await open();
    await storage.truncate(100_001);
    expect(await storage.size()).toBe(100_001);
    await expect(storage.read(new Uint8Array(2), 100_000)).rejects.toMatchObject({ code: 'ERR_VHD_TRUNCATED' });
    await storage.truncate(200_000);
    const expected = new Uint8Array(200_000);
    expected.set(CONTENT.subarray(0, 100_001));
    expect(Buffer.compare(await contentOf(storage), expected)).toBe(0);
    await storage.truncate(0);
    expect(await storage.size()).toBe(0);
    await storage.close();
  });

  it('does not grow by a discard, and reads as its capabilities say', async () => {
    const storage = await open();
    await storage.discard(60_000, 80_000);
    const expected = CONTENT.slice();
    if (storage.capabilities.discard === 'zeroes') expected.fill(0, 60_000, 140_000);
    expect(Buffer.compare(await contentOf(storage), expected)).toBe(0);
    await expect(storage.discard(199_999, 2)).rejects.toThrow(RangeError);
    expect(await storage.size()).toBe(200_000);
    await storage.close();
  });

  it('carries out writes that overlap in time', async () => {
    const storage = await open(new Uint8Array(0));
    const pieces = Array.from({ length: 50 }, (_, index) => pattern(7001, index + 1));
    await Promise.all(pieces.map((piece, index) => storage.write(piece, (49 - index) * 7001)));
    expect(Buffer.compare(await contentOf(storage), Buffer.concat(pieces.reverse()))).toBe(0);
    await storage.close();
  });

  it('writes adjacent sources in one call, if it has that: empty ones and very many of them too', async () => {
    const storage = await open(new Uint8Array(0));
    const sources = Array.from({ length: 3000 }, (_, index) => pattern(index % 5, index + 1));
    const whole = Buffer.concat(sources);
    await (storage.writev?.(sources, 11) ?? storage.write(whole, 11));
    expect(Buffer.compare((await contentOf(storage)).subarray(11), whole)).toBe(0);
    await storage.close();
  });

  it('does not look at a source again once the write has resolved', async () => {
    const storage = await open(new Uint8Array(512));
    const source = pattern(512);
    await storage.write(source, 0);
    source.fill(0);
    expect(await contentOf(storage)).toEqual(pattern(512));
    await storage.close();
  });

  it('flushes, also when nothing was written', async () => {
    const storage = await open();
    await storage.flush();
    await storage.write(pattern(512, 8), 0);
    await storage.flush();
    expect((await contentOf(storage)).subarray(0, 512)).toEqual(pattern(512, 8));
    await storage.close();
  });
}

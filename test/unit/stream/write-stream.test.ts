import { createReadStream as createFileStream } from 'node:fs';
import { Readable, type Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { openVhdStorage } from '../../../src/disk/open-storage.ts';
import { MemoryStorage } from '../../../src/storage/memory.ts';
import { createWriteStream } from '../../../src/stream/disk-streams.ts';
import { firstDifference, pattern } from '../../support/bytes.ts';
import { gate } from '../../support/probe-storage.ts';
import { checkParameters } from '../../support/seed.ts';
import { contentOfImage, imageWith, ProbeDisk, rawDisk, vastDisk } from '../../support/streams-disks.ts';
import { WorkFolder } from '../../support/streams-files.ts';
import { ChunkSource, failureOf, sleep } from '../../support/streams-sources.ts';

const MiB = 1024 * 1024;
const folder = new WorkFolder();

async function contentOf(disk: { size: number; read(target: Uint8Array, position: number): Promise<void> }) {
  const bytes = new Uint8Array(disk.size);
  await disk.read(bytes, 0);
  return bytes;
}

function closed(stream: Writable): Promise<unknown> {
  return new Promise((resolve) => stream.once('close', resolve));
}

/** `bytes` over zeros, `position` bytes in. */
function over(size: number, bytes: Uint8Array, position: number): Uint8Array {
  const content = new Uint8Array(size);
  content.set(bytes, position);
  return content;
}

describe('createWriteStream', () => {
  const size = 9 * MiB;

  it('writes chunks of any length, from any byte on, and nothing else', async () => {
    const length = fc.oneof(
      fc.constantFrom(1, 511, 512, 65_536, 2 * MiB, 5 * MiB),
      fc.integer({ min: 1, max: 3 * MiB }),
    );
    const start = fc.oneof(fc.constantFrom(0, 1, 511, 512, 2 * MiB - 1), fc.nat(3 * MiB));
    await fc.assert(
      fc.asyncProperty(start, fc.array(length, { minLength: 1, maxLength: 5 }), async (first, lengths) => {
        const total = Math.min(
          size - first,
          lengths.reduce((sum, one) => sum + one),
        );
        const bytes = pattern(total, first + 1);
        const disk = rawDisk(new Uint8Array(size));
        // The last length repeats: from two chunks to thousands, never more.
        const plan = [...lengths, Math.max(lengths.at(-1) ?? 1, 4096)];
        await pipeline(new ChunkSource(bytes, plan), createWriteStream(disk, { start: first }));
        expect(firstDifference(await contentOf(disk), over(size, bytes, first))).toBe(-1);
      }),
      checkParameters(15),
    );
  });

  it('takes bytes one by one', async () => {
    const bytes = pattern(3000);
    const disk = rawDisk(new Uint8Array(8192));
    await pipeline(new ChunkSource(bytes, 1), createWriteStream(disk, { start: 513 }));
    expect(await contentOf(disk)).toEqual(over(8192, bytes, 513));
  });

  it('takes strings with their encoding', async () => {
    const disk = rawDisk(new Uint8Array(512));
    const stream = createWriteStream(disk, { start: 2 });
    stream.write('c0ffee', 'hex');
    stream.write('é', 'latin1');
    stream.end('é');
    await closed(stream);
    expect((await contentOf(disk)).subarray(0, 9)).toEqual(
      Uint8Array.from([0, 0, 0xc0, 0xff, 0xee, 0xe9, 0xc3, 0xa9, 0]),
    );
  });

  it('takes a file and a web stream', async () => {
    const bytes = pattern(3 * MiB + 17);
    const path = folder.file('source.bin', bytes);
    const sources = [() => createFileStream(path), () => Readable.fromWeb(new Blob([bytes]).stream() as never)];
    for (const source of sources) {
      const disk = rawDisk(new Uint8Array(4 * MiB));
      await pipeline(source(), createWriteStream(disk));
      expect(firstDifference(await contentOf(disk), over(4 * MiB, bytes, 0))).toBe(-1);
    }
  });

  it('gives a chunk back to the caller with its callback', async () => {
    const disk = new ProbeDisk(rawDisk(new Uint8Array(6 * MiB)));
    disk.before = () => sleep(5);
    const stream = createWriteStream(disk);
    const buffer = Buffer.alloc(100_000);
    for (let value = 1; value <= 60; value++) {
      buffer.fill(value);
      await new Promise((resolve) => stream.write(buffer, resolve));
    }
    buffer.fill(0xff);
    stream.end();
    await closed(stream);
    const expected = new Uint8Array(6 * MiB);
    for (let value = 1; value <= 60; value++) expected.fill(value, (value - 1) * 100_000, value * 100_000);
    expect(firstDifference(await contentOf(disk), expected)).toBe(-1);
  });

  it('finishes after a flush that comes after every write', async () => {
    const disk = new ProbeDisk(rawDisk(new Uint8Array(5 * MiB)));
    disk.before = (kind) => sleep(kind === 'flush' ? 15 : 2);
    const stream = createWriteStream(disk);
    stream.end(pattern(5 * MiB));
    await new Promise((resolve) => stream.once('finish', resolve));
    expect(disk.pending).toBe(0);
    expect(disk.begun.at(-1)).toBe('flush');
    expect(disk.count('flush')).toBe(1);
  });

  it('flushes even where nothing came', async () => {
    const disk = new ProbeDisk(rawDisk(new Uint8Array(512)));
    const stream = createWriteStream(disk);
    stream.end();
    await closed(stream);
    expect(disk.begun).toEqual(['flush']);
  });

  it('takes few megabytes from a source while the disk is slow', async () => {
    const disk = vastDisk(1024 * MiB);
    const { opened, open } = gate();
    disk.before = () => opened;
    const source = new ChunkSource(new Uint8Array(64 * MiB), 300_000);
    const done = pipeline(source, createWriteStream(disk));
    await sleep(50);
    expect(source.pulled).toBeLessThanOrEqual(12 * MiB);
    open();
    await done;
    expect(source.pulled).toBe(64 * MiB);
  });
});

describe('a stream longer than the disk', () => {
  it('is refused, and nothing lands behind the end', async () => {
    const image = await imageWith('fixed', MiB, []);
    const storage = new MemoryStorage(image);
    const disk = await openVhdStorage(storage, { writable: true });
    for (const lengths of [[MiB + 1], [MiB, 1], [1000, 70_000], [3 * MiB]]) {
      const stream = createWriteStream(disk);
      const error = await failureOf(pipeline(new ChunkSource(pattern(4 * MiB), lengths), stream));
      expect(error).toMatchObject({ code: 'ERR_VHD_SIZE', offset: MiB });
    }
    await disk.close();
    expect(storage.toBytes().subarray(MiB)).toEqual(image.subarray(MiB));
  });

  it('may end with the disk', async () => {
    const disk = rawDisk(new Uint8Array(3 * MiB));
    const bytes = pattern(MiB + 1);
    await pipeline(new ChunkSource(bytes, 4097), createWriteStream(disk, { start: 2 * MiB - 1 }));
    expect(firstDifference(await contentOf(disk), over(3 * MiB, bytes, 2 * MiB - 1))).toBe(-1);
  });
});

describe('an error of the disk', () => {
  it.each(['write', 'flush'] as const)('on %s surfaces once, unwrapped, instead of finish', async (kind) => {
    const disk = new ProbeDisk(rawDisk(new Uint8Array(32 * MiB)));
    const failure = new Error('EIO');
    disk.before = async (call, position) => {
      await sleep(1);
      if (call === kind && position >= (kind === 'write' ? 2 * MiB : 0)) throw failure;
    };
    const stream = createWriteStream(disk);
    const told: unknown[] = [];
    stream.on('error', (error) => told.push(error)).on('finish', () => told.push('finish'));
    for (let turn = 0; turn < 10; turn++) stream.write(pattern(3 * MiB));
    stream.end();
    await closed(stream);
    await sleep(10);
    expect(told).toEqual([failure]);
  });

  it('that is open for reading only surfaces', async () => {
    const stream = createWriteStream(rawDisk(new Uint8Array(512), true));
    expect(await failureOf(pipeline(new ChunkSource(pattern(10)), stream))).toMatchObject({
      code: 'ERR_VHD_READ_ONLY',
    });
  });
});

describe('a write stream that is stopped', () => {
  it('begins no write after close', async () => {
    const disk = vastDisk(256 * MiB);
    disk.before = () => sleep(4);
    const stream = createWriteStream(disk);
    stream.write(Buffer.alloc(64 * MiB, 1));
    await sleep(2);
    stream.destroy();
    await closed(stream);
    const begun = disk.begun.length;
    expect(disk.pending).toBe(0);
    await sleep(40);
    expect(disk.begun.length).toBe(begun);
  });

  it.each(['dynamic', 'fixed'] as const)('at any point leaves a valid %s image, sectors old or new', async (type) => {
    const size = 5 * MiB;
    const old = pattern(2 * MiB, 1);
    const fresh = pattern(size, 2);
    const image = await imageWith(type, size, [{ position: MiB, bytes: old }], 512 * 1024);
    const before = over(size, old, MiB);
    for (let point = 0; point < 10; point++) {
      const storage = new MemoryStorage(image);
      const disk = await openVhdStorage(storage, { writable: true });
      const probe = new ProbeDisk(disk);
      const stream = createWriteStream(probe);
      stream.on('error', () => undefined);
      let calls = 0;
      probe.before = async () => {
        if (calls++ === Math.floor(point / 2)) stream.destroy(point % 2 === 0 ? undefined : new Error('stop'));
        await sleep(0);
      };
      Readable.from(new ChunkSource(fresh, [100_001, 700_000, 1_500_000, 513]), { objectMode: false }).pipe(stream);
      await closed(stream);
      await disk.close();
      const after = await contentOfImage(storage.toBytes());
      if (firstDifference(after, before) === -1 || firstDifference(after, fresh) === -1) continue;
      for (let at = 0; at < size; at += 512) {
        const sector = Buffer.from(after.buffer, at, 512);
        const isOld = sector.equals(before.subarray(at, at + 512));
        if (!isOld && !sector.equals(fresh.subarray(at, at + 512))) expect.fail(`sector at ${at} is neither`);
      }
    }
  });

  it.each(['before', 'on the way'])('by a signal aborted %s is destroyed with its reason', async (when) => {
    const reason = new Error('enough');
    const controller = new AbortController();
    if (when === 'before') controller.abort(reason);
    const disk = vastDisk(64 * MiB);
    const stream = createWriteStream(disk, { signal: controller.signal });
    const error = new Promise((resolve) => stream.once('error', resolve));
    if (when !== 'before') stream.write(new Uint8Array(5 * MiB), () => controller.abort(reason));
    expect(await error).toBe(reason);
    expect(stream.destroyed).toBe(true);
    expect(disk.count('flush')).toBe(0);
  });
});

describe('misuse of write streams', () => {
  it('is refused', () => {
    const disk = rawDisk(new Uint8Array(1024));
    expect(() => createWriteStream(disk, { start: 1025 })).toThrow(RangeError);
    expect(() => createWriteStream(disk, { start: -1 })).toThrow(RangeError);
    expect(() => createWriteStream(disk, { start: 1.5 })).toThrow(RangeError);
    expect(() => createWriteStream(disk, { length: 5 } as never)).toThrow(TypeError);
  });
});

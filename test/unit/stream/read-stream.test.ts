import { createWriteStream as createFileStream, readFileSync } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { openVhdStorage } from '../../../src/disk/open-storage.ts';
import { MemoryStorage } from '../../../src/storage/memory.ts';
import { createReadStream, webReadable } from '../../../src/stream/disk-streams.ts';
import { firstDifference, pattern } from '../../support/bytes.ts';
import { checkParameters } from '../../support/seed.ts';
import { imageWith, ProbeDisk, rawDisk, vastDisk } from '../../support/streams-disks.ts';
import { WorkFolder } from '../../support/streams-files.ts';
import { bytesOf, failureOf, sleep } from '../../support/streams-sources.ts';

const MiB = 1024 * 1024;
const size = 3 * MiB + 512;
const folder = new WorkFolder();

const content = new Uint8Array(size);
const patches = [
  { position: 777, bytes: pattern(700_000, 3) },
  { position: size - 300, bytes: pattern(300, 4) },
];
for (const { bytes, position } of patches) content.set(bytes, position);
const image = await imageWith('dynamic', size, patches, 512 * 1024);
const openImage = () => openVhdStorage(new MemoryStorage(image));

describe('createReadStream', () => {
  it.each([
    [0, undefined],
    [1, undefined],
    [0, 1],
    [511, 2],
    [512 * 1024 - 1, 3],
    [776, 700_002],
    [size - 1, 1],
    [size, 0],
    [size, undefined],
  ])('from byte %i gives %s bytes exactly', async (start, length) => {
    const disk = await openImage();
    const expected = content.subarray(start, length === undefined ? size : start + length);
    expect(firstDifference(await bytesOf(createReadStream(disk, { start, length })), expected)).toBe(-1);
    expect(firstDifference(await bytesOf(webReadable(disk, { start, length })), expected)).toBe(-1);
  });

  it('gives any range exactly', async () => {
    const disk = await openImage();
    const range = fc.tuple(fc.nat(size), fc.nat(size)).map(([first, second]) => [first, second].sort((a, b) => a - b));
    await fc.assert(
      fc.asyncProperty(range, async ([start = 0, end = 0]) => {
        const found = await bytesOf(createReadStream(disk, { start, length: end - start }));
        expect(firstDifference(found, content.subarray(start, end))).toBe(-1);
      }),
      checkParameters(25),
    );
  });

  it('leaves the disk open', async () => {
    const disk = await openImage();
    await bytesOf(createReadStream(disk));
    expect(await disk.readBytes(777, 5)).toEqual(content.slice(777, 782));
  });

  it('reaches a file through a pipeline', async () => {
    const path = folder.fresh('whole.raw');
    await pipeline(createReadStream(await openImage()), createFileStream(path));
    expect(firstDifference(readFileSync(path), content)).toBe(-1);
  });

  it('does not read the disk far ahead of a consumer that stopped taking', async () => {
    const disk = vastDisk(1024 * MiB);
    const stream = createReadStream(disk);
    await new Promise((resolve) => stream.once('data', resolve));
    stream.pause();
    await sleep(60);
    expect(disk.count('read')).toBeLessThanOrEqual(12);
    stream.destroy();
  });

  it('passes an error of the disk unwrapped, once', async () => {
    const disk = new ProbeDisk(await openImage());
    const failure = new Error('EIO');
    disk.before = (_kind, position) => {
      if (position >= MiB) throw failure;
    };
    const stream = createReadStream(disk);
    const errors: unknown[] = [];
    stream.on('error', (error) => errors.push(error));
    stream.resume();
    await new Promise((resolve) => stream.once('close', resolve));
    await sleep(5);
    expect(errors).toEqual([failure]);
  });

  it('leaves no read on its way when it is closed', async () => {
    for (const milliseconds of [0, 1, 4]) {
      const disk = vastDisk(1024 * MiB);
      disk.before = () => sleep(3);
      const stream = createReadStream(disk);
      stream.resume();
      await sleep(milliseconds);
      stream.destroy();
      await new Promise((resolve) => stream.once('close', resolve));
      const begun = disk.begun.length;
      expect(disk.pending).toBe(0);
      await sleep(10);
      expect(disk.begun.length).toBe(begun);
    }
  });
});

describe('the signal of createReadStream', () => {
  it('aborted before ends it with its reason and without a read', async () => {
    const disk = vastDisk(8 * MiB);
    const reason = new Error('not now');
    const error = await failureOf(bytesOf(createReadStream(disk, { signal: AbortSignal.abort(reason) })));
    expect(disk.begun).toEqual([]);
    expect(error).toBe(reason);
  });

  it('aborted on the way ends it with its reason', async () => {
    const controller = new AbortController();
    const reason = new Error('enough');
    const stream = createReadStream(vastDisk(512 * MiB), { signal: controller.signal });
    stream.once('data', () => controller.abort(reason));
    const error = await new Promise((resolve) => stream.once('error', resolve));
    expect(error).toBe(reason);
  });

  it('aborted on the way ends a web stream', async () => {
    const controller = new AbortController();
    const reader = webReadable(vastDisk(512 * MiB), { signal: controller.signal }).getReader();
    await reader.read();
    controller.abort();
    const rest = async (): Promise<void> => {
      for (;;) if ((await reader.read()).done) return;
    };
    expect(await failureOf(rest())).toMatchObject({ name: 'AbortError' });
  });
});

describe('webReadable', () => {
  it('does not read the disk far ahead of a consumer that stopped taking', async () => {
    const disk = vastDisk(1024 * MiB);
    const reader = webReadable(disk).getReader();
    await reader.read();
    await sleep(60);
    expect(disk.count('read')).toBeLessThanOrEqual(16);
    await reader.cancel();
  });

  it('stops reading when it is cancelled', async () => {
    const disk = vastDisk(1024 * MiB);
    const reader = webReadable(disk).getReader();
    await reader.read();
    await reader.cancel();
    await expect.poll(() => disk.pending).toBe(0);
  });
});

describe('misuse of read streams', () => {
  const disk = rawDisk(new Uint8Array(1024));
  it.each([createReadStream, webReadable])('is refused by $name', (open) => {
    expect(() => open(disk, { start: 1025 })).toThrow(RangeError);
    expect(() => open(disk, { start: -1 })).toThrow(RangeError);
    expect(() => open(disk, { start: 0.5 })).toThrow(RangeError);
    expect(() => open(disk, { start: 1, length: 1024 })).toThrow(RangeError);
    expect(() => open(disk, { start: 1, length: -1 })).toThrow(RangeError);
    expect(() => open(disk, { end: 5 } as never)).toThrow(TypeError);
  });
});

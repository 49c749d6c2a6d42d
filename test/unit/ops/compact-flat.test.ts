// Fixed and raw images: what a dry run tells is what there is, and failures of the system are not hidden.
import { readFile, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { openDisk } from '../../../src/open.ts';
import { compact } from '../../../src/ops/compact.ts';
import { UnusedList } from '../../../src/ops/compact-unused.ts';
import { createImage } from '../../../src/ops/create.ts';
import { FileStorage } from '../../../src/storage/file.ts';
import { loadNative } from '../../../src/storage/native.ts';
import { firstDifference, pattern } from '../../support/bytes.ts';
import { sparseFolders, whyNoHoles, writeSparse } from '../../support/sparse-files.ts';

const KiB = 1024;
const MiB = 1024 * KiB;
const folders = sparseFolders('compact-flat');
const [usual = ''] = folders;
const { files } = await loadNative();
let count = 0;

afterEach(() => {
  vi.restoreAllMocks();
  vi.unstubAllEnvs();
});

/** Eight mebibytes: data, written zeros, holes, and a page of data between holes. */
async function image(type: 'fixed' | 'raw', folder = usual): Promise<string> {
  const path = join(folder, `${count++}.${type === 'raw' ? 'raw' : 'vhd'}`);
  const pieces: [number, Uint8Array][] = [
    [0, pattern(100 * KiB, 1)],
    [MiB, new Uint8Array(2 * MiB)],
    [5 * MiB + 20 * KiB, pattern(4 * KiB, 2)],
  ];
  if (type === 'raw') writeSparse(path, 8 * MiB, pieces);
  else {
    await createImage(path, { size: 8 * MiB, type });
    await using file = await FileStorage.open(path, { writable: true });
    for (const [position, bytes] of pieces) await file.write(bytes, position);
  }
  return path;
}

async function contentOf(path: string): Promise<Uint8Array> {
  const { disk } = await openDisk(path);
  const bytes = new Uint8Array(disk.size);
  await disk.read(bytes, 0);
  await disk.close();
  return bytes;
}

for (const folder of folders) {
  const reason = await whyNoHoles(folder);
  describe.skipIf(reason !== undefined)(
    `a dry run in ${folder}${reason === undefined ? '' : ` (skipped: ${reason})`}`,
    () => {
      const unusedRanges = (): { start: number; length: number }[] => [
        { start: 10 * KiB, length: 30 * KiB },
        { start: 5 * MiB, length: MiB },
      ];

      it.each([
        ['fixed', false],
        ['raw', false],
        ['fixed', true],
        ['raw', true],
      ] as const)('of a %s image is reality, with ranges of no use: %s', async (type, isUnused) => {
        const path = await image(type, folder);
        const options = isUnused ? { unusedRanges } : {};
        const output = join(folder, `copy-of-${basename(path)}`);
        const plannedCopy = await compact(path, { ...options, output, dryRun: true });
        const planned = await compact(path, { ...options, dryRun: true });
        // The hole before the page of data is none of it; of the first range 28 KiB are whole pages, of the second one is stored.
        expect(planned.droppedBytes).toBe(2 * MiB + (isUnused ? 32 * KiB : 0));
        const copied = await compact(path, { ...options, output });
        expect(copied).toMatchObject({ droppedBytes: plannedCopy.droppedBytes, changed: true });
        expect(copied.droppedBytes).toBe((copied.storedBytesBefore ?? 0) - (copied.storedBytes ?? 0));
        const done = await compact(path, options);
        expect(done).toMatchObject({ droppedBytes: planned.droppedBytes, changed: planned.changed, warnings: [] });
        expect(done.droppedBytes).toBe((done.storedBytesBefore ?? 0) - (done.storedBytes ?? 0));
        expect(firstDifference(await contentOf(path), await contentOf(output))).toBe(-1);
        const again = { changed: false, droppedBytes: 0 };
        expect(await compact(path, { ...options, dryRun: true })).toMatchObject(again);
        expect(await compact(path, options)).toMatchObject(again);
      });

      it('says what is not possible here, as the call itself does', async () => {
        const path = await image('raw', folder);
        vi.stubEnv('VHDKIT_NATIVE', '0');
        const planned = await compact(path, { dryRun: true });
        const { warnings, ...told } = await compact(path, { onWarning: () => undefined });
        expect(planned).toMatchObject({ changed: false, droppedBytes: 0, warnings });
        expect(told).toMatchObject({ changed: false, droppedBytes: 0 });
        expect(warnings).toEqual([expect.stringMatching(/cannot be given back here/)]);
      });

      it('and a copy read what is stored, and nothing else', async () => {
        const path = join(folder, 'large.raw');
        writeSparse(path, 1024 * MiB, [[600 * MiB, pattern(10 * KiB, 1)]]);
        const before = await readRange(path, 600 * MiB);
        const read = vi.spyOn(FileStorage.prototype, 'read');
        const output = join(folder, 'copy.raw');
        await compact(path, { output, dryRun: true });
        await compact(path, { output });
        expect(read.mock.calls.reduce((sum, [bytes]) => sum + bytes.length, 0)).toBeLessThan(4 * MiB);
        read.mockRestore();
        expect(firstDifference(await readRange(output, 600 * MiB), before)).toBe(-1);
      });
    },
  );
}

async function readRange(path: string, position: number): Promise<Uint8Array> {
  await using file = await FileStorage.open(path);
  const bytes = new Uint8Array(MiB);
  await file.read(bytes, position);
  return bytes;
}

describe.skipIf(files === undefined)('a hole that the system does not make', () => {
  it('for an error that is one ends it, and what was done is durable', async () => {
    const path = await image('raw');
    const bytes = await readFile(path);
    const flush = vi.spyOn(FileStorage.prototype, 'flush');
    const punch = vi.spyOn(files!, 'punchHole').mockResolvedValueOnce(0).mockResolvedValueOnce(5);
    await expect(compact(path)).rejects.toMatchObject({ code: 'EIO', syscall: 'fallocate', path });
    expect(punch).toHaveBeenCalledTimes(2);
    expect(flush).toHaveBeenCalled();
    expect(firstDifference(await readFile(path), bytes)).toBe(-1);
  });

  it.each([38, 95])('because it cannot (%i) is a warning, and what was done is durable', async (errno) => {
    const path = await image('raw');
    const flush = vi.spyOn(FileStorage.prototype, 'flush');
    const punch = vi.spyOn(files!, 'punchHole').mockResolvedValueOnce(0).mockResolvedValueOnce(errno);
    const { warnings } = await compact(path);
    expect(warnings).toEqual([expect.stringMatching(/cannot be given back here/)]);
    expect(punch).toHaveBeenCalledTimes(2);
    expect(flush).toHaveBeenCalled();
  });
});

describe('what has no space to give back', () => {
  it('is an empty file, whatever it is called, and what is no regular file', async () => {
    for (const name of ['empty.raw', 'empty.vhd', 'empty']) {
      const path = join(usual, name);
      await writeFile(path, '');
      for (const options of [{}, { dryRun: true }, { from: 'raw' }] as const) {
        await expect(compact(path, options)).rejects.toMatchObject({ code: 'ERR_VHD_SIZE' });
      }
    }
    const refusal = { code: 'ERR_VHD_UNSUPPORTED', found: 'no regular file' };
    await expect(compact('/dev/null', { dryRun: true })).rejects.toMatchObject(refusal);
    await expect(compact('/dev/null')).rejects.toMatchObject(refusal);
  });
});

describe('UnusedList', () => {
  it('finds the parts of ranges that lie in a stretch, told in whatever order', () => {
    const list = new UnusedList([
      { start: 40, length: 5 },
      { start: 10, length: 10 },
      { start: 20, length: 5 },
      { start: 12, length: 2 },
    ]);
    const within = (position: number, length: number): unknown[] => [...list.within(position, length)];
    expect([...list]).toEqual([
      { start: 10, length: 15 },
      { start: 40, length: 5 },
    ]);
    expect(within(0, 10)).toEqual([]);
    expect(within(25, 15)).toEqual([]);
    expect(within(45, 10)).toEqual([]);
    expect(within(24, 17)).toEqual([
      { start: 24, length: 1 },
      { start: 40, length: 1 },
    ]);
    expect(within(11, 2)).toEqual([{ start: 11, length: 2 }]);
  });
});

it('takes no file of odd length for a disk, unless it is told to', async () => {
  const path = join(usual, 'notes');
  await writeFile(path, Buffer.alloc(1221, 7));
  await expect(compact(path)).rejects.toMatchObject({ code: 'ERR_VHD_SIZE', found: '1221 bytes' });
  await expect(compact(path, { from: 'raw' })).resolves.toMatchObject({ changed: false, virtualSize: 1221 });
});

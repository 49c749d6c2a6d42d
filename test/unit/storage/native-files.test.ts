import { closeSync, openSync, readSync, rmSync, truncateSync, writeFileSync, writeSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { FileStorage } from '../../../src/storage/file.ts';
import { MemoryStorage } from '../../../src/storage/memory.ts';
import { loadNative } from '../../../src/storage/native.ts';
import { PaddedStorage } from '../../../src/storage/padded.ts';
import type { Storage } from '../../../src/storage/storage.ts';
import { pattern } from '../../support/bytes.ts';
import { type Piece, sparseFolders, whyNoHoles, writeSparse } from '../../support/sparse-files.ts';

const KiB = 1024;
const MiB = 1024 * KiB;
const GiB = 1024 * MiB;
const PAGE = 4096;

/** All that is stored in a range, by start and end. */
async function stored(storage: Storage, start: number, end: number): Promise<[number, number][]> {
  const found: [number, number][] = [];
  for (let position = start; position < end; ) {
    const range = await storage.findData?.(position, end - position);
    if (range === undefined) break;
    position = range.start + range.length;
    found.push([range.start, position]);
  }
  return found;
}

const layouts: Readonly<
  Record<string, readonly [size: number, pieces: readonly Piece[], expected: [number, number][]]>
> = {
  'no data': [GiB, [], []],
  'a byte far out': [20 * GiB, [[10 * GiB + 5, pattern(1)]], [[10 * GiB, 10 * GiB + PAGE]]],
  'data at the start': [GiB, [[0, pattern(1)]], [[0, PAGE]]],
  'data at the end': [GiB, [[GiB - 1, pattern(1)]], [[GiB - PAGE, GiB]]],
  'a size that is no page': [GiB + 512, [[GiB + 100, pattern(412)]], [[GiB, GiB + 512]]],
  'two pieces and a hole of a page': [
    GiB,
    [
      [8 * PAGE, pattern(PAGE)],
      [10 * PAGE, pattern(2 * PAGE)],
    ],
    [
      [8 * PAGE, 9 * PAGE],
      [10 * PAGE, 12 * PAGE],
    ],
  ],
  'written zeros': [GiB, [[MiB, new Uint8Array(PAGE)]], [[MiB, MiB + PAGE]]],
};

afterEach(() => {
  vi.unstubAllEnvs();
});

for (const folder of sparseFolders('native-files')) {
  const reason = await whyNoHoles(folder);
  describe.skipIf(reason !== undefined)(`in ${folder}${reason === undefined ? '' : ` (skipped: ${reason})`}`, () => {
    const path = join(folder, 'sparse');

    beforeEach(() => rmSync(path, { force: true }));

    it.each(Object.keys(layouts))('finds what is stored: %s', async (name) => {
      const [size, pieces, expected] = layouts[name]!;
      writeSparse(path, size, pieces);
      const storage = await FileStorage.open(path);
      expect(await stored(storage, 0, size)).toEqual(expected);
      await storage.close();
    });

    it('takes for stored what nobody leaves in peace, and looks again first', async () => {
      writeSparse(path, GiB, [[MiB, pattern(MiB)]]);
      const { files } = await loadNative();
      const seekHole = vi.spyOn(files!, 'seekHole').mockImplementationOnce((_fd, start) => start);
      const storage = await FileStorage.open(path);
      try {
        // Punched between the two look-ups.
        expect(await storage.findData(0, GiB)).toEqual({ start: MiB, length: MiB });
        seekHole.mockImplementation((_fd, start) => start);
        expect(await storage.findData(0, GiB)).toEqual({ start: MiB, length: GiB - MiB });
      } finally {
        seekHole.mockRestore();
        await storage.close();
      }
    });

    it('keeps to the range it is asked about', async () => {
      writeSparse(path, GiB, [[MiB, pattern(MiB)]]);
      const storage = await FileStorage.open(path);
      expect(await storage.findData(MiB + 7, 9)).toEqual({ start: MiB + 7, length: 9 });
      expect(await storage.findData(MiB - 9, 10)).toEqual({ start: MiB, length: 1 });
      expect(await storage.findData(0, MiB)).toBeUndefined();
      expect(await storage.findData(2 * MiB, GiB - 2 * MiB)).toBeUndefined();
      await storage.close();
      await expect(storage.findData(0, 1)).rejects.toMatchObject({ code: 'ERR_VHD_CLOSED' });
    });

    it('sees what was written a moment ago, and what the file has grown by', async () => {
      writeSparse(path, GiB, []);
      const storage = await FileStorage.open(path, { writable: true });
      expect(await storage.findData(0, GiB)).toBeUndefined();
      await storage.write(pattern(1), 500 * MiB);
      expect(await storage.findData(0, GiB)).toEqual({ start: 500 * MiB, length: PAGE });
      const other = openSync(path, 'r+');
      writeSync(other, pattern(PAGE), 0, PAGE, 2 * GiB);
      closeSync(other);
      expect(await storage.findData(GiB, GiB + PAGE)).toEqual({ start: 2 * GiB, length: PAGE });
      await storage.close();
    });

    it('takes the missing end of a file for no hole', async () => {
      writeSparse(path, GiB, [[MiB, pattern(PAGE)]]);
      const storage = await FileStorage.open(path);
      expect(await storage.findData(0, GiB)).toEqual({ start: MiB, length: PAGE });
      truncateSync(path, 512 * MiB);
      expect(await storage.findData(2 * MiB, 510 * MiB)).toBeUndefined();
      await expect(storage.findData(2 * MiB, GiB - 2 * MiB)).rejects.toMatchObject({
        code: 'ERR_VHD_TRUNCATED',
        storage: path,
        offset: 2 * MiB,
      });
      await storage.close();
    });

    it('takes all of a file for stored that has few holes', async () => {
      writeSparse(path, 15 * MiB, []);
      const storage = await FileStorage.open(path);
      expect(await storage.findData(5, 100)).toEqual({ start: 5, length: 100 });
      await storage.close();
    });

    it('finds the holes of such a file for who asks for all of them', async () => {
      writeSparse(path, 15 * MiB, [[MiB, pattern(PAGE)]]);
      const storage = await FileStorage.open(path);
      expect(await storage.findStored(5, 14 * MiB)).toEqual({ start: MiB, length: PAGE });
      expect(await storage.findStored(2 * MiB, MiB)).toBeUndefined();
      await storage.close();
    });

    it('makes a hole, or passes on why it failed', async () => {
      writeFileSync(path, pattern(4 * PAGE));
      const storage = await FileStorage.open(path, { writable: true });
      expect(await storage.canPunchHoles()).toBe(true);
      expect(await storage.punchHole(PAGE, PAGE)).toBe(true);
      expect(await storage.findStored(PAGE, 3 * PAGE)).toEqual({ start: 2 * PAGE, length: 2 * PAGE });
      await storage.close();
      const { files } = await loadNative();
      const file = openSync(path, 'r');
      // EBADF: it is open for reading only.
      expect(await files!.punchHole(file, 0, PAGE)).toBe(9);
      closeSync(file);
    });

    it('takes everything for stored when it is turned off', async () => {
      vi.stubEnv('VHDKIT_NATIVE', '0');
      writeSparse(path, GiB, []);
      const storage = await FileStorage.open(path);
      expect(await storage.findData(0, GiB)).toEqual({ start: 0, length: GiB });
      await storage.close();
    });

    it("leaves the cursor of a caller's handle where it is", async () => {
      writeSparse(path, GiB, [
        [0, pattern(100)],
        [600 * MiB, pattern(PAGE)],
      ]);
      const handle = await open(path, 'r');
      const first = Buffer.alloc(10);
      readSync(handle.fd, first);
      const storage = FileStorage.fromHandle(handle);
      const places = Array.from({ length: 20 }, (_, index) => (index + 1) * MiB);
      await Promise.all(places.map((place) => storage.findData(place, GiB - place)));
      expect(await storage.findData(PAGE, GiB - PAGE)).toEqual({ start: 600 * MiB, length: PAGE });
      readSync(handle.fd, first);
      expect(Buffer.compare(first, pattern(100).subarray(10, 20))).toBe(0);
      await storage.close();
      expect((await handle.stat()).size).toBe(GiB);
      await handle.close();
    });

    it('works on a file whose name is gone', async () => {
      writeSparse(path, GiB, [[MiB, pattern(PAGE)]]);
      const handle = await open(path, 'r');
      rmSync(path);
      const storage = FileStorage.fromHandle(handle);
      expect(await storage.findData(0, GiB)).toEqual({ start: MiB, length: PAGE });
      await storage.close();
      await handle.close();
    });

    it('takes everything for stored from where the system fails on', async () => {
      writeSparse(path, GiB, [[MiB, pattern(PAGE)]]);
      const { files } = await loadNative();
      const storage = await FileStorage.open(path);
      for (const call of ['seekData', 'seekHole'] as const) {
        const spy = vi.spyOn(files!, call).mockImplementationOnce(() => {
          throw new Error('lseek: refused');
        });
        const failing = await FileStorage.open(path);
        expect(await failing.findData(5, GiB - 5)).toEqual({ start: 5, length: GiB - 5 });
        expect(await failing.findData(2 * MiB, MiB)).toEqual({ start: 2 * MiB, length: MiB });
        spy.mockRestore();
        await failing.close();
      }
      expect(await storage.findData(2 * MiB, MiB)).toBeUndefined();
      await storage.close();
    });

    it('lets other work of the process go on', async () => {
      writeSparse(path, GiB, [[0, pattern(PAGE)]]);
      const storage = await FileStorage.open(path);
      let isOver = false;
      const busy = (async () => {
        for (let call = 0; call < 10_000; call++) await storage.findData(0, GiB);
        isOver = true;
      })();
      await storage.findData(0, GiB);
      await new Promise((resolve) => setImmediate(resolve));
      expect(isOver).toBe(false);
      await busy;
      await storage.close();
    });

    it('shows the zeros behind a padded file as none of its data', async () => {
      writeSparse(path, GiB + 1, [[GiB, pattern(1)]]);
      const padded = new PaddedStorage(await FileStorage.open(path), GiB + 1, GiB + 512);
      expect(await stored(padded, 0, GiB + 512)).toEqual([[GiB, GiB + 1]]);
      expect(await padded.findData(GiB + 1, 511)).toBeUndefined();
      await padded.close();
    });

    it('does not clone what is small, into what is not empty, or into anything but a file', async () => {
      writeSparse(path, GiB, []);
      writeFileSync(join(folder, 'small'), pattern(PAGE));
      writeFileSync(join(folder, 'other'), pattern(PAGE));
      const [source, small, other] = await Promise.all([
        FileStorage.open(path),
        FileStorage.open(join(folder, 'small'), { writable: true }),
        FileStorage.open(join(folder, 'other'), { writable: true }),
      ]);
      expect(await source.cloneTo(other)).toBe(false);
      expect(await source.cloneTo(new MemoryStorage())).toBe(false);
      await other.truncate(0);
      expect(await small.cloneTo(other)).toBe(false);
      expect(await other.size()).toBe(0);
      await expect(other.cloneTo(source)).rejects.toMatchObject({ code: 'ERR_VHD_READ_ONLY' });
      await Promise.all([source.close(), small.close(), other.close()]);
    });
  });
}

it('takes what is no file for stored, as far as it is asked about', async () => {
  const storage = await FileStorage.open('/dev/zero');
  expect(await storage.findData(0, 4096)).toEqual({ start: 0, length: 4096 });
  await storage.close();
});

it('pads what cannot tell', async () => {
  const padded = new PaddedStorage(new MemoryStorage(pattern(10)), 10, 512);
  expect(await padded.findData(3, 509)).toEqual({ start: 3, length: 7 });
  expect(await padded.findData(10, 502)).toBeUndefined();
});

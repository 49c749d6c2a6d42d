// Sources with holes: the work is that of their data, and what is made of them is the same as without looking for holes.
import { closeSync, openSync, readFileSync, rmSync, statSync, utimesSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import fc from 'fast-check';
import { afterEach, describe, expect, it, vi } from 'vitest';
import type { Disk } from '../../../src/disk/disk.ts';
import { FlatDisk } from '../../../src/disk/flat.ts';
import { convert } from '../../../src/ops/convert.ts';
import type { ConvertOptions, ConvertResult, TargetType } from '../../../src/ops/convert-options.ts';
import { cloneDisk, copyDisk, HOLE_GRAIN_BYTES } from '../../../src/ops/copy.ts';
import { ProgressMeter } from '../../../src/ops/progress.ts';
import { FileStorage } from '../../../src/storage/file.ts';
import { MemoryStorage } from '../../../src/storage/memory.ts';
import type { Storage } from '../../../src/storage/storage.ts';
import { firstDifference, pattern } from '../../support/bytes.ts';
import { ProbeStorage } from '../../support/probe-storage.ts';
import { checkParameters } from '../../support/seed.ts';
import { type Piece, sparseFolders, whyNoHoles, writeSparse } from '../../support/sparse-files.ts';
import { IDENTITY } from '../../support/streams-disks.ts';

const KiB = 1024;
const MiB = 1024 * KiB;
const GiB = 1024 * MiB;
const LARGE = 100 * GiB;
/** In five runs of data and six pieces of 2 MiB. */
const PLACES = [0, 4 * GiB - 1, 4 * GiB, 50 * GiB + 5 * MiB, 70 * GiB, LARGE - 1];
const TYPES: readonly TargetType[] = ['raw', 'fixed', 'dynamic'];

afterEach(() => {
  vi.unstubAllEnvs();
});

for (const folder of sparseFolders('sparse-source')) {
  const reason = await whyNoHoles(folder);
  const at = (name: string): string => join(folder, name);

  async function largeDisk(): Promise<{ disk: Disk; probe: ProbeStorage }> {
    writeSparse(
      at('large.raw'),
      LARGE,
      PLACES.map((place): Piece => [place, pattern(1)]),
    );
    const probe = new ProbeStorage(await FileStorage.open(at('large.raw')));
    return { disk: new FlatDisk(probe, LARGE, true), probe };
  }

  describe.skipIf(reason !== undefined)(`in ${folder}${reason === undefined ? '' : ` (skipped: ${reason})`}`, () => {
    it.each(TYPES)('100 GiB with little data take few calls, converted to %s', async (to) => {
      const { disk, probe } = await largeDisk();
      const result = await convert(disk, at('large.out'), { to, blockSize: 2 * MiB });
      expect(result).toMatchObject({ virtualSize: LARGE, copiedBytes: 6 * 64 * KiB });
      expect(result.copiedBytes + result.skippedBytes).toBe(LARGE);
      expect([probe.count('read'), probe.count('findData')]).toEqual([6, 5]);
      expect(statSync(at('large.out')).blocks * 512).toBeLessThan(16 * MiB);
      await disk.close();
      rmSync(at('large.out'));
    });

    it('is measured and streamed with few calls as well', async () => {
      const { disk, probe } = await largeDisk();
      const dry = await convert(disk, at('never'), { to: 'dynamic', dryRun: true });
      expect(probe.count('read')).toBe(6);
      let byteLength = 0;
      const sink = new Writable({
        write(chunk: Uint8Array, _encoding, done) {
          byteLength += chunk.length;
          done();
        },
      });
      const streamed = await convert(disk, sink, { to: 'dynamic' });
      expect([byteLength, streamed.fileSize]).toEqual([dry.fileSize, dry.fileSize]);
      // Once to plan, once to send.
      expect(probe.count('read')).toBe(18);
      await disk.close();
    });

    it('makes the same of holes that are found and of holes that are read', async () => {
      const piece = fc.tuple(fc.double({ min: 0, max: 0.9999, noNaN: true }), fc.integer({ min: 1, max: 300 * KiB }));
      const shape = fc.record({
        sectors: fc.integer({ min: 34 * 2 * KiB, max: 72 * 2 * KiB }),
        pieces: fc.array(fc.tuple(piece, fc.boolean()), { maxLength: 6 }),
        to: fc.constantFrom(...TYPES),
        blockSize: fc.constantFrom(512 * KiB, 2 * MiB),
      });
      await fc.assert(
        fc.asyncProperty(shape, async ({ blockSize, pieces, sectors, to }) => {
          const size = sectors * 512;
          const placed = pieces.map(([[place, length], isZero]): Piece => {
            const position = Math.floor(place * size);
            const bytes = pattern(Math.min(length, size - position), position + 1);
            return [position, isZero ? bytes.fill(0) : bytes];
          });
          writeSparse(at('any.raw'), size, placed);
          const options = { to, ...IDENTITY, ...(to === 'dynamic' ? { blockSize } : {}), force: true };
          const [found, read] = await bothWays(at, options);
          expect(found.fileSize).toBe(read.fileSize);
          expect(firstDifference(readFileSync(at('found')), readFileSync(at('read')))).toBe(-1);
          if (to !== 'dynamic') expect(found.copiedBytes).toBe(read.copiedBytes);
        }),
        checkParameters(3),
      );
    });

    it('does not miss what is written into a hole while it is converted', async () => {
      writeSparse(at('busy.raw'), GiB, [[0, pattern(1)]]);
      utimesSync(at('busy.raw'), 1000, 1000);
      const onProgress = (): void => {
        const file = openSync(at('busy.raw'), 'r+');
        writeSync(file, pattern(1), 0, 1, 500 * MiB);
        closeSync(file);
      };
      const busy = convert(at('busy.raw'), at('busy.vhd'), { to: 'dynamic', onProgress });
      await expect(busy).rejects.toMatchObject({ code: 'ERR_VHD_SOURCE_CHANGED' });
    });

    it('does not take a file that was cut short for one with a hole at its end', async () => {
      const { disk } = await largeDisk();
      writeSparse(at('large.raw'), 60 * GiB, []);
      const short = convert(disk, at('short.raw'), { to: 'raw' });
      await expect(short).rejects.toMatchObject({ code: 'ERR_VHD_TRUNCATED' });
      await disk.close();
    });
  });
}

async function bothWays(
  at: (name: string) => string,
  options: ConvertOptions,
): Promise<[found: ConvertResult, read: ConvertResult]> {
  const found = await convert(at('any.raw'), at('found'), options);
  vi.stubEnv('VHDKIT_NATIVE', '0');
  const read = await convert(at('any.raw'), at('read'), options);
  vi.unstubAllEnvs();
  return [found, read];
}

describe('a disk that can be cloned', () => {
  const bytes = pattern(10_240);

  /** A storage whose clones are copies, `extra` bytes longer than the disk on it. */
  function cloning(extra: number, cut = 0): Storage {
    const storage = new MemoryStorage(new Uint8Array([...bytes, ...pattern(extra)]));
    const cloneTo = async (target: Storage): Promise<boolean> => {
      await target.write(storage.toBytes().subarray(0, 10_240 + extra - cut), 0);
      return true;
    };
    return Object.assign(storage, { cloneTo });
  }

  const meterOf = (disk: Disk): ProgressMeter => new ProgressMeter('copy', disk.size, undefined);

  it.each([0, 512])('is, without the %d bytes behind it', async (extra) => {
    const disk = new FlatDisk(cloning(extra), 10_240, true);
    const [target, meter] = [new MemoryStorage(), meterOf(disk)];
    expect(await cloneDisk(disk, target, meter)).toBe(true);
    expect(firstDifference(target.toBytes(), bytes)).toBe(-1);
    expect(meter).toMatchObject({ copiedBytes: 10_240, clonedBytes: 10_240, skippedBytes: 0 });
  });

  it('is refused where its file has become too short', async () => {
    const disk = new FlatDisk(cloning(512, 600), 10_240, true);
    const clone = cloneDisk(disk, new MemoryStorage(), meterOf(disk));
    await expect(clone).rejects.toMatchObject({ code: 'ERR_VHD_TRUNCATED', found: '10152 bytes' });
  });

  it('is copied where its storage cannot', async () => {
    const disk = new FlatDisk(new MemoryStorage(bytes), 10_240, true);
    const [target, meter] = [new MemoryStorage(), meterOf(disk)];
    expect(await cloneDisk(disk, target, meter)).toBe(false);
    await copyDisk(disk, target, { meter, grainBytes: HOLE_GRAIN_BYTES });
    expect(firstDifference(target.toBytes(), bytes)).toBe(-1);
    expect(meter).toMatchObject({ copiedBytes: 10_240, clonedBytes: 0 });
  });
});

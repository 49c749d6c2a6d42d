// File systems that share room between files, and keep data in memory before they give it a place.

import { execFileSync } from 'node:child_process';
import { closeSync, openSync, readFileSync, statfsSync, statSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { convert } from '../../src/ops/convert.ts';
import type { ConvertOptions } from '../../src/ops/convert-options.ts';
import { FileStorage } from '../../src/storage/file.ts';
import { loadNative, nativeSupport } from '../../src/storage/native.ts';
import { firstDifference, pattern } from '../support/bytes.ts';
import { mountNew } from '../support/loop.ts';
import { Random } from '../support/seed.ts';
import { type Piece, writeSparse } from '../support/sparse-files.ts';
import { IDENTITY } from '../support/streams-disks.ts';

const MiB = 1024 * 1024;
const GiB = 1024 * MiB;

afterEach(() => {
  vi.unstubAllEnvs();
});

const { reason: noHelper } = await nativeSupport();

for (const make of ['mkfs.xfs', 'mkfs.btrfs']) {
  const { path: folder = '', reason: noMount } = noHelper === undefined ? mountNew(make, 320 * MiB) : {};
  const reason = noHelper ?? noMount;

  describe.skipIf(reason !== undefined)(
    `on what ${make} made${reason === undefined ? '' : ` (skipped: ${reason})`}`,
    () => {
      const at = (name: string): string => join(folder, name);

      /** Bytes that are free when everything has its place. */
      function freeBytes(): number {
        execFileSync('sync', ['-f', folder]);
        const { bfree, bsize } = statfsSync(folder);
        return bfree * bsize;
      }

      function writeSource(name: string, size: number): string {
        writeSparse(at(name), size, [[3 * MiB, pattern(4 * MiB, 7)]]);
        return at(name);
      }

      it.each([20 * MiB, 20 * MiB + 512])('raw and fixed of %d bytes are clones of each other', async (size) => {
        const raw = writeSource(`${size}.raw`, size);
        const before = freeBytes();
        const steps = [
          [raw, at(`${size}.vhd`), 'fixed'],
          [at(`${size}.vhd`), at(`${size}.back`), 'raw'],
          [at(`${size}.back`), at(`${size}.more`), 'raw'],
        ] as const;
        for (const [source, target, to] of steps) {
          const options: ConvertOptions = { to, ...IDENTITY };
          const { clonedBytes = 0, copiedBytes, skippedBytes } = await convert(source, target, options);
          expect(clonedBytes).toBeGreaterThanOrEqual(4 * MiB);
          expect([copiedBytes, copiedBytes + skippedBytes]).toEqual([clonedBytes, size]);
          vi.stubEnv('VHDKIT_NATIVE', '0');
          const copied = await convert(source, at('copied'), { ...options, force: true });
          vi.unstubAllEnvs();
          expect(copied.clonedBytes).toBeUndefined();
          expect(firstDifference(readFileSync(target), readFileSync(at('copied')))).toBe(-1);
        }
        writeFileSync(at('copied'), '');
        expect(before - freeBytes()).toBeLessThan(3 * MiB);
      });

      it('a clone stays as it is when its source changes', async () => {
        const raw = writeSource('changes.raw', 20 * MiB);
        await convert(raw, at('stays.raw'), { to: 'raw' });
        const file = openSync(raw, 'r+');
        writeSync(file, pattern(MiB, 99), 0, MiB, 4 * MiB);
        closeSync(file);
        expect(firstDifference(readFileSync(at('stays.raw')).subarray(3 * MiB, 7 * MiB), pattern(4 * MiB, 7))).toBe(-1);
      });

      it('what is to have room of its own, or blocks, or a padded end, is copied', async () => {
        const raw = writeSource('odd.raw', 20 * MiB + 100);
        const padded = await convert(raw, at('padded.raw'), { to: 'raw', pad: true });
        expect([padded.clonedBytes, padded.virtualSize]).toEqual([undefined, 20 * MiB + 512]);
        const own = await convert(at('padded.raw'), at('own.vhd'), { to: 'fixed', preallocate: true });
        expect(own.clonedBytes).toBeUndefined();
        expect(statSync(at('own.vhd')).blocks * 512).toBeGreaterThanOrEqual(20 * MiB);
        const blocks = await convert(at('padded.raw'), at('blocks.vhd'), { to: 'dynamic' });
        expect(blocks.clonedBytes).toBeUndefined();
      });

      it('a clone that fails half-way leaves nothing in the copy', async () => {
        const raw = writeSource('fails.raw', 20 * MiB);
        const { files } = await loadNative();
        const spy = vi.spyOn(files!, 'cloneFile').mockImplementationOnce(async (_source, target) => {
          writeSync(target, pattern(MiB), 0, MiB, 10 * MiB);
          throw new Error('no space left');
        });
        const { clonedBytes } = await convert(raw, at('whole.raw'), { to: 'raw' });
        expect([clonedBytes, spy.mock.calls.length]).toEqual([undefined, 1]);
        expect(firstDifference(readFileSync(at('whole.raw')), readFileSync(raw))).toBe(-1);
        spy.mockRestore();
      });

      it('data without a place yet is no hole', async () => {
        const random = new Random(1);
        for (let round = 0; round < 20; round++) {
          const pieces = Array.from({ length: 5 }, (_, index): Piece => {
            return [
              index * 7 * GiB + random.below(7 * 1024) * MiB + random.below(MiB),
              pattern(1 + random.below(9000)),
            ];
          });
          writeSparse(at('fresh'), 40 * GiB, pieces);
          const storage = await FileStorage.open(at('fresh'));
          for (const [position, { length }] of pieces) {
            expect(await storage.findData(position, length)).toEqual({ start: position, length });
          }
          const first = await storage.findData(0, 40 * GiB);
          expect(first?.start).toBeGreaterThan(pieces[0]![0] - 64 * 1024);
          await storage.close();
        }
      });
    },
  );
}

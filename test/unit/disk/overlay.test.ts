import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Extent } from '../../../src/disk/disk.ts';
import { FlatDisk } from '../../../src/disk/flat.ts';
import { openVhdStorage } from '../../../src/disk/open-storage.ts';
import { OverlayDisk, type Patch } from '../../../src/disk/overlay.ts';
import { MemoryStorage } from '../../../src/storage/memory.ts';
import { buildImage, contentOf } from '../../support/build-image.ts';
import { firstDifference, pattern } from '../../support/bytes.ts';
import { collect } from '../../support/collect.ts';
import { checkParameters } from '../../support/seed.ts';

const KiB = 1024;
const shape = {
  size: 12 * 4 * KiB,
  blockSize: 4 * KiB,
  blocks: [
    { index: 3, data: pattern(4 * KiB, 1) },
    { index: 7, data: pattern(4 * KiB, 2) },
  ],
};

const patchesWithin = (size: number): fc.Arbitrary<Patch[]> =>
  fc
    .array(fc.tuple(fc.nat(4 * KiB), fc.integer({ min: 1, max: 6 * KiB }), fc.nat(200)), { maxLength: 6 })
    .map((parts) => {
      const patches: Patch[] = [];
      let position = 0;
      for (const [gap, length, seed] of parts) {
        if (position + gap + length > size) break;
        patches.push({ position: position + gap, bytes: pattern(length, seed) });
        position += gap + length;
      }
      return patches;
    });

describe('a changed view of a disk', () => {
  it('shows every byte as a plain array has it, by reads and by extents', async () => {
    const growth = fc.nat(20 * KiB).map((bytes) => bytes - (bytes % 512));
    const views = growth.chain((more) => fc.tuple(fc.constant(shape.size + more), patchesWithin(shape.size + more)));
    const range = fc.tuple(fc.double({ min: 0, max: 1, noNaN: true }), fc.double({ min: 0, max: 1, noNaN: true }));
    await fc.assert(
      fc.asyncProperty(views, range, async ([size, patches], [from, share]) => {
        const expected = new Uint8Array(size);
        expected.set(contentOf(shape));
        for (const { position, bytes } of patches) expected.set(bytes, position);
        const disk = new OverlayDisk(await openVhdStorage(new MemoryStorage(buildImage(shape))), size, patches);
        const start = Math.floor(from * size);
        const length = Math.floor(share * (size - start));
        const bytes = new Uint8Array(length).fill(0xee);
        await disk.read(bytes, start);
        expect(firstDifference(bytes, expected.subarray(start, start + length))).toBe(-1);
        const extents = await collect(disk.extents({ start, length }));
        let position = start;
        for (const [index, extent] of extents.entries()) {
          expect(extent.start).toBe(position);
          expect(extent.length).toBeGreaterThan(0);
          if (index > 0) expect(extents[index - 1]?.kind).not.toBe(extent.kind);
          position += extent.length;
          if (extent.kind === 'zero') {
            const zeros = expected.subarray(extent.start, position);
            expect(zeros.every((byte) => byte === 0)).toBe(true);
          }
        }
        expect(position).toBe(start + length);
      }),
      checkParameters(150),
    );
  });

  it('is for reading only, and closes what it shows', async () => {
    const storage = new MemoryStorage(new Uint8Array(KiB));
    const disk = new OverlayDisk(new FlatDisk(storage, KiB, false), 2 * KiB, []);
    await expect(disk.write()).rejects.toMatchObject({ code: 'ERR_VHD_READ_ONLY' });
    await expect(disk.discard()).rejects.toMatchObject({ code: 'ERR_VHD_READ_ONLY' });
    await expect(disk.read(new Uint8Array(2), 2 * KiB - 1)).rejects.toThrow(RangeError);
    await disk[Symbol.asyncDispose]();
    await expect(storage.size()).rejects.toMatchObject({ code: 'ERR_VHD_CLOSED' });
  });

  it('is not usable when it is closed, though nothing of it lies on the base', async () => {
    const disk = new OverlayDisk(new FlatDisk(new MemoryStorage(new Uint8Array(KiB)), KiB, false), 2 * KiB, []);
    await disk.close();
    await disk.close();
    const closed = { code: 'ERR_VHD_CLOSED' };
    await expect(disk.read(new Uint8Array(1), KiB)).rejects.toMatchObject(closed);
    await expect(collect(disk.extents({ start: KiB }))).rejects.toMatchObject(closed);
    for (const call of [disk.write(), disk.discard(), disk.flush()]) await expect(call).rejects.toMatchObject(closed);
  });

  it('takes bytes only', async () => {
    const disk = new OverlayDisk(new FlatDisk(new MemoryStorage(new Uint8Array(KiB)), KiB, false), 2 * KiB, []);
    await expect(disk.read(new Uint16Array(4) as never, KiB)).rejects.toThrow(TypeError);
  });

  it('tells no place in a file, which would be wrong for what is cut', async () => {
    class Located extends FlatDisk {
      override extents(options: object = {}): AsyncGenerator<Extent> {
        return super.extents({ ...options, located: true });
      }
    }
    const base = new Located(new MemoryStorage(pattern(KiB)), KiB, false);
    const disk = new OverlayDisk(base, KiB, [{ position: 100, bytes: pattern(50) }]);
    expect(await collect(disk.extents())).toEqual([{ start: 0, length: KiB, kind: 'data', depth: 0 }]);
  });
});

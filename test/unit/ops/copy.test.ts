import { setImmediate } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import type { Disk, Extent } from '../../../src/disk/disk.ts';
import { copyDisk } from '../../../src/ops/copy.ts';
import { ProgressMeter } from '../../../src/ops/progress.ts';
import { pattern } from '../../support/bytes.ts';

const KIB = 1024;
const MIB = KIB * KIB;

type Run = Pick<Extent, 'start' | 'length' | 'kind' | 'depth'>;

/** A disk with the given extents over a pattern; notes what it is asked to read. */
function diskOf(size: number, extents: readonly Run[]): { disk: Disk; content: Uint8Array; reads: [number, number][] } {
  const content = pattern(size, 3);
  for (const { start, length, kind } of extents) if (kind === 'zero') content.fill(0, start, start + length);
  const reads: [number, number][] = [];
  const disk = {
    size,
    async *extents() {
      for (const extent of extents) {
        // Holes of a file are looked for by calls of the system: others go on meanwhile.
        if (extent.start % (MIB / 4) === 0) await setImmediate();
        yield extent;
      }
    },
    read: async (target: Uint8Array, position: number) => {
      reads.push([position, target.length]);
      target.set(content.subarray(position, position + target.length));
    },
  };
  // Copying uses no more of a disk than this.
  return { disk: disk as unknown as Disk, content, reads };
}

/** What a copy writes and discards. */
async function copied(
  disk: Disk,
  belowDepth: number,
): Promise<{ target: Uint8Array; touched: Uint8Array; meter: ProgressMeter }> {
  const target = new Uint8Array(disk.size).fill(0xee);
  const touched = new Uint8Array(disk.size);
  const meter = new ProgressMeter('copy', undefined, undefined);
  const put = (position: number, length: number): void => void touched.fill(1, position, position + length);
  await copyDisk(
    disk,
    {
      write: async (bytes, position) => {
        target.set(bytes, position);
        put(position, bytes.length);
      },
      discard: async (position, length) => {
        target.fill(0, position, position + length);
        put(position, length);
      },
    },
    { meter, grainBytes: 64 * KIB, belowDepth },
  );
  return { target, touched, meter };
}

/** Runs of `grain` bytes of which the kinds and depths go round. */
function alternating(size: number, grain: number, kinds: readonly Pick<Run, 'kind' | 'depth'>[]): Run[] {
  return Array.from({ length: size / grain }, (_, index) => ({
    start: index * grain,
    length: grain,
    ...(kinds[index % kinds.length] ?? { kind: 'data', depth: 0 }),
  }));
}

describe('copying of what some links of a chain decide', () => {
  const size = 6 * MIB;

  for (const grain of [512, 4 * KIB, 48 * KIB]) {
    it(`writes the runs of ${grain} bytes and nothing between, and reads many by one call`, async () => {
      const runs = alternating(size, grain, [
        { kind: 'data', depth: 0 },
        { kind: 'data', depth: 2 },
        { kind: 'zero', depth: 1 },
        { kind: 'data', depth: 2 },
      ]);
      const { disk, content, reads } = diskOf(size, runs);
      const { target, touched, meter } = await copied(disk, 2);
      let own = 0;
      for (const { start, length, depth } of runs) {
        const isOwn = depth < 2;
        if (isOwn) own += length;
        expect(touched.subarray(start, start + length).every((flag) => flag === Number(isOwn))).toBe(true);
        if (isOwn) {
          expect(Buffer.compare(target.subarray(start, start + length), content.subarray(start, start + length))).toBe(
            0,
          );
        }
      }
      expect(meter.copiedBytes + meter.skippedBytes).toBe(own);
      expect(reads).toHaveLength(3);
      for (const [position, length] of reads) {
        expect(Math.floor(position / 2 / MIB)).toBe(Math.floor((position + length - 1) / 2 / MIB));
      }
    });
  }

  it('does not read over a gap that is worth a call of its own', async () => {
    const { disk, reads } = diskOf(
      size,
      alternating(size, 128 * KIB, [
        { kind: 'data', depth: 0 },
        { kind: 'data', depth: 1 },
      ]),
    );
    await copied(disk, 1);
    expect(reads).toHaveLength(size / 256 / KIB);
    expect(reads.every(([, length]) => length === 128 * KIB)).toBe(true);
  });
});

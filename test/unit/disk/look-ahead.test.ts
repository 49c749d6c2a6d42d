import { describe, expect, it } from 'vitest';
import { openVhdStorage } from '../../../src/disk/open-storage.ts';
import { MemoryStorage } from '../../../src/storage/memory.ts';
import { buildImage } from '../../support/build-image.ts';
import { pattern } from '../../support/bytes.ts';
import { ProbeStorage } from '../../support/probe-storage.ts';

const BLOCK = 4096;
const COUNT = 200;
const IMAGE = buildImage({
  size: COUNT * BLOCK,
  blockSize: BLOCK,
  blocks: Array.from({ length: COUNT }, (_, index) => ({ index, data: pattern(BLOCK, index) })),
});

async function open() {
  const probe = new ProbeStorage(new MemoryStorage(IMAGE));
  const disk = await openVhdStorage(probe, { writable: true });
  probe.calls.length = 0;
  return { probe, disk };
}

describe('the bitmaps of blocks that are written again', () => {
  it('are read ahead of who writes one after the other, each of them once', async () => {
    const { probe, disk } = await open();
    let aheadMost = 0;
    for (let index = 0; index < COUNT; index++) {
      await disk.write(pattern(BLOCK, index + 1), index * BLOCK);
      aheadMost = Math.max(aheadMost, probe.count('read') - index);
    }
    expect(probe.count('read')).toBe(COUNT);
    expect(aheadMost).toBeGreaterThan(20);
    expect(aheadMost).toBeLessThan(40);
    await disk.close();
  });

  it('are not read ahead of who writes here and there', async () => {
    const { probe, disk } = await open();
    for (const index of [150, 3, 77, 20, 199, 4]) await disk.write(pattern(BLOCK), index * BLOCK);
    expect(probe.count('read')).toBe(6);
    await disk.close();
  });

  it('are read side by side for what was gathered, which then leaves in one batch', async () => {
    const { probe, disk } = await open();
    for (let index = 0; index < COUNT; index += 2) await disk.write(Uint8Array.of(1), index * BLOCK + 7);
    expect(probe.calls).toEqual([]);
    await disk.flush();
    const kinds = probe.calls.map((call) => call.kind);
    expect(kinds.slice(0, COUNT / 2)).toEqual(Array.from({ length: COUNT / 2 }, () => 'read'));
    expect(kinds.filter((kind) => kind === 'read')).toHaveLength(COUNT / 2);
    expect(kinds.filter((kind) => kind === 'write')).toHaveLength(COUNT / 2);
    await disk.close();
  });
});

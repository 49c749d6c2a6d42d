import { describe, expect, it } from 'vitest';
import type { BitmapPolicy } from '../../../src/disk/bitmap-rule.ts';
import { openVhdStorage } from '../../../src/disk/open-storage.ts';
import { MemoryStorage } from '../../../src/storage/memory.ts';
import { buildImage, contentOf, type ImageShape } from '../../support/build-image.ts';
import { firstDifference, pattern } from '../../support/bytes.ts';
import { gate, ProbeStorage, turns } from '../../support/probe-storage.ts';

const clean = new Uint8Array(4096);
clean.set(pattern(512, 3), 512);
const CLEAN: ImageShape = { size: 8192, blockSize: 4096, blocks: [{ index: 0, data: clean, sectors: [1] }] };
const DIRTY: ImageShape = { ...CLEAN, blocks: [{ index: 0, data: pattern(4096, 4), sectors: [1] }] };
const BITMAP_AT = 2048;
const DATA_AT = BITMAP_AT + 512;

async function open(shape: ImageShape, bitmap?: BitmapPolicy) {
  const memory = new MemoryStorage(buildImage(shape));
  const probe = new ProbeStorage(memory);
  const disk = await openVhdStorage(probe, { writable: true, bitmap });
  return { memory, probe, disk };
}

describe('the first write into a block whose bitmap is not all ones', () => {
  it('makes the whole bitmap durable before the data goes out', async () => {
    const { probe, disk } = await open(CLEAN);
    await disk.write(pattern(100, 9), 2000);
    await disk.flush();
    expect(probe.changes()).toEqual([`write ${BITMAP_AT}+512`, 'flush', `write ${DATA_AT + 2000}+100`, 'flush']);
    await disk.write(pattern(100, 10), 3000);
    await disk.flush();
    expect(probe.changes().slice(4)).toEqual([`write ${DATA_AT + 3000}+100`, 'flush']);
    await disk.close();
  });

  it('keeps what the set bits had, and zeros elsewhere', async () => {
    for (const [shape, policy] of [
      [CLEAN, 'strict'],
      [CLEAN, 'ignore'],
      [DIRTY, 'honour'],
    ] as const) {
      const { memory, disk } = await open(shape, policy);
      const expected = contentOf(shape);
      await disk.write(pattern(100, 9), 2000);
      expected.set(pattern(100, 9), 2000);
      expect(await disk.readBytes(0, 8192)).toEqual(expected);
      await disk.close();
      const again = await openVhdStorage(new MemoryStorage(memory.toBytes()));
      expect(await again.readBytes(0, 8192)).toEqual(expected);
    }
  });

  it('writes zeros over old bytes, durably, before it sets their bits', async () => {
    const { probe, disk } = await open(DIRTY, 'honour');
    await disk.write(pattern(10, 9), 512);
    await disk.flush();
    expect(probe.changes()).toEqual([
      `write ${DATA_AT}+512`,
      `write ${DATA_AT + 1024}+3072`,
      'flush',
      `write ${BITMAP_AT}+512`,
      'flush',
      `write ${DATA_AT + 512}+10`,
      'flush',
    ]);
    await disk.close();
  });

  it('keeps the old bytes for who ignores the bitmap', async () => {
    const { disk } = await open(DIRTY, 'ignore');
    await disk.write(Uint8Array.of(1), 0);
    await disk.flush();
    expect((await disk.readBytes(0, 4096)).subarray(1)).toEqual(pattern(4096, 4).subarray(1));
  });

  it('is refused, and changes nothing, where bytes contradict the bits', async () => {
    const { memory, disk } = await open(DIRTY);
    await expect(disk.write(pattern(4096), 0)).rejects.toMatchObject({ code: 'ERR_VHD_BITMAP' });
    await disk.write(pattern(512, 8), 4096);
    expect(await disk.readBytes(4096, 512)).toEqual(pattern(512, 8));
    await disk.flush();
    expect(memory.toBytes().subarray(BITMAP_AT, DATA_AT + 4096)).toEqual(
      buildImage(DIRTY).subarray(BITMAP_AT, DATA_AT + 4096),
    );
    await disk.close();
  });

  it('waits for one that has begun', async () => {
    const { probe, disk } = await open(CLEAN);
    await Promise.all([disk.write(pattern(10, 1), 0), disk.write(pattern(10, 2), 20), disk.write(pattern(10, 3), 40)]);
    await disk.flush();
    expect(probe.changes().filter((change) => change === `write ${BITMAP_AT}+512`)).toHaveLength(1);
    expect(await disk.readBytes(20, 10)).toEqual(pattern(10, 2));
    await disk.close();
  });

  it('does not write behind the disk where its last block is cut short', async () => {
    const shape: ImageShape = {
      size: 4096 + 1024,
      blockSize: 4096,
      blocks: [{ index: 1, data: pattern(1024, 6), sectors: [1], storedBytes: 1024 }],
    };
    const image = buildImage(shape);
    const { memory, disk } = await open(shape, 'honour');
    await disk.write(pattern(10, 9), 4096 + 512);
    await disk.flush();
    expect(firstDifference(memory.toBytes().subarray(-512), image.subarray(-512)), 'footer at the end').toBe(-1);
    expect(memory.toBytes()).toHaveLength(image.length);
    await disk.close();
  });
});

describe('a read while another write fills the bitmap', () => {
  it('sees zeros under the bits that were clear when it read', async () => {
    const { probe, disk } = await open(DIRTY, 'honour');
    const held = gate();
    probe.after = (call) => (call.kind === 'read' && call.position === DATA_AT + 3072 ? held.opened : undefined);
    const target = new Uint8Array(512).fill(0xdd);
    const read = disk.read(target, 3072);
    await turns();
    await disk.write(pattern(10, 9), 0);
    await disk.flush();
    held.open();
    await read;
    expect(target).toEqual(new Uint8Array(512));
    await disk.close();
  });
});

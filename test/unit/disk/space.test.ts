import { describe, expect, it } from 'vitest';
import { createVhdStorage } from '../../../src/disk/create-storage.ts';
import { openVhdStorage } from '../../../src/disk/open-storage.ts';
import { BlockSpace } from '../../../src/disk/space.ts';
import { blockLayout } from '../../../src/format/layout.ts';
import { MemoryStorage } from '../../../src/storage/memory.ts';
import { buildImage } from '../../support/build-image.ts';
import { pattern } from '../../support/bytes.ts';
import { gate, ProbeStorage, turns } from '../../support/probe-storage.ts';

const LAYOUT = blockLayout(4096, 'packed');
const STRIDE = 4608;

describe('BlockSpace', () => {
  it('hands out one place behind the other', () => {
    const space = new BlockSpace(LAYOUT, 2048, 4096, 'x');
    expect(space.take()).toEqual({ offset: 2048, isVirgin: false });
    expect(space.take()).toEqual({ offset: 2048 + STRIDE, isVirgin: true });
  });

  it('does not hand out what is in quarantine', () => {
    const space = new BlockSpace(LAYOUT, 2048, 0, 'x');
    const { offset } = space.take();
    space.quarantine(offset);
    expect(space.take().offset).not.toBe(offset);
    const taken = space.takeQuarantined();
    expect(taken).toEqual([offset]);
    expect(space.take().offset).not.toBe(offset);
    space.release(taken);
    expect(space.take()).toEqual({ offset, isVirgin: false });
  });

  it('hands out the lowest free place first, and what is given back at once', () => {
    const space = new BlockSpace(LAYOUT, 0, 0, 'x');
    const offsets = [0, 1, 2].map(() => space.take().offset);
    space.release(offsets.slice(1).reverse());
    space.giveBack(offsets[0] ?? -1);
    expect([0, 1, 2].map(() => space.take())).toEqual(offsets.map((offset) => ({ offset, isVirgin: false })));
  });

  it('knows the last sector number that 32 bits hold', () => {
    const last = 0xffff_fffe * 512;
    expect(new BlockSpace(LAYOUT, last, 0, 'x').take().offset).toBe(last);
    const full = new BlockSpace(LAYOUT, last + 512, 0, 'x');
    expect(() => full.take()).toThrow(expect.objectContaining({ code: 'ERR_VHD_LIMIT', storage: 'x' }));
    expect(() => full.take()).toThrow(expect.objectContaining({ code: 'ERR_VHD_LIMIT' }));
  });
});

async function openSmall() {
  const memory = new MemoryStorage(buildImage({ size: 10 * 4096, blockSize: 4096 }));
  const probe = new ProbeStorage(memory);
  return { memory, probe, disk: await openVhdStorage(probe, { writable: true }) };
}

/** Where the block that is written now goes: the position of its first write. */
async function placeOfWrite(
  { probe, disk }: Awaited<ReturnType<typeof openSmall>>,
  blockIndex: number,
): Promise<number | undefined> {
  const before = probe.calls.length;
  await disk.write(pattern(4096, blockIndex + 1), blockIndex * 4096);
  return probe.calls.slice(before).find((call) => call.kind === 'write' && call.length === STRIDE)?.position;
}

describe('the place of a freed block', () => {
  it('is not reused before a flush', async () => {
    const image = await openSmall();
    const place = await placeOfWrite(image, 0);
    await image.disk.flush();
    await image.disk.discard(0, 4096);
    expect(await placeOfWrite(image, 1)).not.toBe(place);
    await image.disk.flush();
    expect(await placeOfWrite(image, 2)).toBe(place);
    await image.disk.close();
  });

  it('is not reused by a flush that began before it was freed', async () => {
    const image = await openSmall();
    const place = await placeOfWrite(image, 0);
    await placeOfWrite(image, 1);
    const held = gate();
    image.probe.before = (call) => (call.kind === 'flush' ? held.opened : undefined);
    const flush = image.disk.flush();
    await turns();
    await image.disk.discard(0, 4096);
    held.open();
    await flush;
    expect(await placeOfWrite(image, 2)).not.toBe(place);
    await image.disk.flush();
    expect(await placeOfWrite(image, 3)).toBe(place);
    await image.disk.close();
  });

  it('is not reused while the flush that covers the free is under way', async () => {
    const image = await openSmall();
    const place = await placeOfWrite(image, 0);
    await image.disk.flush();
    await image.disk.discard(0, 4096);
    const held = gate();
    let flushes = 0;
    image.probe.before = (call) => (call.kind === 'flush' && ++flushes === 2 ? held.opened : undefined);
    const flush = image.disk.flush();
    await turns();
    expect(await placeOfWrite(image, 1)).not.toBe(place);
    held.open();
    await flush;
    expect(await placeOfWrite(image, 2)).toBe(place);
    await image.disk.close();
  });

  it('shows none of its old bytes to the next block', async () => {
    const { disk } = await openSmall();
    await disk.write(pattern(4096, 1), 0);
    await disk.flush();
    await disk.discard(0, 4096);
    await disk.flush();
    await disk.write(Uint8Array.of(7), 4096 + 2000);
    const expected = new Uint8Array(4096);
    expected[2000] = 7;
    expect(await disk.readBytes(4096, 4096)).toEqual(expected);
    await disk.close();
  });
});

describe('room that is not of this opening', () => {
  it('shows none of its old bytes', async () => {
    const image = buildImage({ size: 10 * 4096, blockSize: 4096, slackBytes: 20_480 });
    image.fill(0xee, 2048, image.length - 512);
    const disk = await openVhdStorage(new MemoryStorage(image), { writable: true });
    for (let blockIndex = 0; blockIndex < 10; blockIndex++) {
      await disk.write(Uint8Array.of(7), blockIndex * 4096 + 4000);
    }
    const expected = new Uint8Array(10 * 4096);
    for (let blockIndex = 0; blockIndex < 10; blockIndex++) expected[blockIndex * 4096 + 4000] = 7;
    expect(await disk.readBytes(0, 10 * 4096)).toEqual(expected);
    await disk.close();
  });
});

describe('a new image', () => {
  it('puts its blocks where Windows does, and its footer behind the last', async () => {
    const memory = new MemoryStorage();
    const disk = await createVhdStorage(memory, { size: 40 * 2 ** 20 });
    expect(memory.toBytes()).toHaveLength(8192);
    await disk.write(Uint8Array.of(1), 0);
    await disk.write(Uint8Array.of(1), 2 ** 21);
    await disk.close();
    const bytes = memory.toBytes();
    const view = new DataView(bytes.buffer);
    expect([view.getUint32(1536), view.getUint32(1540), view.getUint32(1544)]).toEqual([15, 15 + 4104, 0xffff_ffff]);
    expect(bytes).toHaveLength((15 + 2 * 4104 + 1) * 512);
    expect(bytes.subarray(-512)).toEqual(bytes.subarray(0, 512));
  });
});

// The batmap of blktap goes with a table that gets another length, and says no more than it did.
import { describe, expect, it } from 'vitest';
import { batmapByteLength, movedBatmap, readBatmap } from '../../../src/disk/batmap.ts';
import { examine, type SoundExamination } from '../../../src/disk/recognise.ts';
import { batByteLength } from '../../../src/format/layout.ts';
import { checkBatmap } from '../../../src/ops/check-batmap.ts';
import { MemoryStorage } from '../../../src/storage/memory.ts';
import { baseOf } from '../../support/defects-bases.ts';
import { resizeStorage } from '../../support/resizing.ts';

/** Blocks that the batmap of an image says are full; undefined if there is none. */
async function fullBlocks(storage: MemoryStorage): Promise<readonly number[] | undefined> {
  const { header, endFooterOffset, ...image } = (await examine(storage)) as SoundExamination;
  if (header === undefined) throw new Error('it has a header');
  const batmap = await readBatmap(storage, header, endFooterOffset ?? 0);
  if (batmap === undefined) return undefined;
  expect(batmap.offset).toBe(header.tableOffset + batByteLength(header.maxTableEntries));
  expect(await checkBatmap(storage, { ...image, header, endFooterOffset }, header)).toEqual([]);
  const bits = [...batmap.map].flatMap((byte, index) =>
    [0, 1, 2, 3, 4, 5, 6, 7].filter((bit) => (byte & (0x80 >> bit)) !== 0).map((bit) => index * 8 + bit),
  );
  return bits;
}

async function blockSizeOf(storage: MemoryStorage): Promise<number> {
  return (await examine(storage)).header?.blockSize ?? 0;
}

describe('a batmap', () => {
  it('moves behind a table that moved, and stays with one that got shorter', async () => {
    const storage = new MemoryStorage(Uint8Array.from(baseOf('batmap').image));
    const before = await fullBlocks(storage);
    const blockSize = await blockSizeOf(storage);
    expect(before?.length).toBeGreaterThan(1);
    await resizeStorage(storage, { size: 5000 * blockSize });
    expect(await fullBlocks(storage)).toEqual(before);
    const [first = 0] = [...(before ?? [])].sort((one, other) => one - other);
    await resizeStorage(storage, { size: (first + 1) * blockSize - 512 });
    expect(await fullBlocks(storage)).toEqual([first]);
    // What was said of blocks that are gone is not said of those that come in their place.
    await resizeStorage(storage, { size: 100 * blockSize });
    expect(await fullBlocks(storage)).toEqual([first]);
  });

  it('that lies where it cannot claims nothing', async () => {
    const image = Uint8Array.from(baseOf('batmap').image);
    new DataView(image.buffer).setBigUint64(2048 + 8, 2n ** 40n);
    const storage = new MemoryStorage(image);
    await resizeStorage(storage, { size: 5000 * (await blockSizeOf(storage)) });
    expect(await fullBlocks(storage)).toEqual([]);
  });

  it('of version 1.1 has its checksum over signed bytes', () => {
    const head = new Uint8Array(512);
    new DataView(head.buffer).setUint32(20, 0x0001_0001);
    const map = Uint8Array.of(0xff, 0x01);
    const batmap = { offset: 0, head, mapOffset: 512, byteLength: 2, isPlaced: true, map };
    const { bytes } = movedBatmap(batmap, 4096, { oldCount: 16, entryCount: 20 });
    expect(bytes.length).toBe(batmapByteLength(20));
    const view = new DataView(bytes.buffer);
    expect([view.getBigUint64(8), view.getUint32(16), view.getUint32(24)]).toEqual([4608n, 1, ~0 >>> 0]);
    expect([...bytes.subarray(512, 515)]).toEqual([0xff, 0x01, 0]);
  });
});

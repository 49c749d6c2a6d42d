// A child that was cut in front of the names of its parent can still be written to, and read afterwards.
import { describe, expect, it } from 'vitest';
import { openVhdStorage } from '../../../src/disk/open-storage.ts';
import { MemoryStorage } from '../../../src/storage/memory.ts';
import { buildImage, type ImageShape } from '../../support/build-image.ts';
import { pattern } from '../../support/bytes.ts';
import { rawDisk } from '../../support/streams-disks.ts';

const size = 64 * 1024;
const shape: ImageShape = {
  ...{ size, blockSize: 4096, blocksFrom: 8192 },
  parent: { uniqueId: new Uint8Array(16), locators: [{ platformCode: 'W2ru', bytes: pattern(600), offset: 3000 }] },
};

describe('a child that ends before the names of its parent', () => {
  it('puts no new block over them', async () => {
    const storage = new MemoryStorage(buildImage(shape).slice(0, 2048));
    const written = await openVhdStorage(storage, { writable: true, parent: rawDisk(new Uint8Array(size), true) });
    await written.write(pattern(5000, 2), 100);
    await written.close();
    const again = new MemoryStorage(storage.toBytes());
    const disk = await openVhdStorage(again, { parent: rawDisk(new Uint8Array(size), true) });
    expect(await disk.readBytes(100, 5000)).toEqual(pattern(5000, 2));
  });
});

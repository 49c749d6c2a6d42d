import { describe, expect, it } from 'vitest';
import { identifyFileSystem } from '../../../src/inspect/file-systems.ts';
import { listPartitions } from '../../../src/inspect/partitions.ts';
import { superblockImages } from '../../support/superblocks.ts';
import { bootRecord, CountingDisk } from '../../support/tables.ts';

const images = superblockImages().map((image) => [image.name, image] as const);

describe('identifyFileSystem', () => {
  it.each(images)('knows %s, in three reads', async (_name, image) => {
    const disk = new CountingDisk(image.bytes);
    const expected = { version: null, label: null, uuid: null, ...image.expected };
    expect(await identifyFileSystem(disk, 0, disk.size)).toEqual(expected);
    expect(disk.readCount).toBeLessThanOrEqual(3);
    expect(disk.byteCount).toBeLessThanOrEqual(200 * 1024);
  });

  it.each(images)('knows %s in a part of a disk', async (_name, { bytes, expected }) => {
    const disk = new Uint8Array(bytes.length + 70_000).fill(0xee);
    disk.set(bytes, 33_792);
    expect(await identifyFileSystem(new CountingDisk(disk), 33_792, bytes.length)).toMatchObject(expected);
  });

  it('finds nothing in zeros, in nothing and in less than a sector', async () => {
    for (const size of [0, 1, 511, 100_000]) {
      expect(await identifyFileSystem(new CountingDisk(new Uint8Array(size)), 0, size)).toBeNull();
    }
  });

  it('rejects where damage hides what could be there, and only there', async () => {
    const { bytes, expected } = images.find(([name]) => name === 'mdraid 1.2')![1];
    const damaged = new CountingDisk(bytes, [[0, 1]]);
    await expect(identifyFileSystem(damaged, 0, bytes.length)).rejects.toMatchObject({ code: 'ERR_VHD_CORRUPT' });
    const partly = new CountingDisk(bytes, [[20_000, 20_001]]);
    await expect(identifyFileSystem(partly, 0, bytes.length)).rejects.toMatchObject({ code: 'ERR_VHD_CORRUPT' });
    const elsewhere = new CountingDisk(bytes, [[500_000, 600_000]]);
    expect(await identifyFileSystem(elsewhere, 0, bytes.length)).toMatchObject(expected);
  });

  it('refuses a part that is not on the disk', async () => {
    await expect(identifyFileSystem(new CountingDisk(new Uint8Array(10)), 5, 6)).rejects.toThrow(RangeError);
  });
});

describe('a disk without a table', () => {
  it.each(images)('that is all %s is none with a table', async (_name, { bytes, expected }) => {
    const contents = await listPartitions(new CountingDisk(bytes));
    expect(contents).toMatchObject({ scheme: 'none', diskId: null, partitions: [], fileSystem: expected });
  });

  it('is one with a table where the MBR lists partitions too', async () => {
    const disk = new Uint8Array(1024 * 1024);
    disk.set(bootRecord([{ type: 0x83, start: 64, count: 100 }]));
    const { bytes } = images.find(([name]) => name === 'jfs')![1];
    disk.set(bytes.subarray(32_768, 33_792), 32_768);
    expect(await listPartitions(new CountingDisk(disk))).toMatchObject({ scheme: 'mbr', fileSystem: null });
  });
});

import { describe, expect, it } from 'vitest';
import { FlatDisk } from '../../../src/disk/flat.ts';
import { hashDisk } from '../../../src/ops/hash.ts';
import { sha256OfDisk } from '../../../src/ops/hash-plain.ts';
import { verifyDisk } from '../../../src/ops/verify.ts';
import { MemoryStorage } from '../../../src/storage/memory.ts';
import { pattern } from '../../support/bytes.ts';
import { partitionedDisk } from '../../support/partitioned-disk.ts';

const MiB = 1024 ** 2;
const BLOCK = 2 * MiB;

const diskOf = (bytes: Uint8Array) => new FlatDisk(new MemoryStorage(bytes), bytes.length, true);
const original = partitionedDisk();
const manifest = await hashDisk(diskOf(original));

function changed(change: (bytes: Uint8Array) => void, source = original): FlatDisk {
  const bytes = source.slice();
  change(bytes);
  return diskOf(bytes);
}

describe('a disk held against its manifest', () => {
  it('is as it was', async () => {
    expect(await verifyDisk(diskOf(original), manifest)).toEqual({
      ...{ ok: true, virtualSize: 16 * MiB, expectedSize: 16 * MiB, blockSize: BLOCK },
      ...{ changedBytes: 0, ranges: [], partitions: [] },
    });
  });

  it.each([
    [2 * MiB, 2 * MiB, [1]],
    [4 * MiB - 1, 2 * MiB, [1]],
    [9 * MiB, 8 * MiB, [2]],
    [16 * MiB - 1, 14 * MiB, [2]],
    [6 * MiB, 6 * MiB, []],
    // The block that the table is in holds the beginning of the first partition too.
    [300, 0, [1]],
  ])('has a byte changed at %d: the block at %d and partitions %j', async (position, start, numbers) => {
    const disk = changed((bytes) => (bytes[position] = (bytes[position] ?? 0) ^ 1));
    const found = await verifyDisk(disk, manifest);
    expect(found).toMatchObject({ ok: false, changedBytes: BLOCK, ranges: [{ start, length: BLOCK }] });
    expect(found.partitions?.map(({ number }) => number)).toEqual(numbers);
  });

  it('tells how much of a partition changed, and joins what touches', async () => {
    const disk = changed((bytes) =>
      bytes
        .fill(9, 3 * MiB, 5 * MiB)
        .fill(0, 8 * MiB, 10 * MiB)
        .fill(1, 12 * MiB, 12 * MiB + 1),
    );
    const { ranges, partitions, changedBytes } = await verifyDisk(disk, manifest);
    expect(ranges).toEqual([
      { start: 2 * MiB, length: 4 * MiB },
      { start: 8 * MiB, length: 2 * MiB },
      { start: 12 * MiB, length: 2 * MiB },
    ]);
    expect(changedBytes).toBe(8 * MiB);
    expect(partitions).toMatchObject([
      { number: 1, start: MiB, length: 4 * MiB, type: '0x0c', changedBytes: 3 * MiB },
      { number: 2, start: 8 * MiB, length: 8 * MiB, type: '0x83', changedBytes: 4 * MiB },
    ]);
  });

  it('of another size is an answer, with what is shared', async () => {
    const longer = new Uint8Array(17 * MiB);
    longer.set(original);
    const shared = { ok: false, expectedSize: 16 * MiB, changedBytes: 0, ranges: [], partitions: [] };
    expect(await verifyDisk(diskOf(longer), manifest)).toMatchObject({ ...shared, virtualSize: 17 * MiB });
    // The last MiB is zero, so as far as it goes nothing is lost.
    const cut = original.slice(0, 15 * MiB + 512);
    expect(await verifyDisk(diskOf(cut), manifest)).toMatchObject({ ...shared, virtualSize: 15 * MiB + 512 });
    expect(await verifyDisk(diskOf(original.slice(0, 9 * MiB)), manifest)).toMatchObject({
      ok: false,
      ranges: [{ start: 8 * MiB, length: BLOCK }],
    });
    expect(await verifyDisk(diskOf(original.slice(0, 256)), manifest)).toMatchObject({
      ok: false,
      ranges: [
        { start: 0, length: BLOCK },
        { start: 8 * MiB, length: BLOCK },
      ],
    });
  });

  it('has a short last block', async () => {
    const source = pattern(5 * MiB + 512);
    const short = await hashDisk(diskOf(source));
    const disk = changed((bytes) => (bytes[source.length - 1] = 0), source);
    expect(await verifyDisk(disk, short)).toMatchObject({ ranges: [{ start: 4 * MiB, length: MiB + 512 }] });
  });

  it('is only right or wrong by the hash of all its bytes', async () => {
    const sha256 = await sha256OfDisk(diskOf(original));
    const nothing = { expectedSize: null, blockSize: null, changedBytes: null, ranges: null, partitions: null };
    expect(await verifyDisk(diskOf(original), { sha256 })).toEqual({ ok: true, virtualSize: 16 * MiB, ...nothing });
    const other = changed((bytes) => (bytes[7] = 7));
    expect(await verifyDisk(other, { sha256 })).toEqual({ ok: false, virtualSize: 16 * MiB, ...nothing });
  });

  it('knows its options', async () => {
    await expect(verifyDisk(diskOf(original), manifest, { x: 1 } as object)).rejects.toThrow("unknown option 'x'");
  });
});

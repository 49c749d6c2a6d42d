import { describe, expect, it } from 'vitest';
import { createVhdStorage } from '../../../src/disk/create-storage.ts';
import { FlatDisk } from '../../../src/disk/flat.ts';
import { openVhdStorage } from '../../../src/disk/open-storage.ts';
import { planGptMove } from '../../../src/inspect/gpt-move.ts';
import { type MeasuredDisk, minimumSize } from '../../../src/inspect/minimum-size.ts';
import { listPartitions } from '../../../src/inspect/partitions.ts';
import { MemoryStorage } from '../../../src/storage/memory.ts';
import { buildImage } from '../../support/build-image.ts';
import { pattern } from '../../support/bytes.ts';
import { bootRecord, gptDisk, LINUX } from '../../support/tables.ts';

const KiB = 1024;
const MiB = 1024 * KiB;
const diskOf = (bytes: Uint8Array) => new FlatDisk(new MemoryStorage(bytes), bytes.length, true);

async function minimumOf(disk: MeasuredDisk): Promise<number> {
  return minimumSize(disk, await listPartitions(disk));
}

async function isMovable(bytes: Uint8Array, newSize: number): Promise<boolean> {
  const read = async (target: Uint8Array, position: number): Promise<void> => {
    target.set(bytes.subarray(position, position + target.length));
  };
  return planGptMove(read, bytes.length, newSize).then(
    () => true,
    () => false,
  );
}

describe('the smallest size of a disk', () => {
  it('with an MBR is the end of the last partition', async () => {
    const bytes = new Uint8Array(16 * MiB);
    bytes.set(
      bootRecord([
        { type: 0x83, start: 8192, count: 2048 },
        { type: 0x83, start: 2048, count: 4096 },
      ]),
    );
    bytes.fill(1, 12 * MiB);
    expect(await minimumOf(diskOf(bytes))).toBe(5 * MiB);
  });

  it('is never more than the disk has, also where a partition reaches past its end', async () => {
    const bytes = new Uint8Array(4 * MiB);
    bytes.set(bootRecord([{ type: 0x83, start: 2048, count: 1_000_000 }]));
    expect(await minimumOf(diskOf(bytes))).toBe(4 * MiB);
  });

  it.each([512, 4096])('with a GPT for sectors of %d has room for the backup behind that', async (sectorBytes) => {
    const [first, last] = [MiB / sectorBytes, (3 * MiB) / sectorBytes - 1];
    const sectorCount = (16 * MiB) / sectorBytes;
    const bytes = gptDisk({ sectorCount, sectorBytes, entries: [{ type: LINUX, first, last }] });
    const found = await minimumOf(diskOf(bytes));
    expect(found).toBe(3 * MiB + 16 * KiB + sectorBytes);
    if (sectorBytes === 4096) return;
    expect(await isMovable(bytes, found)).toBe(true);
    expect(await isMovable(bytes, found - 512)).toBe(false);
  });

  it('with a GPT of very many entries has room for all of them', async () => {
    const entries = [{ type: LINUX, first: 2048, last: 4095 }];
    const bytes = gptDisk({ sectorCount: 32_768, entries, entryCount: 512 });
    const found = await minimumOf(diskOf(bytes));
    expect(found).toBe(2 * MiB + 64 * KiB + 512);
    expect([await isMovable(bytes, found), await isMovable(bytes, found - 512)]).toEqual([true, false]);
  });

  it('with a GPT without partitions is what the GPT needs', async () => {
    const bytes = gptDisk({ sectorCount: 32_768 });
    expect(await minimumOf(diskOf(bytes))).toBe((34 + 33) * 512);
  });

  it('with a GPT of which only the backup is left keeps the least room', async () => {
    const bytes = gptDisk({ sectorCount: 32_768, entries: [{ type: LINUX, first: 2048, last: 4095 }] });
    bytes.fill(0, 512, 1024);
    expect(await minimumOf(diskOf(bytes))).toBe(2 * MiB + 16 * KiB + 512);
  });

  it.each([
    { sectorBytes: 512, entryCount: 512, found: 2 * MiB + 64 * KiB + 512 },
    { sectorBytes: 4096, entryCount: 128, found: 2 * MiB + 16 * KiB + 4096 },
  ])('with the backup alone of $entryCount entries, sectors of $sectorBytes, has room for it', async (shape) => {
    const { sectorBytes, entryCount, found } = shape;
    const entries = [{ type: LINUX, first: MiB / sectorBytes, last: (2 * MiB) / sectorBytes - 1 }];
    const bytes = gptDisk({ sectorCount: (16 * MiB) / sectorBytes, sectorBytes, entries, entryCount });
    bytes.fill(0, sectorBytes, sectorBytes * 2);
    expect(await minimumOf(diskOf(bytes))).toBe(found);
  });

  it('with a GPT that cannot be read is all of the disk', async () => {
    const entries = [{ type: LINUX, first: 2048, last: 4095 }];
    const noHeader = gptDisk({ sectorCount: 8192, entries });
    for (const lba of [1, 8191]) noHeader.fill(1, lba * 512 + 40, lba * 512 + 48);
    const noEntries = gptDisk({ sectorCount: 8192, entries });
    for (const lba of [2, 8191 - 32]) noEntries.fill(1, lba * 512, lba * 512 + 16);
    for (const bytes of [noHeader, noEntries]) expect(await minimumOf(diskOf(bytes))).toBe(4 * MiB);
  });

  it('without table and file system is the end of what is stored', async () => {
    const blocks = [{ index: 5, data: pattern(4 * KiB) }];
    const bytes = buildImage({ size: 40 * 4 * KiB, blockSize: 4 * KiB, blocks });
    await using disk = await openVhdStorage(new MemoryStorage(bytes));
    expect(await minimumOf(disk)).toBe(24 * KiB);
    expect(await minimumOf(diskOf(pattern(64 * KiB)))).toBe(64 * KiB);
  });

  it('of an empty disk is one sector, also of the largest', async () => {
    await using disk = await createVhdStorage(new MemoryStorage(), { size: 2040 * 1024 * MiB, type: 'dynamic' });
    expect(await minimumOf(disk)).toBe(512);
    await disk.write(Uint8Array.of(1), 5 * MiB);
    await disk.flush();
    expect(await minimumOf(disk)).toBe(6 * MiB);
  });

  it('of a file system that does not tell its own is all of the disk', async () => {
    const bytes = new Uint8Array(8 * MiB);
    bytes.set(Buffer.from('LUKS\xba\xbe\0\x01', 'latin1'));
    const contents = await listPartitions(diskOf(bytes));
    expect(contents.fileSystem?.type).toBe('crypto_LUKS');
    expect(await minimumSize(diskOf(bytes), contents)).toBe(8 * MiB);
  });
});

import { describe, expect, it } from 'vitest';
import type { Patch } from '../../../src/disk/overlay.ts';
import { type GptMoveOptions, planGptMove } from '../../../src/inspect/gpt-move.ts';
import { listPartitions } from '../../../src/inspect/partitions.ts';
import { numberFromEnv, Random } from '../../support/seed.ts';
import { bootRecord, CountingDisk, gptDisk, LINUX, resealHeader } from '../../support/tables.ts';

const SECTORS = 4096;
const SIZE = SECTORS * 512;
const ENTRIES = [
  { type: LINUX, first: 2048, last: 3071, name: 'one' },
  { type: LINUX, first: 3072, last: SECTORS - 34, name: 'to the end' },
];

function plan(disk: Uint8Array, newSize: number, options?: GptMoveOptions): Promise<readonly Patch[] | undefined> {
  const source = new CountingDisk(disk);
  return planGptMove((target, position) => source.read(target, position), disk.length, newSize, options);
}

function sound(): Uint8Array {
  return gptDisk({ sectorCount: SECTORS, entries: ENTRIES });
}

function changed(change: (disk: Uint8Array) => void): Uint8Array {
  const disk = sound();
  change(disk);
  return disk;
}

/** The disk with its new size and contents. */
async function moved(disk: Uint8Array, newSize: number): Promise<Uint8Array> {
  const target = new Uint8Array(newSize);
  target.set(disk.subarray(0, newSize));
  for (const { position, bytes } of (await plan(disk, newSize)) ?? []) target.set(bytes, position);
  return target;
}

describe('planGptMove', () => {
  it('makes what a GPT of the new size is', async () => {
    for (const newSectors of [SECTORS + 1, SECTORS + 33, SECTORS + 34, 9999]) {
      const wanted = gptDisk({ sectorCount: newSectors, entries: ENTRIES });
      const target = await moved(sound(), newSectors * 512);
      // The end of the protective entry in cylinders, heads and sectors is not in the disk made by hand.
      target.fill(0, 446 + 5, 446 + 8);
      expect(Buffer.compare(target, wanted)).toBe(0);
    }
  });

  it('reads 24 KiB in two reads, and nothing at the end', async () => {
    const source = new CountingDisk(sound().subarray(0, 64 * 1024));
    await planGptMove((target, position) => source.read(target, position), SIZE, SIZE * 2);
    expect([source.readCount, source.byteCount]).toEqual([2, 8192 + 16_384]);
  });

  it('has nothing to do where the backup is at the end, and nothing to say of other disks', async () => {
    expect(await plan(sound(), SIZE)).toEqual([]);
    expect(await plan(sound(), SIZE + 511)).toEqual([]);
    expect(await plan(new Uint8Array(SIZE), SIZE * 2)).toBeUndefined();
    expect(await plan(new Uint8Array(512), SIZE * 2)).toBeUndefined();
    const mbr = bootRecord([{ type: 0x83, start: 63, count: 100 }]);
    expect(await plan(gptDisk({ sectorCount: SECTORS, entries: ENTRIES, mbr }), SIZE * 2)).toBeUndefined();
  });

  it.each<[string, number, number, number]>([
    ['of the whole disk', 1, SECTORS - 1, 9999 - 1],
    ['of as much as fits', 1, 0xffff_ffff, 9999 - 1],
    ['of a part', 1, 2047, 2047],
    ['that begins elsewhere', 100, SECTORS - 100, SECTORS - 100],
  ])('lets a protective entry %s be what it stands for', async (_what, start, count, wanted) => {
    const mbr = bootRecord([{ type: 0xee, start, count }]);
    const target = await moved(gptDisk({ sectorCount: SECTORS, entries: ENTRIES, mbr }), 9999 * 512);
    expect(new DataView(target.buffer).getUint32(446 + 12, true)).toBe(wanted);
    expect((await listPartitions(new CountingDisk(target))).findings).toEqual([]);
  });

  it('writes the backup of a disk that was cut short and grows to what it was', async () => {
    const disk = gptDisk({ sectorCount: SECTORS, entries: ENTRIES.slice(0, 1) });
    for (const lost of [1, 2, 33, 34, 100]) {
      const cut = disk.subarray(0, SIZE - lost * 512);
      expect(Buffer.compare(await moved(cut, SIZE), disk)).toBe(0);
    }
  });

  it('refuses a disk that ends inside a partition', async () => {
    const error = { code: 'ERR_VHD_TRUNCATED', expected: `${(SECTORS - 33) * 512} bytes or more` };
    for (const newSize of [SIZE, SIZE * 2]) {
      await expect(plan(sound().subarray(0, SIZE - 34 * 512), newSize)).rejects.toMatchObject(error);
    }
    expect(await plan(sound().subarray(0, SIZE - 33 * 512), SIZE)).toHaveLength(1);
  });

  it('leaves a table that nothing is wrong with, whatever it was, and never writes into a partition', async () => {
    const runs = numberFromEnv('VHDKIT_RUNS', 150);
    const random = new Random(numberFromEnv('VHDKIT_SEED', 20_261_124));
    for (let run = 0; run < runs; run++) {
      const sectorCount = 4096 + random.below(300) + random.pick([0, 1, 33, 2048]);
      const entryCount = random.pick([128, 4, 56, 200]);
      const entryBytes = random.pick([128, 256]);
      const arraySectors = Math.ceil((entryCount * entryBytes) / 512);
      const first = 2 + arraySectors + random.below(100);
      const last = Math.min(first + random.below(4000), sectorCount - arraySectors - 2);
      const entries = [{ type: LINUX, first, last: Math.max(first, last) }];
      const disk = gptDisk({ sectorCount, entries, entryCount, entryBytes });
      const source = disk.subarray(0, disk.length - random.pick([0, 0, 1, arraySectors, arraySectors + 1]) * 512);
      const damaged = Uint8Array.from(source);
      if (random.oneIn(3)) damaged.fill(7, damaged.length - 600);
      const newSize = Math.max(source.length, disk.length) + random.pick([0, 0, 1, 20, 33, 5000]) * 512;
      const patches = (await plan(damaged, newSize, { checkBackup: true })) ?? [];
      const target = new Uint8Array(newSize);
      target.set(damaged);
      for (const { position, bytes } of patches) {
        expect(position >= (last + 1) * 512 || position + bytes.length <= first * 512).toBe(true);
        target.set(bytes, position);
      }
      const { findings, partitions } = await listPartitions(new CountingDisk(target));
      expect([run, findings, partitions.length]).toEqual([run, [], 1]);
    }
  });

  it('never writes into a partition that lies where the old backup is', async () => {
    // The header says that the last sectors are usable, and a partition takes them.
    const disk = gptDisk({
      sectorCount: SECTORS,
      entries: [{ type: LINUX, first: 2048, last: SECTORS - 1 }],
      fields: { 48: BigInt(SECTORS - 1) },
    });
    const patches = (await plan(disk, SIZE * 2)) ?? [];
    expect(patches.map(({ position }) => position)).toEqual([0, 512, SIZE * 2 - 33 * 512]);
  });

  it('shrinks to the last partition and the backup, and no further', async () => {
    const disk = gptDisk({ sectorCount: SECTORS, entries: ENTRIES.slice(0, 1) });
    const least = 3072 + 33;
    const target = await moved(disk, least * 512);
    expect((await listPartitions(new CountingDisk(target))).findings).toEqual([]);
    await expect(plan(disk, (least - 1) * 512)).rejects.toMatchObject({
      ...{ code: 'ERR_VHD_SIZE', expected: `${least * 512} bytes or more`, found: `${(least - 1) * 512} bytes` },
    });
  });

  it.each<[string, (disk: Uint8Array) => void, string, number, RegExp]>([
    ['header', (disk) => disk.fill(1, 600, 601), 'ERR_VHD_CORRUPT', 528, /checksum of the header does not match/],
    [
      'missing header',
      (disk) => disk.fill(0, 512, 1024),
      'ERR_VHD_CORRUPT',
      512,
      /no header of a GPT: expected 'EFI PART'/,
    ],
    ['entries', (disk) => disk.fill(1, 9000, 9001), 'ERR_VHD_CORRUPT', 1024, /checksum of the partition entries/],
    [
      'place of the entries',
      (disk) => {
        new DataView(disk.buffer).setBigUint64(512 + 72, 3000n, true);
        resealHeader(disk, 512);
      },
      'ERR_VHD_LIMIT',
      584,
      /too far from the start/,
    ],
  ])('refuses a broken %s', async (_what, change, code, offset, message) => {
    const refusal = plan(changed(change), SIZE * 2);
    await expect(refusal).rejects.toMatchObject({
      ...{ code, offset, storage: undefined, message: expect.stringMatching(message) as string },
      ...{ expected: expect.any(String) as string, found: expect.any(String) as string },
      remedy: expect.stringContaining('gdisk') as string,
    });
  });

  it('refuses one for sectors of 4096 bytes', async () => {
    const disk = gptDisk({ sectorCount: 512, sectorBytes: 4096, entries: [] });
    await expect(plan(disk, SIZE * 2)).rejects.toMatchObject({ code: 'ERR_VHD_UNSUPPORTED', found: 'one at 4096' });
  });

  it('checks the backup where it is asked to', async () => {
    const checkBackup = true;
    expect(await plan(sound(), SIZE, { checkBackup })).toEqual([]);
    const changes: ((disk: Uint8Array) => void)[] = [
      (disk) => disk.fill(0, SIZE - 512),
      (disk) => disk.fill(1, SIZE - 33 * 512, SIZE - 33 * 512 + 1),
      (disk) => {
        // Whole in itself, but of another disk.
        disk.fill(7, SIZE - 512 + 56, SIZE - 512 + 72);
        resealHeader(disk, SIZE - 512);
      },
    ];
    for (const change of changes) {
      const disk = changed(change);
      const patches = (await plan(disk, SIZE, { checkBackup })) ?? [];
      expect(patches).toHaveLength(1);
      for (const { position, bytes } of patches) disk.set(bytes, position);
      expect(Buffer.compare(disk, sound())).toBe(0);
    }
  });
});

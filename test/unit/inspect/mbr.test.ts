import { describe, expect, it } from 'vitest';
import type { DiskContents } from '../../../src/inspect/partition-table.ts';
import { listPartitions } from '../../../src/inspect/partitions.ts';
import { bootRecord, CountingDisk, type MbrEntrySpec } from '../../support/tables.ts';

const SECTORS = 4096;

/** A disk of 2 MiB with boot records at some sectors. */
function diskWith(records: Readonly<Record<number, Uint8Array>>): Uint8Array {
  const disk = new Uint8Array(SECTORS * 512);
  for (const [sector, record] of Object.entries(records)) disk.set(record, Number(sector) * 512);
  return disk;
}

function list(...entries: readonly (MbrEntrySpec | undefined)[]): Promise<DiskContents> {
  return listPartitions(new CountingDisk(diskWith({ 0: bootRecord(entries) })));
}

function places(contents: DiskContents): string[] {
  return contents.partitions.map((part) => `${part.number}: ${part.type} ${part.start / 512}+${part.length / 512}`);
}

function told(contents: DiskContents): string[] {
  return contents.findings.map(({ severity, message }) => `${severity}: ${message}`);
}

describe('an MBR', () => {
  it('is listed with slots as numbers', async () => {
    const contents = await list({ type: 0x83, start: 63, count: 100, flag: 0x80 }, undefined, {
      ...{ type: 0x07, start: 2048, count: 2048 },
    });
    expect(contents).toMatchObject({ scheme: 'mbr', diskId: '0x1234abcd', fileSystem: null, findings: [] });
    expect(contents.partitions).toEqual([
      {
        ...{ number: 1, start: 32_256, length: 51_200, type: '0x83', typeName: 'Linux filesystem', name: null },
        ...{ uuid: null, flags: ['active'], alignment: 512, fileSystem: null },
      },
      {
        ...{ number: 3, start: 1_048_576, length: 1_048_576, type: '0x07', typeName: 'NTFS or exFAT', name: null },
        ...{ uuid: null, flags: [], alignment: 1_048_576, fileSystem: null },
      },
    ]);
  });

  it('says what is wrong with places and flags', async () => {
    const contents = await list(
      { type: 0x83, start: 2048, count: 1024, flag: 0x80 },
      { type: 0x83, start: 3000, count: 72, flag: 0x80 },
      { type: 0x99, start: 4000, count: 97 },
    );
    expect(told(contents)).toEqual([
      'error: partition 3 reaches past the end of the disk: expected an end at 2097152 or before, found 2097664',
      'error: partitions 1 and 2 overlap: expected a start at 1572864 or after, found 1536000',
      'warning: partitions 1, 2 are all marked active: expected at most one',
    ]);
    expect(contents.partitions[2]).toMatchObject({ type: '0x99', typeName: null });
  });

  it('may be empty', async () => {
    expect(await list()).toMatchObject({ scheme: 'mbr', diskId: '0x1234abcd', partitions: [], findings: [] });
  });

  it.each<[string, (sector: Uint8Array) => void]>([
    ['no signature', (sector) => sector.fill(0, 510)],
    ['a boot flag that is none', (sector) => sector.fill(0x41, 446 + 16, 446 + 17)],
  ])('is none with %s', async (_what, change) => {
    const sector = bootRecord([{ type: 0x83, start: 63, count: 100 }]);
    change(sector);
    const contents = await listPartitions(new CountingDisk(diskWith({ 0: sector })));
    expect(contents).toEqual({ scheme: 'none', diskId: null, partitions: [], fileSystem: null, findings: [] });
  });
});

describe('an extended partition', () => {
  const extended = { type: 0x0f, start: 1000, count: 1000 };
  const linux = (start: number, count: number): MbrEntrySpec => ({ type: 0x83, start, count });
  const link = (start: number): MbrEntrySpec => ({ type: 0x05, start, count: 100 });
  const chain = (records: Readonly<Record<number, Uint8Array>>): Promise<DiskContents> =>
    listPartitions(new CountingDisk(diskWith({ 0: bootRecord([linux(63, 100), extended]), ...records })));

  it.each([0x05, 0x0f, 0x85])('of type %i holds logical partitions, counted from 5 on', async (type) => {
    const contents = await listPartitions(
      new CountingDisk(
        diskWith({
          0: bootRecord([linux(63, 100), { ...extended, type }]),
          1000: bootRecord([linux(63, 100), link(500)]),
          1500: bootRecord([linux(1, 10), link(600)]),
          1600: bootRecord([linux(2, 20)]),
        }),
      ),
    );
    expect(places(contents).slice(2)).toEqual(['5: 0x83 1063+100', '6: 0x83 1501+10', '7: 0x83 1602+20']);
    expect(contents.findings).toEqual([]);
  });

  it.each<[string, Readonly<Record<number, Uint8Array>>, number, RegExp]>([
    [
      'a record that points to itself',
      { 1000: bootRecord([linux(1, 10), link(0)]) },
      1,
      /runs in a circle.*found 1000 again/,
    ],
    [
      'two records that point to each other',
      { 1000: bootRecord([linux(1, 10), link(200)]), 1200: bootRecord([linux(1, 10), link(0)]) },
      2,
      /runs in a circle/,
    ],
    [
      'a link out of the partition',
      { 1000: bootRecord([linux(1, 10), link(1000)]) },
      1,
      /leaves its partition.*found 2000/,
    ],
    ['a link past 2 TiB', { 1000: bootRecord([linux(1, 10), link(0xffff_ffff)]) }, 1, /leaves its partition/],
    ['no record', {}, 0, /no signature: expected 0x55aa, found 0x0000/],
    ['a partition outside', { 1000: bootRecord([linux(500, 501)]) }, 1, /logical partition 5 is not inside/],
  ])('is guarded against %s', async (_what, records, count, message) => {
    const contents = await chain(records);
    expect(contents.partitions).toHaveLength(2 + count);
    expect(told(contents).join('\n')).toMatch(message);
  });

  it('ends after 256 records', async () => {
    const records: Record<number, Uint8Array> = {};
    for (let sector = 1000; sector < 1400; sector++) records[sector] = bootRecord([linux(500, 1), link(sector - 999)]);
    const disk = new CountingDisk(diskWith({ 0: bootRecord([extended]), ...records }));
    const contents = await listPartitions(disk);
    expect(contents.partitions).toHaveLength(1 + 256);
    expect(told(contents).join('\n')).toMatch(/too many logical partitions: expected at most 256/);
    expect(disk.readCount).toBeLessThan(257 + 257 * 4);
    expect(contents.findings.length).toBeLessThanOrEqual(101);
  });

  it('is listed as far as it can be read', async () => {
    const bytes = diskWith({ 0: bootRecord([extended]), 1000: bootRecord([linux(1, 10), link(200)]) });
    const contents = await listPartitions(new CountingDisk(bytes, [[1200 * 512, 1300 * 512]]));
    expect(places(contents)).toEqual(['1: 0x0f 1000+1000', '5: 0x83 1001+10']);
    expect(told(contents)).toContain('error: the disk cannot be read: block at 614400 is damaged');
  });
});

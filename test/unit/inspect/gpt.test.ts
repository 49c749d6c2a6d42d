import { describe, expect, it } from 'vitest';
import type { DiskContents } from '../../../src/inspect/partition-table.ts';
import { listPartitions } from '../../../src/inspect/partitions.ts';
import { BASIC_DATA, bootRecord, CountingDisk, gptDisk, LINUX, resealHeader } from '../../support/tables.ts';

const SECTORS = 4096;
const ONE = [{ type: LINUX, first: 2048, last: 3071, name: 'root' }];

function list(bytes: Uint8Array, damaged: readonly (readonly [number, number])[] = []): Promise<DiskContents> {
  return listPartitions(new CountingDisk(bytes, damaged));
}

function told(contents: DiskContents): string[] {
  return contents.findings.map(({ severity, message, offset }) => `${severity} at ${offset}: ${message}`);
}

/** A disk with one partition, and something done to it. */
function changed(change: (disk: Uint8Array) => void): Uint8Array {
  const disk = gptDisk({ sectorCount: SECTORS, entries: ONE });
  change(disk);
  return disk;
}

describe('a GPT', () => {
  it('is listed with names, identifiers and flags', async () => {
    const contents = await list(
      gptDisk({
        sectorCount: SECTORS,
        entries: [
          { type: LINUX, first: 40, last: 47, name: 'first \u001b[2J', attributes: 0b111n },
          { type: BASIC_DATA, first: 2048, last: 4062, name: 'x'.repeat(36), attributes: 0xf000_0000_0000_0000n },
          { type: '12345678-9ABC-DEF0-1234-56789ABCDEF0', first: 48, last: 48, attributes: 0xf000_0000_0000_0000n },
        ],
      }),
    );
    expect(contents).toMatchObject({
      ...{ scheme: 'gpt', diskId: '11111111-2222-3333-4444-555555555555', fileSystem: null, findings: [] },
    });
    expect(contents.partitions).toEqual([
      {
        ...{ number: 1, start: 20_480, length: 4096, type: LINUX, typeName: 'Linux filesystem' },
        ...{ name: 'first \u001b[2J', uuid: 'AAAAAAAA-0000-0000-0000-000000000000' },
        ...{ flags: ['required', 'no-block-io', 'legacy-boot'], alignment: 4096, fileSystem: null },
      },
      {
        ...{ number: 2, start: 1_048_576, length: 2015 * 512, type: BASIC_DATA, typeName: 'Microsoft basic data' },
        ...{ name: 'x'.repeat(36), uuid: 'AAAAAAAA-0000-0000-0000-000000000001' },
        ...{ flags: ['read-only', 'shadow-copy', 'hidden', 'no-automount'], alignment: 1_048_576, fileSystem: null },
      },
      expect.objectContaining({ number: 3, typeName: null, name: null, flags: [] }),
    ]);
  });

  it.each<[string, number, number]>([
    ['few', 4, 128],
    ['many', 1024, 128],
    ['large', 16, 512],
  ])('is read with %s entries', async (_what, entryCount, entryBytes) => {
    const contents = await list(gptDisk({ sectorCount: SECTORS, entries: ONE, entryCount, entryBytes }));
    expect(contents.partitions).toMatchObject([{ number: 1, start: 1_048_576, length: 524_288, name: 'root' }]);
    expect(contents.findings).toEqual([]);
  });

  it('is read from the backup where the primary is broken, which is told', async () => {
    const sound = await list(changed(() => undefined));
    const cases: [change: (disk: Uint8Array) => void, finding: RegExp][] = [
      [(disk) => disk.fill(0, 512, 1024), /error at 512: the primary GPT.*'EFI PART', found bytes 00 00/],
      [
        (disk) => disk.fill(9, 568, 569),
        /error at 528: the primary GPT.*checksum of the header.*backup is used instead/,
      ],
      [(disk) => disk.fill(9, 1030, 1031), /error at 1024: the primary GPT.*checksum of the partition entries/],
    ];
    for (const [change, finding] of cases) {
      const contents = await list(changed(change));
      expect(contents).toMatchObject({ scheme: 'gpt', diskId: sound.diskId, partitions: sound.partitions });
      expect(told(contents)).toEqual([expect.stringMatching(finding)]);
    }
  });

  it('tells a broken backup', async () => {
    const contents = await list(changed((disk) => disk.fill(0, disk.length - 512)));
    expect(contents.partitions).toHaveLength(1);
    expect(told(contents)).toEqual([expect.stringMatching(/^error at 2096640: the backup GPT cannot be used/)]);
  });

  it('tells that nothing is left', async () => {
    const contents = await list(
      changed((disk) => {
        disk.fill(0, 512, 1024);
        disk.fill(0, disk.length - 512);
      }),
    );
    expect(contents).toMatchObject({ scheme: 'gpt', diskId: null, partitions: [] });
    expect(told(contents)).toEqual([expect.stringMatching(/says that there is a GPT, but there is none/)]);
  });

  it('tells copies that differ', async () => {
    const otherDisk = changed((disk) => {
      disk.fill(7, disk.length - 512 + 56, disk.length - 512 + 72);
      resealHeader(disk, disk.length - 512);
    });
    expect(told(await list(otherDisk))).toEqual([expect.stringMatching(/^warning at 2096640: .*different disk GUIDs/)]);
    const other = gptDisk({ sectorCount: SECTORS, entries: [{ ...ONE[0]!, first: 2050 }] });
    const mixed = changed((disk) => disk.set(other.subarray(other.length - 33 * 512), disk.length - 33 * 512));
    const contents = await list(mixed);
    expect(contents.partitions[0]?.start).toBe(1_048_576);
    expect(told(contents)).toEqual([expect.stringMatching(/list different partitions/)]);
  });

  it('tells that the disk was made larger, or cut off', async () => {
    const larger = new Uint8Array((SECTORS + 100) * 512);
    larger.set(changed(() => undefined));
    expect(told(await list(larger))).toEqual([
      'warning at 2096640: the backup GPT is not at the end of the disk, which was made larger: ' +
        'expected it at sector 4195, found it at 4095',
    ]);
    const messages = told(await list(changed(() => undefined).subarray(0, 3000 * 512))).join('\n');
    expect(messages).toMatch(
      /backup GPT cannot be used: it is not there: expected a header at sector 4095, found a disk of 3000/,
    );
    expect(messages).toMatch(/made for a larger disk/);
    expect(messages).toMatch(/partition 1 reaches past the end/);
  });

  it('tells one without a protective MBR, and a hybrid', async () => {
    const bare = changed((disk) => disk.fill(0, 0, 512));
    expect(await list(bare)).toMatchObject({ scheme: 'gpt', partitions: [{ number: 1 }] });
    expect(told(await list(bare))).toEqual([expect.stringMatching(/^error at 0: .*without a protective MBR/)]);
    const mbr = bootRecord([
      { type: 0xee, start: 1, count: 2047 },
      { type: 0x83, start: 2048, count: 1024 },
    ]);
    const hybrid = gptDisk({ sectorCount: SECTORS, entries: ONE, mbr });
    expect(await list(hybrid)).toMatchObject({ scheme: 'gpt', partitions: [{ number: 1 }] });
    expect(told(await list(hybrid))).toEqual([expect.stringMatching(/^warning at 0: the MBR is a hybrid.*slot 2/)]);
  });

  it('yields to an MBR that does not declare it', async () => {
    const mbr = bootRecord([{ type: 0x83, start: 64, count: 1000 }]);
    const contents = await list(gptDisk({ sectorCount: SECTORS, entries: ONE, mbr }));
    expect(contents).toMatchObject({ scheme: 'mbr', partitions: [{ type: '0x83', start: 32_768 }] });
    expect(told(contents)).toEqual([
      expect.stringMatching(/^warning at 512: there is a GPT that the MBR does not declare/),
    ]);
  });

  it('is read, and complained of, where it is made for sectors of 4096 bytes', async () => {
    const entries = [{ type: LINUX, first: 256, last: 383 }];
    const contents = await list(gptDisk({ sectorCount: 512, sectorBytes: 4096, entries }));
    expect(contents).toMatchObject({ scheme: 'gpt', partitions: [{ start: 1_048_576, length: 524_288 }] });
    expect(told(contents)).toEqual([
      expect.stringMatching(/^error at 4096: .*sectors of 4096 bytes.*found one at 4096/),
    ]);
  });
});

describe('a GPT with fields that cannot be', () => {
  it.each<[string, Readonly<Record<number, number | bigint>>, RegExp]>([
    ['entries of no bytes', { 84: 0 }, /size of an entry cannot be: expected a power of two/],
    ['entries of 127 bytes', { 84: 127 }, /size of an entry cannot be/],
    ['entries of 384 bytes', { 84: 384 }, /size of an entry cannot be/],
    ['entries of 1 GiB', { 84: 0x4000_0000 }, /size of an entry cannot be/],
    ['2^32 - 1 entries', { 80: 0xffff_ffff }, /number of entries cannot be: expected 1 to 8192, found 4294967295/],
    ['no entries', { 80: 0 }, /number of entries cannot be/],
    ['entries past the end', { 72: 4090n }, /partition entries cannot be read/],
    ['entries at 2^64 - 1', { 72: 0xffff_ffff_ffff_ffffn }, /partition entries cannot be read/],
    ['another place', { 24: 77n }, /names another place/],
    ['a header of 4 GiB', { 12: 0xffff_ffff }, /header size cannot be: expected 92 to 512 bytes, found 4294967295/],
    ['a header of 10 bytes', { 12: 10 }, /header size cannot be/],
  ])('is refused: %s', async (_what, fields, finding) => {
    const disk = new CountingDisk(gptDisk({ sectorCount: SECTORS, entries: ONE, fields }));
    const contents = await listPartitions(disk);
    expect(contents).toMatchObject({ scheme: 'gpt', partitions: [] });
    expect(told(contents).join('\n')).toMatch(finding);
    expect(disk.readCount).toBeLessThan(10);
  });

  it('lists a partition past the end, and leaves out one that has no place', async () => {
    const contents = await list(
      gptDisk({
        sectorCount: SECTORS,
        entries: [
          { type: LINUX, first: 2048, last: 9000 },
          { type: LINUX, first: 3000, last: 2999 },
          { type: LINUX, first: 3000, last: 2 ** 52 },
          { type: LINUX, first: 0, last: 10 },
        ],
      }),
    );
    expect(contents.partitions.map((part) => part.number)).toEqual([1, 4]);
    const messages = told(contents).join('\n');
    expect(messages).toMatch(/partition 1 reaches past the end/);
    expect(messages).toMatch(/partition 2 has no possible place: .*found 3000 and 2999/);
    expect(messages).toMatch(/partition 3 has no possible place/);
    expect(messages).toMatch(/partition 4 leaves the space for partitions: expected sectors 34 to 4062, found 0 to 10/);
  });

  it('looks into 256 partitions and says so', async () => {
    const entries = Array.from({ length: 400 }, (_, index) => ({
      ...{ type: LINUX, id: LINUX, first: 200 + index * 8, last: 207 + index * 8 },
    }));
    const disk = new CountingDisk(gptDisk({ sectorCount: SECTORS, entries, entryCount: 512 }));
    const contents = await listPartitions(disk);
    expect(contents.partitions).toHaveLength(400);
    expect(told(contents)).toEqual(['note at 0: only the first 256 partitions were looked into, of 400']);
    expect(disk.readCount).toBeLessThan(256 * 3 + 10);
  });
});

describe('a GPT on a damaged disk', () => {
  it('is read from the backup where the front cannot be read', async () => {
    const contents = await list(
      changed(() => undefined),
      [[0, 65_536]],
    );
    expect(contents).toMatchObject({ scheme: 'gpt', partitions: [{ number: 1, start: 1_048_576 }] });
    expect(told(contents).join('\n')).not.toMatch(/protective MBR/);
    expect(told(contents).join('\n')).toMatch(/the disk cannot be read: block at 0 is damaged/);
  });

  it('says which partition could not be looked into', async () => {
    const contents = await list(
      changed(() => undefined),
      [[1_048_576, 1_600_000]],
    );
    expect(contents.partitions).toMatchObject([{ number: 1, fileSystem: null }]);
    expect(told(contents)).toEqual([
      'error at 1048576: what is in partition 1 cannot be told: block at 1048576 is damaged',
    ]);
  });

  it('lets errors of the system pass', async () => {
    const failing = { size: 4096, read: () => Promise.reject(Object.assign(new Error('EIO'), { code: 'EIO' })) };
    await expect(listPartitions(failing)).rejects.toThrow('EIO');
  });
});

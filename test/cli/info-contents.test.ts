import { writeFile } from 'node:fs/promises';
import { beforeAll, describe, expect, it } from 'vitest';
import { vhd } from '../support/cli.ts';
import { superblockImages } from '../support/superblocks.ts';
import { BASIC_DATA, bootRecord, gptDisk, LINUX } from '../support/tables.ts';
import { useTempFolder } from '../support/temp.ts';

const folder = useTempFolder('cli-info-contents');
const MIB = 1024 ** 2;
const SECTORS = 8192;

/** The part of a report that is about what is on the disk. */
function contentsOf(stdout: string): string {
  return stdout.slice(stdout.search(/^ {2}(partitions|contents) /m));
}

async function contents(name: string): Promise<string> {
  const { code, stdout, stderr } = await vhd(['info', folder.file(name)]);
  expect([code, stderr]).toEqual([0, '']);
  return contentsOf(stdout);
}

beforeAll(async () => {
  const whole = gptDisk({
    sectorCount: SECTORS,
    entries: [
      { type: LINUX, first: 40, last: 2047, name: 'boot \u001b[2J' },
      { type: BASIC_DATA, first: 2048, last: SECTORS - 34, attributes: 1n << 62n },
    ],
  });
  const raid = superblockImages().find(({ name }) => name === 'mdraid 1.2')!;
  whole.set(raid.bytes.subarray(0, MIB), MIB);
  await writeFile(folder.file('gpt.raw'), whole);
  await vhd(['convert', folder.file('gpt.raw'), folder.file('gpt.vhd')]);
  const grown = new Uint8Array(SECTORS * 512 + MIB);
  grown.set(whole);
  await writeFile(folder.file('grown.raw'), grown);
  const mbr = new Uint8Array(2 * MIB);
  mbr.set(bootRecord([{ type: 0x07, start: 63, count: 1000, flag: 0x80 }]));
  await writeFile(folder.file('mbr.raw'), mbr);
  await writeFile(folder.file('bare.raw'), raid.bytes);
  await writeFile(folder.file('zeros.raw'), new Uint8Array(MIB));
  await writeFile(folder.file('nofooter.vhd'), new Uint8Array(MIB));
});

describe('info of what is on a disk', () => {
  it('tells the smallest size that it can be shrunk to', async () => {
    const minimumOf = async (name: string): Promise<unknown> => {
      const { stdout } = await vhd(['info', folder.file(name), '--json']);
      return (JSON.parse(stdout) as { minimumSize: unknown }).minimumSize;
    };
    expect(await minimumOf('gpt.vhd')).toBe(SECTORS * 512);
    expect(await minimumOf('grown.raw')).toBe(SECTORS * 512);
    expect(await minimumOf('mbr.raw')).toBe(1063 * 512);
    expect((await vhd(['info', folder.file('mbr.raw')])).stdout).toMatch(
      /^ {2}minimum size +531.5 KiB \(544256 bytes\)$/m,
    );
    expect(await minimumOf('nofooter.vhd')).toBe(null);
  });

  it('is a table of the partitions of a VHD', async () => {
    expect(await contents('gpt.vhd')).toBe(
      [
        '  partitions      GPT, disk 11111111-2222-3333-4444-555555555555',
        '    #   start      size  type                          name            file system',
        '    1  20 KiB  1004 KiB  Linux filesystem              boot \\u{1b}[2J',
        "    2   1 MiB  2.98 MiB  Microsoft basic data, hidden                  linux_raid_member 1.2 'host:array'",
        '  note     partition 1 does not begin on 1 MiB, as is usual',
        '',
      ].join('\n'),
    );
  });

  it('is the same for the raw disk', async () => {
    expect(await contents('gpt.raw')).toBe(await contents('gpt.vhd'));
  });

  it('has no column of names where no partition has one, and warns of old alignment', async () => {
    expect(await contents('mbr.raw')).toBe(
      [
        '  partitions      MBR, disk 0x1234abcd',
        '    #     start     size  type                   file system',
        '    1  31.5 KiB  500 KiB  NTFS or exFAT, active',
        '  warning  partition 1 does not begin on 4 KiB: slow wherever the storage below has sectors of 4 KiB, as in a cloud',
        '',
      ].join('\n'),
    );
  });

  it('says what fills a disk without a table, or that nothing known does', async () => {
    expect(await contents('bare.raw')).toBe(
      "  contents        linux_raid_member 1.2 'host:array', no partition table\n",
    );
    expect(await contents('zeros.raw')).toBe('  contents        no partition table, no known file system\n');
  });

  it('says what is wrong with a table, which is no fault of the image', async () => {
    expect(await contents('grown.raw')).toMatch(
      /^ {2}warning {2}the backup GPT is not at the end .* \(byte 4193792 of the disk\)$/m,
    );
    expect((await vhd(['info', '--strict', folder.file('grown.raw')])).code).toBe(1);
    expect((await vhd(['info', '--strict', folder.file('gpt.raw')])).code).toBe(0);
  });

  it('is in the JSON, and null for what cannot be read', async () => {
    for (const name of ['gpt.vhd', 'gpt.raw']) {
      expect(JSON.parse((await vhd(['info', '--json', folder.file(name)])).stdout)).toMatchObject({
        partitionTable: {
          ...{ scheme: 'gpt', diskId: '11111111-2222-3333-4444-555555555555', fileSystem: null, findings: [] },
        },
        partitions: [
          { number: 1, start: 20_480, length: 1_028_096, type: LINUX, alignment: 4096, fileSystem: null },
          { number: 2, start: MIB, flags: ['hidden'], fileSystem: { type: 'linux_raid_member', version: '1.2' } },
        ],
      });
    }
    const bare = await vhd(['info', '--json', folder.file('bare.raw')]);
    expect(JSON.parse(bare.stdout)).toMatchObject({
      partitionTable: { scheme: 'none', diskId: null, fileSystem: { label: 'host:array' } },
      partitions: [],
    });
    const refused = await vhd(['info', '--json', folder.file('nofooter.vhd')]);
    expect(JSON.parse(refused.stdout)).toMatchObject({ partitionTable: null, partitions: null });
  });
});

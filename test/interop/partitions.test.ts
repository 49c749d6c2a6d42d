// Tables by sfdisk, told by us and by sfdisk; file systems in partitions, told by us and by blkid; and real images.
import { open } from 'node:fs/promises';
import { beforeAll, expect, it } from 'vitest';
import type { DiskContents } from '../../src/inspect/partition-table.ts';
import { listPartitions } from '../../src/inspect/partitions.ts';
import { openDisk, openRaw } from '../../src/open.ts';
import { corpusImages, describeWithCorpus, unpackCorpus } from '../support/corpus.ts';
import { describeWithPeers, runPeer } from '../support/peers.ts';
import { useTempFolder } from '../support/temp.ts';

const folder = useTempFolder('partitions');
const MIB = 1024 ** 2;

/** A partition as `sfdisk --json` has it. */
interface SfdiskPartition {
  readonly node: string;
  readonly start: number;
  readonly size: number;
  readonly type: string;
  readonly uuid?: string;
  readonly name?: string;
  readonly bootable?: boolean;
  readonly attrs?: string;
}

interface SfdiskTable {
  readonly label: string;
  readonly id: string;
  readonly partitions?: readonly SfdiskPartition[];
}

const FLAGS: Readonly<Record<string, string>> = {
  ...{ RequiredPartition: 'required', NoBlockIOProtocol: 'no-block-io', LegacyBIOSBootable: 'legacy-boot' },
  ...{ 60: 'read-only', 61: 'shadow-copy', 62: 'hidden', 63: 'no-automount' },
};

async function diskWith(name: string, size: number, script: string): Promise<string> {
  const path = folder.file(name);
  const file = await open(path, 'w');
  await file.truncate(size);
  await file.close();
  await runPeer('sfdisk', ['--quiet', '--no-tell-kernel', path], { input: script });
  return path;
}

async function toldBySfdisk(path: string): Promise<object> {
  const { stdout } = await runPeer('sfdisk', ['--json', path]);
  const table = (JSON.parse(stdout) as { partitiontable: SfdiskTable }).partitiontable;
  const isGpt = table.label === 'gpt';
  const partitions = (table.partitions ?? []).map((part) => ({
    number: Number(part.node.slice(path.length)),
    start: part.start * 512,
    length: part.size * 512,
    type: isGpt ? part.type : `0x${part.type.padStart(2, '0')}`,
    name: part.name ?? null,
    uuid: part.uuid ?? null,
    flags:
      part.bootable === true ? ['active'] : (part.attrs ?? '').split(/GUID:|[ ,]/).flatMap((flag) => FLAGS[flag] ?? []),
  }));
  return { scheme: isGpt ? 'gpt' : 'mbr', diskId: table.id, partitions };
}

async function toldByUs(path: string): Promise<DiskContents> {
  await using disk = await openRaw(path);
  return await listPartitions(disk);
}

function inShort({ scheme, diskId, partitions }: DiskContents): object {
  const kept = partitions.map(({ number, start, length, type, name, uuid, flags }) => {
    return { number, start, length, type, name, uuid, flags };
  });
  return { scheme, diskId, partitions: kept };
}

const BASIC = 'EBD0A0A2-B9E5-4433-87C0-68B6B72699C7';
const SCRIPTS: readonly (readonly [name: string, size: number, script: string])[] = [
  ['an MBR', 64 * MIB, 'label: dos\nlabel-id: 0xdeadbeef\nsize=1M, type=c, bootable\nsize=2M, type=82\ntype=83\n'],
  [
    'an MBR with logical partitions',
    64 * MIB,
    'label: dos\nsize=1M\nsize=40M, type=5\nsize=1M, type=83\nsize=1M, type=8e\nsize=3M, type=7\nsize=1M, type=fd\n',
  ],
  ['an MBR with gaps in the slots', 64 * MIB, 'label: dos\n2: size=1M\n4: size=20M, type=f\n5: size=1M\n7: size=4M\n'],
  ['an empty MBR', MIB, 'label: dos\nlabel-id: 0x00000001\n'],
  [
    'a GPT',
    64 * MIB,
    'label: gpt\nsize=1M, type=U, name="EFI"\nsize=2M, name="with blanks and ü"\n' +
      `size=3M, type=${BASIC}, attrs="RequiredPartition LegacyBIOSBootable GUID:60,62,63"\nsize=1M, type=S\n`,
  ],
  ['a GPT with gaps in the slots', 64 * MIB, 'label: gpt\n3: size=1M\n7: size=1M\n'],
  ['a short GPT', 4 * MIB, 'label: gpt\ntable-length: 8\n8: size=1M\n'],
  ['a long GPT', 4 * MIB, 'label: gpt\ntable-length: 1024\n1000: size=1M\n'],
  ['an empty GPT', MIB, 'label: gpt\n'],
];

describeWithPeers(['sfdisk'], 'a table by sfdisk', () => {
  it.each(SCRIPTS)('is told as by sfdisk: %s', async (name, size, script) => {
    const path = await diskWith(name, size, script);
    const contents = await toldByUs(path);
    expect(inShort(contents)).toEqual(await toldBySfdisk(path));
    expect(contents.findings).toEqual([]);
  });

  it('has a name for every type that sfdisk has one for, but for the rarest of the MBR', async () => {
    const { stdout } = await runPeer('sfdisk', ['--list-types', '--label', 'gpt']);
    const guids = stdout.match(/^[0-9A-F]{8}-\S+/gim) ?? [];
    const lines = guids.slice(0, 128).map((guid) => `size=4K, type=${guid}`);
    const path = await diskWith('types', 8 * MIB, `label: gpt\nfirst-lba: 40\n${lines.join('\n')}\n`);
    const { partitions } = await toldByUs(path);
    expect(partitions).toHaveLength(lines.length);
    expect(partitions.filter((part) => part.typeName === null).map((part) => part.type)).toEqual([]);
  });
});

describeWithPeers(['sfdisk', 'blkid', 'mkfs.ext4', 'mkfs.fat', 'mkswap'], 'file systems in partitions', () => {
  it('are told as by blkid', async () => {
    const script = 'label: gpt\nsize=4M\nsize=4M\nsize=4M\nsize=4M\n';
    const path = await diskWith('with file systems', 64 * MIB, script);
    const makers: readonly (readonly [string, ...string[]])[] = [
      ['mkfs.ext4', '-q', '-L', 'inside'],
      ['mkfs.fat', '-n', 'INSIDE'],
      ['mkswap', '-L', 'inside'],
    ];
    const target = await open(path, 'r+');
    for (const [index, [program, ...args]] of makers.entries()) {
      const part = folder.file(`part-${index}`);
      const file = await open(part, 'w+');
      await file.truncate(4 * MIB);
      await runPeer(program, [...args, part]);
      const bytes = await file.readFile();
      await file.close();
      await target.write(bytes, 0, bytes.length, (1 + index * 4) * MIB);
    }
    await target.close();
    const { partitions } = await toldByUs(path);
    for (const { start, length, fileSystem } of partitions) {
      const place = ['-O', String(start), '-S', String(length)];
      const told = await Promise.all(
        ['TYPE', 'LABEL', 'UUID'].map(async (tag) => {
          const args = ['-p', ...place, '-o', 'value', '-s', tag, path];
          return (await runPeer('blkid', args, { anyCode: true })).stdout.trimEnd() || null;
        }),
      );
      expect([fileSystem?.type ?? null, fileSystem?.label ?? null, fileSystem?.uuid ?? null]).toEqual(told);
    }
    expect(partitions.map((part) => part.fileSystem?.type)).toEqual(['ext4', 'vfat', 'swap', undefined]);
  });
});

const SCHEMES: Readonly<Record<string, DiskContents['scheme']>> = {
  'GUID Partition Table (EFI)': 'gpt',
  'DOS Partition Table': 'mbr',
};

describeWithCorpus('the tables of real images', () => {
  const isAsked = (image: (typeof corpusImages)[number]): boolean =>
    image.partitionText !== undefined && image.diskType !== 4 && image.agree.includes('qemu7.2');
  const listed = corpusImages.filter(isAsked);

  beforeAll(() => unpackCorpus(folder.file('corpus')), 60_000);

  it.each(listed.map((image) => [image.name, image] as const))('are told as by mmls: %s', async (name, image) => {
    const { disk } = await openDisk(folder.file(`corpus/${name}`), { from: 'vhd', bitmap: 'honour' });
    const { scheme, partitions, fileSystem } = await listPartitions(disk);
    await disk.close();
    const text = image.partitionText ?? '';
    const [kind = '', list = ''] = text.split(': ');
    // An MBR without partitions is no table to mmls.
    if (kind.startsWith('no')) expect(partitions).toEqual([]);
    else expect(scheme).toBe(SCHEMES[kind]);
    if (scheme === 'none') expect(fileSystem?.type).toBe(/blkid (\S+)/.exec(text)?.[1]);
    else expect(partitions).toHaveLength(list.split('; ').filter((entry) => entry !== '').length);
  });
});

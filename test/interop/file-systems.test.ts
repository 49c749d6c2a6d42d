// File systems made by the programs that make them, told by us and by blkid.
import { mkdir, open, stat, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect } from 'vitest';
import { identifyFileSystem } from '../../src/inspect/file-systems.ts';
import { minimumSize } from '../../src/inspect/minimum-size.ts';
import type { FileSystem } from '../../src/inspect/partition-table.ts';
import { listPartitions } from '../../src/inspect/partitions.ts';
import { openRaw } from '../../src/open.ts';
import { describeWithPeers, type PeerName, runPeer, testWithPeers } from '../support/peers.ts';
import { superblockImages } from '../support/superblocks.ts';
import { useTempFolder } from '../support/temp.ts';

const folder = useTempFolder('file-systems');
const MIB = 1024 ** 2;

interface Recipe {
  readonly name: string;
  readonly peer: PeerName;
  readonly size: number;
  /** Arguments; the path of the image comes last, or where `IMAGE` stands. */
  readonly args: readonly string[];
}

const recipe = (name: string, peer: PeerName, size: number, ...args: readonly string[]): Recipe => {
  return { name, peer, size, args };
};
const luks = (type: string, ...args: readonly string[]): readonly string[] => [
  ...['luksFormat', '--type', type, '--batch-mode', '--pbkdf-force-iterations', '1000'],
  ...['--key-file', '-', ...args],
];

const RECIPES: readonly Recipe[] = [
  recipe('ext2', 'mkfs.ext4', MIB, '-q', '-t', 'ext2', '-L', 'two words'),
  recipe('ext3', 'mkfs.ext4', 2 * MIB, '-q', '-t', 'ext3', '-L', 'sixteen letters!'),
  recipe('ext4', 'mkfs.ext4', 2 * MIB, '-q', '-L', 'ümläut'),
  recipe('ext4 without a journal', 'mkfs.ext4', 2 * MIB, '-q', '-O', '^has_journal'),
  recipe('a journal device', 'mkfs.ext4', 4 * MIB, '-q', '-O', 'journal_dev'),
  recipe('FAT12', 'mkfs.fat', MIB, '-F', '12', '-n', 'FAT TWELVE'),
  recipe('FAT16', 'mkfs.fat', 16 * MIB, '-F', '16', '-n', 'SIXTEEN'),
  recipe('FAT32', 'mkfs.fat', 34 * MIB, '-F', '32', '-n', 'THIRTYTWO', '-i', '0000abcd'),
  recipe('FAT32, large sectors', 'mkfs.fat', 300 * MIB, '-F', '32', '-S', '4096', '-n', 'LARGE'),
  recipe('FAT without a label', 'mkfs.fat', MIB),
  recipe('FAT with one copy', 'mkfs.fat', MIB, '-f', '1', '-n', 'ONE'),
  recipe('FAT with a made-up MBR', 'mkfs.fat', 16 * MIB, '--mbr=y', '-n', 'MBR'),
  recipe('NTFS', 'mkfs.ntfs', 2 * MIB, '-Q', '-F', '-q', '-L', 'Nt Völume'),
  recipe('NTFS, large clusters', 'mkfs.ntfs', 64 * MIB, '-Q', '-F', '-q', '-c', '65536', '-L', 'clusters'),
  recipe('NTFS without a label', 'mkfs.ntfs', 2 * MIB, '-Q', '-F', '-q'),
  recipe('exFAT', 'mkfs.exfat', 10 * MIB, '-L', 'ex läbel'),
  recipe('exFAT without a label', 'mkfs.exfat', 10 * MIB),
  recipe('XFS', 'mkfs.xfs', 300 * MIB, '-q', '-L', 'twelve chars'),
  recipe('Btrfs', 'mkfs.btrfs', 110 * MIB, '-q', '-L', 'a label'),
  recipe('swap', 'mkswap', MIB, '-L', 'swap label'),
  recipe('swap, pages of 64 KiB', 'mkswap', MIB, '-p', '65536', '-L', 'large'),
  recipe('squashfs', 'mksquashfs', 0, 'FILES', 'IMAGE', '-quiet', '-no-progress', '-noappend'),
  recipe('ISO 9660', 'genisoimage', 0, '-quiet', '-V', 'ISO Volume', '-o', 'IMAGE', 'FILES'),
  recipe('ISO 9660, Joliet', 'genisoimage', 0, '-quiet', '-J', '-V', 'läbel', '-o', 'IMAGE', 'FILES'),
  recipe('ISO 9660, cut', 'genisoimage', 0, '-quiet', '-J', '-V', 'More than sixteen letters', '-o', 'IMAGE', 'FILES'),
  recipe('LUKS 1', 'cryptsetup', 4 * MIB, ...luks('luks1')),
  recipe('LUKS 2', 'cryptsetup', 20 * MIB, ...luks('luks2', '--pbkdf', 'pbkdf2', '--label', 'a label')),
];

/** What blkid says. */
async function toldByBlkid(path: string): Promise<Omit<FileSystem, 'version'> | null> {
  const [type, label, uuid] = await Promise.all(
    ['TYPE', 'LABEL', 'UUID'].map(async (tag) => {
      const { stdout } = await runPeer('blkid', ['-p', '-o', 'value', '-s', tag, path], { anyCode: true });
      return stdout.replace(/\n$/, '') || null;
    }),
  );
  return typeof type === 'string' ? { type, label: label ?? null, uuid: uuid ?? null } : null;
}

async function toldByUs(path: string): Promise<Omit<FileSystem, 'version'> | null> {
  await using disk = await openRaw(path, { pad: true });
  const found = await identifyFileSystem(disk, 0, disk.size);
  return found === null ? null : { type: found.type, label: found.label, uuid: found.uuid };
}

async function make({ name, peer, size, args }: Recipe): Promise<string> {
  const path = folder.file(name);
  if (size > 0) {
    const file = await open(path, 'w');
    await file.truncate(size);
    await file.close();
  }
  const filled = args.map((word) => (word === 'IMAGE' ? path : word === 'FILES' ? folder.file('files') : word));
  await runPeer(peer, args.includes('IMAGE') ? filled : [...filled, path], { input: 'passphrase' });
  return path;
}

describe('a file system', () => {
  beforeAll(async () => {
    await mkdir(folder.file('files'));
    await writeFile(join(folder.file('files'), 'name'), 'content');
  });

  for (const one of RECIPES) {
    testWithPeers(['blkid', one.peer], `by ${one.peer} is told as by blkid: ${one.name}`, async () => {
      const path = await make(one);
      const ours = await toldByUs(path);
      expect(ours).not.toBeNull();
      expect(ours).toEqual(await toldByBlkid(path));
    });
  }

  for (const one of RECIPES.filter(({ peer }) => /^mk(fs|squashfs)/.test(peer))) {
    testWithPeers([one.peer], `by ${one.peer} needs its own size of a larger disk: ${one.name}`, async () => {
      const path = await make({ ...one, name: `${one.name}, enlarged` });
      const size = (await stat(path)).size;
      await truncate(path, size + 9 * MIB);
      await using disk = await openRaw(path, { pad: true });
      const contents = await listPartitions(disk);
      const found = await minimumSize(disk, contents);
      if (contents.fileSystem?.type === 'jbd') expect(found).toBe(disk.size);
      else {
        // They use whole clusters or groups of them.
        expect(found).toBeLessThanOrEqual(size);
        expect(found).toBeGreaterThan(size - 128 * 1024);
      }
    });
  }

  testWithPeers(
    ['blkid', 'mkfs.fat'],
    'FAT whose label was removed keeps none, whatever the boot sector says',
    async () => {
      const path = await make(recipe('relabelled', 'mkfs.fat', MIB, '-n', 'GONE'));
      const file = await open(path, 'r+');
      const image = await file.readFile();
      // The second time it stands in the root directory.
      const at = image.lastIndexOf('GONE    ');
      await file.write(Buffer.of(0xe5), 0, 1, at);
      await file.close();
      expect(await toldByUs(path)).toMatchObject({ type: 'vfat', label: null });
      expect(await toldByUs(path)).toEqual(await toldByBlkid(path));
    },
  );
});

describeWithPeers(['blkid'], 'a superblock made by hand', () => {
  for (const { name, bytes, expected, isKnownToBlkid } of superblockImages()) {
    if (!isKnownToBlkid) continue;
    testWithPeers(['blkid'], `is told as by blkid: ${name}`, async () => {
      const path = folder.file(`hand-${name}`);
      await writeFile(path, bytes);
      const { type, label = null, uuid = null } = expected;
      expect(await toldByBlkid(path)).toEqual({ type, label, uuid });
      expect(await toldByUs(path)).toEqual({ type, label, uuid });
    });
  }
});

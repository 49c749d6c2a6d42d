import { describe, expect, it } from 'vitest';
import { contentsText, fileSystemText } from '../../../src/inspect/contents-text.ts';
import type { DiskContents, FileSystem, Partition } from '../../../src/inspect/partition-table.ts';

const system = (type: string, changes: Partial<FileSystem> = {}): FileSystem => ({
  ...{ type, version: null, label: null, uuid: null },
  ...changes,
});

const partition = (number: number, changes: Partial<Partition> = {}): Partition => ({
  ...{ number, start: number * 4096, length: 4096, type: '0x83', typeName: 'Linux filesystem', name: null, uuid: null },
  ...{ flags: [], alignment: 4096, fileSystem: null },
  ...changes,
});

const contents = (changes: Partial<DiskContents>): DiskContents => ({
  ...{ scheme: 'none', diskId: null, partitions: [], fileSystem: null, findings: [] },
  ...changes,
});

describe('contentsText', () => {
  it('names what is in each partition, or else its type', () => {
    const partitions = [
      partition(1, { fileSystem: system('vfat', { version: 'FAT32', label: 'EFI' }) }),
      partition(2, { fileSystem: system('ntfs', { version: '3.1' }) }),
      partition(3),
      partition(4, { type: '0x99', typeName: null }),
    ];
    expect(contentsText(contents({ scheme: 'gpt', partitions }))).toBe(
      'GPT with 4 partitions: FAT32 "EFI", NTFS, Linux filesystem, type 0x99',
    );
  });

  it('counts what would make a line too long', () => {
    const partitions = Array.from({ length: 9 }, (_, index) => partition(index + 1, { fileSystem: system('ext4') }));
    expect(contentsText(contents({ scheme: 'mbr', partitions }))).toBe(
      'MBR with 9 partitions: ext4, ext4, ext4, ext4, 5 more',
    );
  });

  it('has words for what is not there', () => {
    expect(contentsText(contents({}))).toBe('no partition table');
    expect(contentsText(contents({ scheme: 'mbr' }))).toBe('MBR with no partitions');
    expect(contentsText(contents({ fileSystem: system('xfs', { label: '' }) }))).toBe('XFS');
  });
});

describe('fileSystemText', () => {
  it('calls what is encrypted so', () => {
    expect(fileSystemText(system('crypto_LUKS', { version: '2' }))).toBe('LUKS (encrypted)');
  });
});

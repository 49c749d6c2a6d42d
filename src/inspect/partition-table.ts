import type { Disk } from '../disk/disk.ts';
import type { PartitionRuleId } from '../format/rules.ts';

/** The part of a {@link Disk} that looking inside needs. */
export type ReadableDisk = Pick<Disk, 'size' | 'read'>;

/** A file system, or what else fills a partition (swap, LVM, LUKS, a RAID member), told by its magic. */
export interface FileSystem {
  /** Name as blkid has it where blkid knows it: `ext4`, `vfat`, `ntfs`, `xfs`, `LVM2_member`, `crypto_LUKS`, … */
  readonly type: string;
  /** Version or variant where the name does not say it, such as `FAT32` or `1.2`; null if there is none. */
  readonly version: string | null;
  /** Label; null if it has none. */
  readonly label: string | null;
  /** Identifier in the form blkid prints; null if it has none. */
  readonly uuid: string | null;
}

/** A partition. */
export interface Partition {
  /** Number as Linux counts: GPT slot + 1; MBR 1 to 4, logical partitions from 5 on. */
  readonly number: number;
  /** First byte on the virtual disk. */
  readonly start: number;
  /** Bytes. */
  readonly length: number;
  /** Type as it stands in the table: a GUID in upper case, or `0x83`. */
  readonly type: string;
  /** Type for people, such as `Linux filesystem`; null if it is not known. */
  readonly typeName: string | null;
  /** Name in the table (GPT); null if there is none. */
  readonly name: string | null;
  /** Identifier of the partition: a GUID in upper case for GPT, null for MBR. */
  readonly uuid: string | null;
  /** Flags by name, such as `active`, `required`, `hidden`; empty if none is set. */
  readonly flags: readonly string[];
  /** Largest power of two, up to 1 MiB, that `start` is a multiple of; bytes. */
  readonly alignment: number;
  /** What is in it; null if nothing known was found. */
  readonly fileSystem: FileSystem | null;
}

/** Something about a partition table that is not as it should be. */
export interface TableFinding {
  /** Which rule was broken. */
  readonly rule: PartitionRuleId;
  /** How much it matters. */
  readonly severity: 'error' | 'warning' | 'note';
  /** One sentence: what is wrong, what was expected, what was found. */
  readonly message: string;
  /** Byte offset on the virtual disk. */
  readonly offset: number;
}

/** What is on a disk. */
export interface DiskContents {
  /** The kind of partition table. `none`: there is none, and `fileSystem` tells what fills the whole disk. */
  readonly scheme: 'gpt' | 'mbr' | 'none';
  /** Identifier of the disk: a GUID in upper case (GPT), `0x1234abcd` (MBR), null without a table. */
  readonly diskId: string | null;
  /** The partitions, by number. */
  readonly partitions: readonly Partition[];
  /** What fills a disk without a table; null if there is a table, or nothing known was found. */
  readonly fileSystem: FileSystem | null;
  /** What is odd or wrong about the table. */
  readonly findings: readonly TableFinding[];
}

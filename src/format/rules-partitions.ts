import type { Rule } from './rule.ts';

const BY_PARTITIONING =
  'the table belongs to the guest: mend it with the partitioning program of the system on the disk';

/** What can be wrong with the partition table on the disk. Offsets are on the virtual disk. */
export const PARTITION_RULES = {
  'partition.past-end': {
    severity: 'warning',
    message: 'a partition reaches past the end of the disk',
    means: 'the end of this partition does not exist: the disk was cut, or is larger than its size says',
    unmendable: 'get the whole image again, or make the disk as large as the partition needs with vhd resize',
  },
  'partition.backup-gpt': {
    severity: 'warning',
    message: 'the backup GPT is not at the end of the disk',
    means: 'the disk was made larger: systems warn, and do not use the new space until it is moved',
    unmendable:
      'the system on the disk moves it (sgdisk -e, Windows Disk Management), and so does vhd resize with another size',
  },
  'partition.gpt': {
    severity: 'warning',
    message: 'a GPT is damaged or missing',
    means: 'if the other copy is whole most systems still find the partitions, else they are gone',
    unmendable: BY_PARTITIONING,
  },
  'partition.overlap': {
    severity: 'warning',
    message: 'two partitions overlap',
    means: 'a write to one of them can destroy the other',
    unmendable: BY_PARTITIONING,
  },
  'partition.table': {
    severity: 'warning',
    message: 'the partition table is not as it should be',
    means: 'some systems see other partitions than others',
    unmendable: BY_PARTITIONING,
  },
  'partition.unreadable': {
    severity: 'error',
    message: 'the disk cannot be read where its partition table or a file system begins',
    means: 'what is on the disk cannot be told',
    unmendable: 'it is what is wrong with the image that has to be mended',
  },
} as const satisfies Record<string, Rule>;

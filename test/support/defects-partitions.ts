import type { DefectSpec } from './defects.ts';
import { u32, withBytes, withFooters, withInserted, withPatch } from './defects-edits.ts';

const SECTOR = 512;
const guest = { repair: 'none' } as const;

/** Changes bytes of the disk, where the image holds them, and what it is to hold. */
function onDisk(change: (disk: Uint8Array) => Uint8Array): Pick<DefectSpec, 'apply' | 'content'> {
  return {
    apply: (image) => new Uint8Array(Buffer.concat([change(image.subarray(0, -SECTOR)), image.subarray(-SECTOR)])),
    content: change,
  };
}

/** A fixed disk with zeros behind what was its end, its footer that of the larger disk. */
function grown(image: Uint8Array, byteLength: number): Uint8Array {
  const size = image.length - SECTOR + byteLength;
  const longer = withInserted(image, -SECTOR, new Uint8Array(byteLength));
  return withFooters(longer, (_, view) => {
    view.setBigUint64(40, BigInt(size));
    view.setBigUint64(48, BigInt(size));
    view.setUint16(56, size / SECTOR / 68);
  });
}

/** What the guest wrote: partition tables. */
export const partitionDefects: readonly DefectSpec[] = [
  {
    name: 'partition-past-end',
    base: 'fixed',
    what: 'the second partition 100 sectors longer than the disk',
    ...onDisk((disk) =>
      withBytes(disk, (_, view) => view.setUint32(446 + 28, view.getUint32(446 + 28, true) + 100, true)),
    ),
    rule: 'partition.past-end',
    ...guest,
  },
  {
    name: 'partitions-overlap',
    base: 'fixed',
    what: 'the first partition 10 sectors into the second',
    ...onDisk((disk) =>
      withBytes(disk, (_, view) => view.setUint32(446 + 12, view.getUint32(446 + 12, true) + 10, true)),
    ),
    rule: 'partition.overlap',
    ...guest,
  },
  {
    name: 'partition-chain-broken',
    base: 'fixed',
    what: 'a container of logical partitions without a table in it',
    ...onDisk((disk) => withPatch(disk, 446 + 16 + 4, [0x05])),
    rule: 'partition.table',
    ...guest,
  },
  {
    name: 'gpt-primary-checksum',
    base: 'gpt',
    what: 'a wrong checksum in the primary GPT',
    ...onDisk((disk) => withBytes(disk, u32(SECTOR + 16, 1))),
    rule: 'partition.gpt',
    ...guest,
  },
  {
    name: 'gpt-backup-zeroed',
    base: 'gpt',
    what: 'zeros in the place of the backup GPT',
    ...onDisk((disk) => withPatch(disk, -SECTOR, new Uint8Array(SECTOR))),
    rule: 'partition.gpt',
    ...guest,
  },
  {
    name: 'gpt-entries-huge',
    base: 'gpt',
    what: 'four billion entries in the primary GPT, its checksum wrong as well',
    ...onDisk((disk) => withBytes(disk, u32(SECTOR + 80, 0xffff_ffff))),
    rule: 'partition.gpt',
    ...guest,
  },
  {
    name: 'gpt-disk-grown',
    base: 'gpt',
    what: 'a disk that was made larger, the backup GPT where it was',
    apply: (image) => grown(image, 68 * SECTOR * 2),
    content: (content) => new Uint8Array(Buffer.concat([content, new Uint8Array(68 * SECTOR * 2)])),
    rule: 'partition.backup-gpt',
    ...guest,
  },
];

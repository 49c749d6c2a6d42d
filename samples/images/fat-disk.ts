/** The smallest useful disk: 16 KiB with a partition table (MBR) and a FAT12 file system that holds HELLO.TXT. */

const SECTOR_BYTES = 512;
const SECTORS = 32;
const PARTITION_SECTOR = 8;

/** Its geometry: two heads of one track of 16 sectors, exactly its size. */
export const FAT_DISK_GEOMETRY = { cylinders: 1, heads: 2, sectorsPerTrack: 16 } as const;
/** What HELLO.TXT holds. */
export const HELLO = 'Hello from inside a virtual disk.\r\n';

/** All bytes of the disk. */
export function fatDisk(): Uint8Array {
  const disk = Buffer.alloc(SECTORS * SECTOR_BYTES);
  partitionTable().copy(disk, 0);
  // The partition: boot sector, two allocation tables, root directory, then clusters of a sector from number 2 on.
  const sectors = [bootSector(), allocationTable(), allocationTable(), rootDirectory(), Buffer.from(HELLO)];
  for (const [index, sector] of sectors.entries()) sector.copy(disk, (PARTITION_SECTOR + index) * SECTOR_BYTES);
  return disk;
}

function partitionTable(): Buffer {
  const sector = signedSector();
  sector.writeUInt32LE(0x64686b56, 440);
  // One entry: not active, first sector as head/sector/cylinder, type 1 (FAT12), last sector, then both as numbers.
  Buffer.from([0x00, 0, PARTITION_SECTOR + 1, 0, 0x01, 1, 16, 0]).copy(sector, 446);
  sector.writeUInt32LE(PARTITION_SECTOR, 454);
  sector.writeUInt32LE(SECTORS - PARTITION_SECTOR, 458);
  return sector;
}

function bootSector(): Buffer {
  const sector = signedSector();
  Buffer.from([0xeb, 0x3c, 0x90]).copy(sector, 0);
  sector.write('MSDOS5.0', 3, 'latin1');
  sector.writeUInt16LE(SECTOR_BYTES, 11);
  sector.writeUInt8(1, 13); // sectors of a cluster
  sector.writeUInt16LE(1, 14); // sectors before the allocation tables
  sector.writeUInt8(2, 16); // allocation tables
  sector.writeUInt16LE(16, 17); // entries of the root directory
  sector.writeUInt16LE(SECTORS - PARTITION_SECTOR, 19);
  sector.writeUInt8(0xf8, 21); // a hard disk
  sector.writeUInt16LE(1, 22); // sectors of an allocation table
  sector.writeUInt16LE(FAT_DISK_GEOMETRY.sectorsPerTrack, 24);
  sector.writeUInt16LE(FAT_DISK_GEOMETRY.heads, 26);
  sector.writeUInt32LE(PARTITION_SECTOR, 28);
  sector.writeUInt8(0x80, 36); // drive number
  sector.writeUInt8(0x29, 38); // serial number, label and type follow
  sector.writeUInt32LE(0x2026_1124, 39);
  sector.write('VHDKIT     FAT12   ', 43, 'latin1');
  return sector;
}

/** Twelve bits a cluster: the two reserved entries, then the end of a chain of one cluster. */
function allocationTable(): Buffer {
  return Buffer.from([0xf8, 0xff, 0xff, 0xff, 0x0f]);
}

function rootDirectory(): Buffer {
  return Buffer.concat([
    directoryEntry('VHDKIT     ', 0x08, 0, 0),
    directoryEntry('HELLO   TXT', 0x20, 2, HELLO.length),
  ]);
}

function directoryEntry(name: string, attributes: number, cluster: number, size: number): Buffer {
  const entry = Buffer.alloc(32);
  entry.write(name, 0, 'latin1');
  entry.writeUInt8(attributes, 11);
  entry.writeUInt16LE(((2026 - 1980) << 9) | (11 << 5) | 24, 24);
  entry.writeUInt16LE(cluster, 26);
  entry.writeUInt32LE(size, 28);
  return entry;
}

function signedSector(): Buffer {
  const sector = Buffer.alloc(SECTOR_BYTES);
  sector.writeUInt16BE(0x55aa, 510);
  return sector;
}

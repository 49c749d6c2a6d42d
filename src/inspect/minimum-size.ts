import type { Disk, Extent } from '../disk/disk.ts';
import { alignUp, SECTOR_BYTES } from '../format/spec.ts';
import { fileSystemSize } from './file-system-size.ts';
import { decodeGptHeader, entriesByteLength, type GptHeader, LARGE_SECTOR_BYTES } from './gpt-header.ts';
import type { DiskContents, Partition } from './partition-table.ts';
import { PieceReader } from './piece-reader.ts';

/** What UEFI keeps free for the entries of a GPT at the least (UEFI specification 5.3.1). */
const MIN_ENTRIES_BYTES = 16 * 1024;
/** The end of a disk is looked at in pieces, each twice as large as the one behind it. */
const FIRST_WINDOW_BYTES = 1024 * 1024 * 1024;

/** Logical disk manager: its database is in the last MiB of the disk, behind all partitions. */
const LDM_TYPE = '0x42';

/** The part of a {@link Disk} that is needed. */
export type MeasuredDisk = Pick<Disk, 'size' | 'read' | 'extents'>;

/**
 * The smallest virtual size, in bytes, that a disk can be shrunk to without losing data: a multiple of 512 if the disk is one, never more
 * than its size.
 *
 * * With a partition table: the end of the last partition; with a GPT, behind it the room of the backup (its entries, at
 *   least 16 KiB, and its header). What lies behind the last partition does not count. All of a Windows dynamic disk, and
 *   where neither copy of a GPT can be read.
 * * A file system without a table: as many bytes as its superblock says. All of the disk where that is not known.
 * * Neither: the end of the last stretch that is stored; nothing is read to see whether that is zero.
 *
 * Free space within partitions and file systems is not looked for. Content never makes it throw.
 * @param disk the disk
 * @param contents what `listPartitions` says of it
 */
export async function minimumSize(disk: MeasuredDisk, contents: DiskContents): Promise<number> {
  const needed = await neededBytes(disk, contents);
  return Math.min(Math.max(alignUp(needed, SECTOR_BYTES), SECTOR_BYTES), disk.size);
}

/** A partition of a Windows dynamic disk, which keeps its database behind all partitions; undefined if there is none. */
export function dynamicDiskPartition(partitions: readonly Partition[]): Partition | undefined {
  return partitions.find(({ type }) => type === LDM_TYPE);
}

async function neededBytes(disk: MeasuredDisk, contents: DiskContents): Promise<number> {
  const { scheme, diskId, partitions, fileSystem } = contents;
  if (dynamicDiskPartition(partitions) !== undefined) return disk.size;
  const lastEnd = partitions.reduce((end, { start, length }) => Math.max(end, start + length), 0);
  if (scheme === 'gpt') {
    // Where neither copy is whole nobody knows what partitions there are.
    if (diskId === null) return disk.size;
    const ends = (await readHeaders(disk)).map((found) => gptEnd(found, lastEnd));
    return ends.length === 0 ? disk.size : Math.max(...ends);
  }
  if (lastEnd > 0) return lastEnd;
  if (fileSystem !== null) return (await fileSystemSize(new PieceReader(disk), fileSystem)) ?? disk.size;
  return endOfStored(disk);
}

interface FoundHeader {
  readonly header: GptHeader;
  readonly sectorBytes: number;
}

/** The whole headers: that in front, and that at the end of the disk, whose entries count where those in front are broken. */
async function readHeaders(disk: MeasuredDisk): Promise<FoundHeader[]> {
  const reader = new PieceReader(disk);
  for (const sectorBytes of [SECTOR_BYTES, LARGE_SECTOR_BYTES]) {
    const found: FoundHeader[] = [];
    for (const lba of [1, Math.floor(disk.size / sectorBytes) - 1]) {
      const sector = await reader.read(lba * sectorBytes, sectorBytes);
      const header = sector === undefined ? undefined : decodeGptHeader(sector, lba).header;
      if (header !== undefined) found.push({ header, sectorBytes });
    }
    if (found.length > 0) return found;
  }
  return [];
}

function gptEnd({ header, sectorBytes }: FoundHeader, lastEnd: number): number {
  const entriesBytes = alignUp(Math.max(MIN_ENTRIES_BYTES, entriesByteLength(header)), sectorBytes);
  const usedEnd = Math.max(lastEnd, header.firstUsableLba * sectorBytes);
  return alignUp(usedEnd, sectorBytes) + entriesBytes + sectorBytes;
}

/** Where the last stretch ends that has a place in the file, or of which nothing can be told. */
async function endOfStored(disk: MeasuredDisk): Promise<number> {
  let window = FIRST_WINDOW_BYTES;
  for (let end = disk.size; end > 0; window *= 2) {
    const start = Math.max(0, end - window);
    let last = 0;
    const note = (stretch: Pick<Extent, 'start' | 'length'>): void => {
      last = Math.max(last, stretch.start + stretch.length);
    };
    for await (const extent of disk.extents({ start, length: end - start, coarse: true, onUnknown: note })) {
      if (extent.kind === 'data') note(extent);
    }
    if (last > 0) return last;
    end = start;
  }
  return 0;
}

import { SECTOR_BYTES } from '../format/spec.ts';
import { HEAD_BYTES, readArea } from './area.ts';
import { contentsText, fileSystemText } from './contents-text.ts';
import { Fields } from './fields.ts';
import { decodeGptHeader } from './gpt-header.ts';
import type { FileSystem, ReadableDisk } from './partition-table.ts';
import { listPartitions } from './partitions.ts';
import { PieceReader } from './piece-reader.ts';

/** How far what is on a raw disk reaches. */
export interface Reach {
  /** The byte behind the last it claims; `Infinity` where it fills its disk, however large that is. */
  readonly end: number;
  /** What claims it, in a few words. */
  readonly what: string;
}

/** Sectors that a GPT may count in. */
const GPT_SECTOR_SIZES: readonly number[] = [SECTOR_BYTES, 4096];
const EXT_OFFSET = 1024;
const EXT_64_BIT = 0x80;
const BTRFS_OFFSET = 65_536;
const ISO_OFFSET = 32_768;

/**
 * How far a file reaches that is read as a raw disk, by its own structures: where a GPT says that its disk ends, where
 * partitions end, and where file systems end by their superblocks. Undefined if there is nothing of them. Rejects only
 * if reading does.
 */
export async function reachOf(file: ReadableDisk): Promise<Reach | undefined> {
  const contents = await listPartitions(file);
  const claims = contents.scheme === 'gpt' ? await gptReaches(file) : [];
  if (contents.fileSystem !== null) claims.push(await fileSystemReach(file, contents.fileSystem, 0, file.size));
  for (const { number, start, length, fileSystem } of contents.partitions) {
    claims.push({ end: start + length, what: `partition ${number}` });
    if (fileSystem === null) continue;
    const { end, what } = await fileSystemReach(file, fileSystem, start, length);
    // What does not tell its size has that of its partition.
    if (end !== Number.POSITIVE_INFINITY) claims.push({ end, what: `${what} in partition ${number}` });
  }
  if (claims.length === 0) return undefined;
  return claims.reduce((furthest, claim) => (claim.end > furthest.end ? claim : furthest), {
    end: 0,
    what: contentsText(contents),
  });
}

/** The headers name the place of the other copy, one of which is the last sector of the disk (UEFI 5.3.2). */
async function gptReaches(file: ReadableDisk): Promise<Reach[]> {
  const reader = new PieceReader(file);
  const reaches: Reach[] = [];
  for (const sectorBytes of GPT_SECTOR_SIZES) {
    const sector = await reader.read(sectorBytes, sectorBytes);
    const header = sector === undefined ? undefined : decodeGptHeader(sector, 1).header;
    if (header === undefined) continue;
    const lastLba = Math.max(header.alternateLba, header.lastUsableLba);
    reaches.push({ end: (lastLba + 1) * sectorBytes, what: 'the GPT' });
  }
  return reaches;
}

async function fileSystemReach(
  file: ReadableDisk,
  fileSystem: FileSystem,
  start: number,
  length: number,
): Promise<Reach> {
  const available = Math.max(0, Math.min(length, file.size - start));
  const { head } = await readArea(new PieceReader(file, start, available));
  const byteLength = ownByteLength(fileSystem.type, head) ?? Number.POSITIVE_INFINITY;
  return { end: start + byteLength, what: fileSystemText(fileSystem) };
}

/** Bytes of a file system as its superblock has them; undefined where it tells none, or they are not read here. */
function ownByteLength(type: string, head: Fields): number | undefined {
  // What is smaller holds nothing whose end matters: its place in the table, or the whole file, is counted.
  return head.byteLength < HEAD_BYTES ? undefined : LENGTHS.get(type)?.(head);
}

/** Blocks, whose upper half counts only with the feature for it, and the binary logarithm of their KiB. */
function extByteLength(head: Fields): number {
  const is64Bit = (head.u32(EXT_OFFSET + 96) & EXT_64_BIT) !== 0;
  const blocks = head.u32(EXT_OFFSET + 4) + (is64Bit ? head.u32(EXT_OFFSET + 336) * 2 ** 32 : 0);
  return blocks * 1024 * 2 ** head.u32(EXT_OFFSET + 24);
}

/** XFS; its numbers are big-endian. */
function xfsByteLength(head: Fields): number {
  const fields = new Fields(head.bytes(0, SECTOR_BYTES), 'big');
  return fields.u64(8) * fields.u32(4);
}

/** Where the superblocks have it, by the names of blkid. */
const LENGTHS: ReadonlyMap<string, (head: Fields) => number> = new Map([
  ['ext2', extByteLength],
  ['ext3', extByteLength],
  ['ext4', extByteLength],
  ['xfs', xfsByteLength],
  // The copy of the boot sector in the last sector is not counted.
  ['ntfs', (head) => (head.u64(40) + 1) * head.u16(11)],
  ['exfat', (head) => head.u64(72) * 2 ** head.u8(108)],
  ['vfat', (head) => (head.u16(19) || head.u32(32)) * head.u16(11)],
  // Of the device, not of all that it is one of.
  ['btrfs', (head) => head.u64(BTRFS_OFFSET + 209)],
  ['iso9660', (head) => head.u32(ISO_OFFSET + 80) * head.u16(ISO_OFFSET + 128)],
]);

import { checkRange } from '../errors.ts';
import { type Probe, readArea } from './area.ts';
import type { FileSystem, ReadableDisk } from './partition-table.ts';
import { PieceReader } from './piece-reader.ts';
import { probeFat } from './superblocks-fat.ts';
import { probeExt, probeF2fs, probeSquashfs, probeSwap, probeXfs, SIMPLE_PROBES } from './superblocks-linux.ts';
import { probeBitLocker, probeExfat, probeNtfs, probeRefs } from './superblocks-microsoft.ts';
import { probeApfs, probeIso, probeUfs } from './superblocks-other.ts';
import { probeLuks, probeLvm, probeRaid } from './superblocks-volumes.ts';

/**
 * In this order, the first that knows it decides: what holds a file system before the file systems, because a member of
 * a RAID with its superblock at the end looks like the file system in it; the weakest magics last.
 */
const PROBES: readonly Probe[] = [
  ...[probeRaid, probeLvm, probeLuks, probeBitLocker],
  ...[probeXfs, probeNtfs, probeExfat, probeRefs, probeSquashfs, ...SIMPLE_PROBES],
  ...[probeFat, probeSwap, probeExt, probeF2fs, probeIso, probeApfs, probeUfs],
];

/**
 * Tells which file system, or what else, fills a part of a disk; null if it is nothing known. Reads some 200 KiB.
 * @param disk what to read
 * @param start first byte of the part
 * @param length bytes of the part
 * @throws RangeError if the part does not lie on the disk
 * @throws VhdError if nothing was recognised and a place that would tell cannot be read
 */
export async function identifyFileSystem(
  disk: ReadableDisk,
  start: number,
  length: number,
): Promise<FileSystem | null> {
  checkRange('identifyFileSystem', start, length, disk.size);
  const reader = new PieceReader(disk, start, length);
  const found = await probeFileSystem(reader);
  const [damage] = reader.damage;
  if (found === null && damage !== undefined) throw damage.error;
  return found;
}

/** What fills a stretch; what could not be read of it is in the reader's damage. */
export async function probeFileSystem(reader: PieceReader): Promise<FileSystem | null> {
  const area = await readArea(reader);
  for (const probe of PROBES) {
    const found = await probe(area);
    if (found !== null) return found;
  }
  return null;
}

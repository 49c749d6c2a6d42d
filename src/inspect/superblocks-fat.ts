import { type Area, fileSystem, isPowerOfTwo } from './area.ts';
import { chainedEntries, DIRECTORY_ENTRY_BYTES, directoryEntries } from './cluster-chain.ts';
import type { Fields } from './fields.ts';
import type { FileSystem } from './partition-table.ts';

const SECTOR_SIZES: readonly number[] = [512, 1024, 2048, 4096];
const MAX_ROOT_BYTES = 64 * 1024;
/** Fewer clusters are FAT12, and fewer than the second FAT16 (Microsoft FAT specification, "FAT type determination"). */
const MIN_FAT16_CLUSTERS = 4085;
const MIN_FAT32_CLUSTERS = 65_525;
const LABEL_BYTES = 11;
const NO_NAME = 'NO NAME';

/** The parameters in the boot sector of a FAT file system; bytes from its start. */
interface FatParameters {
  readonly version: 'FAT12' | 'FAT16' | 'FAT32';
  readonly fatOffset: number;
  readonly rootOffset: number;
  readonly rootBytes: number;
  readonly heapOffset: number;
  readonly clusterBytes: number;
  readonly rootCluster: number;
}

/** FAT12, FAT16 and FAT32: the label of the root directory counts, not that of the boot sector, which gets stale. */
export async function probeFat({ head, reader }: Area): Promise<FileSystem | null> {
  const parameters = fatParameters(head);
  if (parameters === null) return null;
  const extension = parameters.version === 'FAT32' ? 64 : 36;
  const hasSerial = head.u8(extension + 2) === 0x28 || head.u8(extension + 2) === 0x29;
  const { version } = parameters;
  const label = await rootLabel(reader, parameters);
  return fileSystem('vfat', { version, label, uuid: hasSerial ? formatSerial(head.u32(extension + 3)) : null });
}

/** True if a sector holds the parameters of a FAT file system. */
export function isFatBootSector(sector: Fields): boolean {
  return fatParameters(sector) !== null;
}

/** A serial number of 32 bits as Windows and blkid show it. */
export function formatSerial(serial: number): string {
  const digits = serial.toString(16).toUpperCase().padStart(8, '0');
  return `${digits.slice(0, 4)}-${digits.slice(4)}`;
}

function fatParameters(head: Fields): FatParameters | null {
  if (head.byteLength < 512 || !hasBootMark(head)) return null;
  const [sectorBytes, clusterSectors, reserved, fatCount] = [head.u16(11), head.u8(13), head.u16(14), head.u8(16)];
  const media = head.u8(21);
  const isPossible =
    SECTOR_SIZES.includes(sectorBytes) &&
    isPowerOfTwo(clusterSectors) &&
    reserved > 0 &&
    (fatCount === 1 || fatCount === 2) &&
    (media === 0xf0 || media >= 0xf8);
  if (!isPossible) return null;
  return layoutOf(head, { sectorBytes, clusterSectors, reserved, fatCount });
}

/** A boot sector begins with a jump, or ends with the boot signature. */
function hasBootMark(head: Fields): boolean {
  return head.u8(0) === 0xeb || head.u8(0) === 0xe9 || head.u16(510) === 0xaa55;
}

interface FatSizes {
  readonly sectorBytes: number;
  readonly clusterSectors: number;
  readonly reserved: number;
  readonly fatCount: number;
}

function layoutOf(head: Fields, { sectorBytes, clusterSectors, reserved, fatCount }: FatSizes): FatParameters | null {
  const [shortFat, shortTotal, rootEntries] = [head.u16(22), head.u16(19), head.u16(17)];
  const fatSectors = shortFat === 0 ? head.u32(36) : shortFat;
  const totalSectors = shortTotal === 0 ? head.u32(32) : shortTotal;
  const rootSectors = Math.ceil((rootEntries * DIRECTORY_ENTRY_BYTES) / sectorBytes);
  const rootSector = reserved + fatCount * fatSectors;
  const clusterCount = Math.floor((totalSectors - rootSector - rootSectors) / clusterSectors);
  // FAT12 and FAT16 have their root directory in a place of its own, FAT32 has none.
  if (fatSectors === 0 || clusterCount < 1 || (shortFat === 0) !== (rootEntries === 0)) return null;
  const version = shortFat === 0 ? 'FAT32' : clusterCount < MIN_FAT16_CLUSTERS ? 'FAT12' : 'FAT16';
  if (version === 'FAT16' && clusterCount >= MIN_FAT32_CLUSTERS) return null;
  const bits = { FAT12: 12, FAT16: 16, FAT32: 32 }[version];
  if (fatSectors * sectorBytes * 8 < (clusterCount + 2) * bits) return null;
  return {
    version,
    fatOffset: reserved * sectorBytes,
    rootOffset: rootSector * sectorBytes,
    rootBytes: rootEntries * DIRECTORY_ENTRY_BYTES,
    heapOffset: (rootSector + rootSectors) * sectorBytes,
    clusterBytes: clusterSectors * sectorBytes,
    rootCluster: version === 'FAT32' ? head.u32(44) : 0,
  };
}

async function rootLabel(reader: Area['reader'], parameters: FatParameters): Promise<string | null> {
  if (parameters.version === 'FAT32') {
    const layout = { ...parameters, entryMask: 0x0fff_ffff };
    for await (const entry of chainedEntries(reader, layout, parameters.rootCluster)) {
      if (entry.u8(0) === 0) return null;
      if (isLabel(entry)) return labelOf(entry);
    }
    return null;
  }
  const length = Math.min(parameters.rootBytes, MAX_ROOT_BYTES);
  const root = (await reader.read(parameters.rootOffset, length)) ?? new Uint8Array(0);
  for (const entry of directoryEntries(root)) {
    if (entry.u8(0) === 0) return null;
    if (isLabel(entry)) return labelOf(entry);
  }
  return null;
}

/** Neither deleted nor a part of a long name, and marked as the label of the volume. */
function isLabel(entry: Fields): boolean {
  const attributes = entry.u8(11);
  return entry.u8(0) !== 0xe5 && (attributes & 0x3f) !== 0x0f && (attributes & 0x18) === 0x08;
}

function labelOf(entry: Fields): string | null {
  const label = entry.utf8(0, LABEL_BYTES);
  return label === NO_NAME ? null : label;
}

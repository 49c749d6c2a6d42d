import { readLatin1, readUint64, viewOf } from '../format/bytes.ts';
import type { DynamicHeader } from '../format/dynamic-header.ts';
import type { Footer } from '../format/footer.ts';
import { batByteLength } from '../format/layout.ts';
import { locatorSpaceBytes, MAX_NAME_BYTES, NO_PLATFORM } from '../format/parent-locator.ts';
import { BAT_ENTRY_BYTES, DYNAMIC_HEADER_BYTES, FOOTER_BYTES, SECTOR_BYTES } from '../format/spec.ts';
import type { Storage } from '../storage/storage.ts';
import type { FileRange } from './placement.ts';
import type { Examination } from './recognise.ts';

/** Names so far behind the end of a file are left free by new blocks. */
const REACHED_BYTES = 16 * 1024 * 1024;

/** The parts of a dynamic image that are not blocks. */
export interface Metadata {
  /** Footer copy, header, the entries of the table that are needed, parent names: no block may lie over them. */
  readonly needed: readonly FileRange[];
  /** What other programs may take for theirs besides: the table as long as it is said to be, batmap, the room of names. */
  readonly reserved: readonly FileRange[];
  /** Byte offset behind all of them and behind what else stands in front of the blocks: where the first block may go. */
  readonly end: number;
}

/** Finds them; reads one sector behind the table, where blktap keeps its batmap. */
export async function metadataRanges(
  storage: Storage,
  examination: Examination & { readonly footer: Footer },
  header: DynamicHeader,
  entryCount: number,
): Promise<Metadata> {
  const { dataOffset } = examination.footer;
  const dataLimit = examination.endFooterOffset ?? examination.fileSize;
  const clip = (end: number): number => Math.min(end, dataLimit);
  const needed: FileRange[] = [
    { start: 0, end: FOOTER_BYTES },
    { start: dataOffset, end: dataOffset + DYNAMIC_HEADER_BYTES },
    { start: header.tableOffset, end: header.tableOffset + entryCount * BAT_ENTRY_BYTES },
  ];
  const reserved: FileRange[] = [];
  const ends: number[] = [];
  for (const locator of header.parentLocators) {
    const { platformCode, dataOffset: start, dataByteLength } = locator;
    // What is no name takes nothing from the blocks.
    if (platformCode === NO_PLATFORM || start < 0 || dataByteLength > MAX_NAME_BYTES) continue;
    if (start + dataByteLength > dataLimit) {
      // The file was cut. A new block that went there would lie over a name as soon as the file has grown.
      if (start < dataLimit + REACHED_BYTES) ends.push(start + dataByteLength);
      continue;
    }
    // What is behind the name in its room is nothing yet; the unit of the room is not even certain.
    needed.push({ start, end: start + dataByteLength });
    const roomEnd = start + locatorSpaceBytes(locator);
    if (roomEnd <= dataLimit) reserved.push({ start, end: roomEnd });
  }
  // A table longer than needed is padding to us, but other programs read it to its end.
  const declaredEnd = header.tableOffset + batByteLength(header.maxTableEntries);
  if (declaredEnd <= dataLimit) {
    reserved.push({ start: header.tableOffset, end: clip(await batmapEnd(storage, declaredEnd, dataLimit)) });
  }
  ends.push(...[...needed, ...reserved].map((range) => range.end));
  return { needed, reserved, end: Math.max(...ends) };
}

/** Byte offset behind the batmap that blktap keeps behind the table (libvhd); `tableEnd` if there is none. */
export async function batmapEnd(storage: Storage, tableEnd: number, dataLimit: number): Promise<number> {
  if (tableEnd + SECTOR_BYTES > dataLimit) return tableEnd;
  const bytes = new Uint8Array(SECTOR_BYTES);
  await storage.read(bytes, tableEnd);
  if (readLatin1(bytes, 0, 8) !== 'tdbatmap') return tableEnd;
  const view = viewOf(bytes);
  const mapOffset = readUint64(view, 8) ?? 0;
  return Math.max(tableEnd + SECTOR_BYTES, mapOffset + view.getUint32(16) * SECTOR_BYTES);
}

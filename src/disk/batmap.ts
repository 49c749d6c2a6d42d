import { copyOf, readLatin1, readUint64, viewOf, writeUint64 } from '../format/bytes.ts';
import { checksumOf } from '../format/checksum.ts';
import type { DynamicHeader } from '../format/dynamic-header.ts';
import { batByteLength } from '../format/layout.ts';
import { alignUp, SECTOR_BYTES } from '../format/spec.ts';
import type { PlacedBytes, Storage } from '../storage/storage.ts';

const MAP_OFFSET_FIELD = 8;
const MAP_SECTORS_FIELD = 16;
const VERSION_FIELD = 20;
const CHECKSUM_FIELD = 24;
/** Versions from here on have a checksum over unsigned bytes (libvhd). */
const UNSIGNED_SINCE = 0x0001_0002;
/** Enough for a bit a block of the largest table that is held in memory. */
const MAX_MAP_BYTES = 1024 * 1024;

/** What blktap keeps behind the table: of which blocks every sector is there. */
export interface Batmap {
  /** Byte offset of its header, right behind the table. */
  readonly offset: number;
  /** The sector with its header. */
  readonly head: Uint8Array;
  /** Byte offset of the map. */
  readonly mapOffset: number;
  /** Bytes of the map, as its header says. */
  readonly byteLength: number;
  /** False if the map lies where it cannot, or is far too long. */
  readonly isPlaced: boolean;
  /** The map, a bit a block, the highest bit of a byte first. Zeros if it lies where it cannot: it then claims nothing. */
  readonly map: Uint8Array;
}

/** Reads it; undefined if there is none. `dataLimit` is where the footer stands. */
export async function readBatmap(
  storage: Storage,
  { tableOffset, maxTableEntries }: DynamicHeader,
  dataLimit: number,
): Promise<Batmap | undefined> {
  const offset = tableOffset + batByteLength(maxTableEntries);
  if (offset + SECTOR_BYTES > dataLimit) return undefined;
  const head = new Uint8Array(SECTOR_BYTES);
  await storage.read(head, offset);
  if (readLatin1(head, 0, 8) !== 'tdbatmap') return undefined;
  const view = viewOf(head);
  const mapOffset = readUint64(view, MAP_OFFSET_FIELD) ?? Number.MAX_SAFE_INTEGER;
  const byteLength = view.getUint32(MAP_SECTORS_FIELD) * SECTOR_BYTES;
  const isInside = mapOffset >= offset + SECTOR_BYTES && mapOffset + byteLength <= dataLimit;
  const isPlaced = isInside && byteLength <= MAX_MAP_BYTES;
  const map = new Uint8Array(isPlaced ? byteLength : 0);
  if (map.length > 0) await storage.read(map, mapOffset);
  return { offset, head, mapOffset, byteLength, isPlaced, map };
}

/** Bytes that a batmap for `entryCount` blocks takes, its header included. */
export function batmapByteLength(entryCount: number): number {
  return SECTOR_BYTES + mapByteLength(entryCount);
}

function mapByteLength(entryCount: number): number {
  return alignUp(Math.max(1, Math.ceil(entryCount / 8)), SECTOR_BYTES);
}

/**
 * A batmap somewhere else, header and map in a row.
 * @param oldCount entries of the table before: of no more blocks it says anything
 * @param entryCount entries of the table now
 */
export function movedBatmap(
  batmap: Batmap,
  position: number,
  { oldCount, entryCount }: { readonly oldCount: number; readonly entryCount: number },
): PlacedBytes {
  const map = new Uint8Array(mapByteLength(entryCount));
  map.set(batmap.map.subarray(0, map.length));
  clearFrom(map, Math.min(oldCount, entryCount));
  const head = headFor(batmap, position + SECTOR_BYTES, map);
  const bytes = new Uint8Array(head.length + map.length);
  bytes.set(head);
  bytes.set(map, head.length);
  return { position, bytes };
}

/**
 * The same where its map is: only the header goes to right behind a table that has become shorter, and what is said of
 * blocks from `firstGone` on is taken back.
 */
export function shortenedBatmap(batmap: Batmap, position: number, firstGone: number): PlacedBytes[] {
  const map = copyOf(batmap.map);
  clearFrom(map, firstGone);
  const parts = [{ position, bytes: headFor(batmap, batmap.mapOffset, map) }];
  return map.length === 0 ? parts : [...parts, { position: batmap.mapOffset, bytes: map }];
}

/** What of it has to change so that it says nothing of some blocks; empty if it says nothing of them. */
export function clearedBatmap(batmap: Batmap, blocks: Iterable<number>): PlacedBytes[] {
  const map = copyOf(batmap.map);
  let isChanged = false;
  for (const block of blocks) {
    const mask = 0x80 >> (block & 7);
    const byte = map[block >> 3] ?? 0;
    if ((byte & mask) === 0) continue;
    map[block >> 3] = byte & ~mask;
    isChanged = true;
  }
  if (!isChanged) return [];
  return [
    { position: batmap.offset, bytes: headFor(batmap, batmap.mapOffset, map) },
    { position: batmap.mapOffset, bytes: map },
  ];
}

/** True if it says something of a block from `entryCount` on. */
export function isBatmapStale({ map }: Batmap, entryCount: number): boolean {
  const kept = copyOf(map);
  clearFrom(kept, entryCount);
  return kept.some((byte, index) => byte !== map[index]);
}

function clearFrom(map: Uint8Array, firstBit: number): void {
  const byte = Math.floor(firstBit / 8);
  if (byte >= map.length) return;
  map[byte] = (map[byte] ?? 0) & (0xff00 >> (firstBit % 8)) & 0xff;
  map.fill(0, byte + 1);
}

/** The checksum that its header states, and the one that its map has. */
export function batmapChecksums({ head, map }: Batmap): { readonly stored: number; readonly computed: number } {
  const view = viewOf(head);
  return { stored: view.getUint32(CHECKSUM_FIELD), computed: checksumFor(view, map) };
}

function checksumFor(head: DataView, map: Uint8Array): number {
  if (head.getUint32(VERSION_FIELD) >= UNSIGNED_SINCE) return checksumOf(map, map.length);
  let sum = 0;
  for (const byte of map) sum += byte > 127 ? byte - 256 : byte;
  return ~sum >>> 0;
}

function headFor({ head }: Batmap, mapOffset: number, map: Uint8Array): Uint8Array {
  const bytes = copyOf(head);
  const view = viewOf(bytes);
  writeUint64(view, MAP_OFFSET_FIELD, mapOffset);
  view.setUint32(MAP_SECTORS_FIELD, map.length / SECTOR_BYTES);
  view.setUint32(CHECKSUM_FIELD, checksumFor(view, map));
  return bytes;
}

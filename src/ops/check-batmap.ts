import type { SoundExamination } from '../disk/recognise.ts';
import { hex, readLatin1, readUint64, viewOf } from '../format/bytes.ts';
import { checksumOf } from '../format/checksum.ts';
import type { DynamicHeader } from '../format/dynamic-header.ts';
import { batByteLength } from '../format/layout.ts';
import { type Finding, finding } from '../format/rules.ts';
import { SECTOR_BYTES } from '../format/spec.ts';
import type { Storage } from '../storage/storage.ts';

/** Enough for a bit a block of the largest table that is held in memory. */
const MAX_BATMAP_BYTES = 1024 * 1024;
/** Versions from here on have a checksum over unsigned bytes (libvhd). */
const UNSIGNED_SINCE = 0x0001_0002;

/**
 * Checks the batmap that blktap keeps behind the table: where it lies, and its checksum. Nothing is said of an image that has
 * none.
 */
export async function checkBatmap(
  storage: Storage,
  { endFooterOffset, fileSize }: SoundExamination,
  header: DynamicHeader,
): Promise<Finding[]> {
  const dataLimit = endFooterOffset ?? fileSize;
  const offset = header.tableOffset + batByteLength(header.maxTableEntries);
  if (offset + SECTOR_BYTES > dataLimit) return [];
  const bytes = new Uint8Array(SECTOR_BYTES);
  await storage.read(bytes, offset);
  if (readLatin1(bytes, 0, 8) !== 'tdbatmap') return [];
  const view = viewOf(bytes);
  const start = readUint64(view, 8) ?? Number.MAX_SAFE_INTEGER;
  const length = view.getUint32(16) * SECTOR_BYTES;
  if (start < offset + SECTOR_BYTES || start + length > dataLimit || length > MAX_BATMAP_BYTES) {
    const expected = `a place from ${offset + SECTOR_BYTES} to ${dataLimit}`;
    return [finding('batmap.range', { offset: offset + 8, expected, found: `${length} bytes at ${start}` })];
  }
  if (view.getUint32(20) < UNSIGNED_SINCE) return [];
  const map = new Uint8Array(length);
  await storage.read(map, start);
  const [stored, computed] = [view.getUint32(24), checksumOf(map, length)];
  if (stored === computed) return [];
  return [finding('batmap.checksum', { offset: offset + 24, expected: hex(computed), found: hex(stored) })];
}

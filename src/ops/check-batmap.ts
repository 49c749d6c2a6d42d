import { batmapChecksums, readBatmap } from '../disk/batmap.ts';
import type { SoundExamination } from '../disk/recognise.ts';
import { hex } from '../format/bytes.ts';
import type { DynamicHeader } from '../format/dynamic-header.ts';
import { type Finding, finding } from '../format/rules.ts';
import { SECTOR_BYTES } from '../format/spec.ts';
import type { Storage } from '../storage/storage.ts';

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
  const batmap = await readBatmap(storage, header, dataLimit);
  if (batmap === undefined) return [];
  const { offset, mapOffset, byteLength, isPlaced } = batmap;
  if (!isPlaced) {
    const expected = `a place from ${offset + SECTOR_BYTES} to ${dataLimit}`;
    return [finding('batmap.range', { offset: offset + 8, expected, found: `${byteLength} bytes at ${mapOffset}` })];
  }
  const { stored, computed } = batmapChecksums(batmap);
  if (stored === computed) return [];
  return [finding('batmap.checksum', { offset: offset + 24, expected: hex(computed), found: hex(stored) })];
}

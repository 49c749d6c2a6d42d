import { dataRuns } from '../format/zeros.ts';
import type { Storage } from '../storage/storage.ts';
import { type FindData, storedRanges } from './stored-ranges.ts';

const PIECE_BYTES = 1024 * 1024;

/** How to find the first data of a range of a storage; without a way to, all of it counts as data. */
export function dataFinder(storage: Storage): FindData {
  return async (position, length) =>
    storage.findData === undefined ? { start: position, length } : storage.findData(position, length);
}

/** True if all bytes from `start` to `end`, exclusive, are zero; holes are not read. */
export async function isZeroBetween(storage: Storage, start: number, end: number): Promise<boolean> {
  const piece = new Uint8Array(Math.min(PIECE_BYTES, Math.max(0, end - start)));
  for await (const stored of storedRanges(dataFinder(storage), start, end, true)) {
    const storedEnd = stored.start + stored.length;
    for (let position = stored.start; position < storedEnd; position += piece.length) {
      const bytes = piece.subarray(0, Math.min(piece.length, storedEnd - position));
      await storage.read(bytes, position);
      if (dataRuns(bytes, bytes.length).length > 0) return false;
    }
  }
  return true;
}

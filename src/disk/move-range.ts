import { type DataRun, dataRuns } from '../format/zeros.ts';
import { type Storage, type StoredRange, writeEach } from '../storage/storage.ts';
import { type FindData, storedRanges } from './stored-ranges.ts';

/** Of so many bytes, counted from the start of the file, most file systems store all or nothing. */
const PAGE_BYTES = 4096;

/**
 * Copies a range to another place of the same storage that it does not overlap. Written is what is not zero, and zeros only
 * over what is stored at the target: a sparse block stays sparse. Not durable before a flush.
 * @param range byte offsets of both places, and the length in bytes
 * @param buffer what is on its way at a time
 */
export async function moveRange(
  storage: Storage,
  range: { readonly from: number; readonly to: number; readonly length: number },
  buffer: Uint8Array,
): Promise<void> {
  const { from, to, length } = range;
  for (let done = 0; done < length; done += buffer.length) {
    const piece = buffer.subarray(0, Math.min(buffer.length, length - done));
    const target = to + done;
    const runs = await readRuns(storage, piece, from + done, target);
    for await (const { start, length: stored } of storedParts(storage, target, piece.length, false)) {
      runs.push({ start: start - target, length: stored });
    }
    const writes = joined(runs).map((run) => {
      return { position: target + run.start, bytes: piece.subarray(run.start, run.start + run.length) };
    });
    await writeEach(storage, writes);
  }
}

/** Fills a piece with what is stored at `from`; the stretches of it that are not zero, in grains of the target. */
async function readRuns(storage: Storage, piece: Uint8Array, from: number, target: number): Promise<DataRun[]> {
  piece.fill(0);
  const runs: DataRun[] = [];
  for await (const range of storedParts(storage, from, piece.length, true)) {
    const start = range.start - from;
    const bytes = piece.subarray(start, start + range.length);
    await storage.read(bytes, range.start);
    for (const run of dataRuns(bytes, PAGE_BYTES, target + start)) {
      runs.push({ start: start + run.start, length: run.length });
    }
  }
  return runs;
}

function storedParts(storage: Storage, position: number, length: number, coarse: boolean): AsyncIterable<StoredRange> {
  const find: FindData = async (start, left) => {
    return storage.findData === undefined ? { start, length: left } : storage.findData(start, left);
  };
  return storedRanges(find, position, position + length, coarse);
}

/** Stretches in order, those that overlap or touch as one. */
function joined(runs: DataRun[]): DataRun[] {
  const result: { start: number; length: number }[] = [];
  for (const { start, length } of runs.sort((first, second) => first.start - second.start)) {
    const last = result.at(-1);
    if (last === undefined || last.start + last.length < start) result.push({ start, length });
    else last.length = Math.max(last.length, start + length - last.start);
  }
  return result;
}

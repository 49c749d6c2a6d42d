import { type DataRun, dataRuns } from '../format/zeros.ts';
import { type Storage, type StoredRange, writeEach } from '../storage/storage.ts';
import { storedRanges } from './stored-ranges.ts';
import { dataFinder } from './zero-between.ts';

/** Of so many bytes, counted from the start of the file, most file systems store all or nothing. */
const PAGE_BYTES = 4096;

/** Where a range is moved from and to. */
export interface MovePlaces {
  /** Where it is. */
  readonly source: Storage;
  /** Where it goes; may be the same. */
  readonly target: Storage;
  /** True if the target is known to have zeros there. Default false. */
  readonly isBlank?: boolean;
}

/**
 * Copies a range of a storage to another place, in another storage or in the same one where the two do not overlap. Written
 * is what is not zero, and zeros only over what is stored at the target: a sparse block stays sparse. Not durable before a flush.
 * @param places the two storages; `isBlank` says that the target has zeros there, as a new file has
 * @param range byte offsets of both places, and the length in bytes
 * @param buffer what is on its way at a time
 * @returns bytes that were written
 */
export async function moveRange(
  { source, target, isBlank = false }: MovePlaces,
  range: { readonly from: number; readonly to: number; readonly length: number },
  buffer: Uint8Array,
): Promise<number> {
  const { from, to, length } = range;
  let writtenBytes = 0;
  for (let done = 0; done < length; done += buffer.length) {
    const piece = buffer.subarray(0, Math.min(buffer.length, length - done));
    const position = to + done;
    const runs = await readRuns(source, piece, from + done, position);
    if (!isBlank) {
      for await (const stored of storedParts(target, position, piece.length, false)) {
        runs.push({ start: stored.start - position, length: stored.length });
      }
    }
    const writes = joined(runs).map(({ start, length: runBytes }) => {
      return { position: position + start, bytes: piece.subarray(start, start + runBytes) };
    });
    await writeEach(target, writes);
    writtenBytes += writes.reduce((sum, { bytes }) => sum + bytes.length, 0);
  }
  return writtenBytes;
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
  return storedRanges(dataFinder(storage), position, position + length, coarse);
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

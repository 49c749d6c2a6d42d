import { type FindData, storedRanges } from '../disk/stored-ranges.ts';
import { dataRuns } from '../format/zeros.ts';
import type { FileOptions } from '../open-source.ts';
import type { Storage } from '../storage/storage.ts';
import { piecesOf } from '../stream/read-ahead.ts';
import type { Watched } from './check-bitmaps.ts';
import { OutputFile } from './output-file.ts';
import { ProgressMeter } from './progress.ts';
import { refuseSameFile } from './same-file.ts';

const PIECE_BYTES = 1024 * 1024;
/** What is zero in pieces of this size becomes a hole. */
const HOLE_BYTES = 64 * 1024;

/** How a copy is written. */
export interface CopyOptions extends Watched, Pick<FileOptions, 'lock'> {
  /** Replace a file that exists. */
  readonly force?: boolean | undefined;
  /** Asked when everything is written and the file not there yet: whether the source is still what it was. */
  readonly beforeCommit: () => Promise<void>;
}

/** Writes an image as it would be to a new file. */
export async function copyDraft(
  draft: Storage,
  source: string,
  output: string,
  { force, lock, signal, onProgress, beforeCommit }: CopyOptions,
): Promise<{ readonly copiedBytes: number; readonly skippedBytes: number }> {
  await refuseSameFile(source, output);
  const byteLength = await draft.size();
  const file = await OutputFile.create(output, { force, lock });
  const meter = new ProgressMeter('copy', byteLength, onProgress);
  try {
    await copyStored(draft, (bytes, position) => file.storage.write(bytes, position), { meter, signal });
    await file.storage.truncate(byteLength);
    await beforeCommit();
    await file.commit();
  } catch (error) {
    await file.discard();
    throw error;
  }
  meter.finish();
  return { copiedBytes: meter.copiedBytes, skippedBytes: meter.skippedBytes };
}

/** Hands on what of a storage is not zero, in grains of 64 KiB; what it does not store is not read. */
export async function copyStored(
  draft: Storage,
  write: (bytes: Uint8Array, position: number) => Promise<void>,
  { meter, signal }: { readonly meter: ProgressMeter; readonly signal?: AbortSignal | undefined },
): Promise<void> {
  const byteLength = await draft.size();
  const buffer = new Uint8Array(Math.min(PIECE_BYTES, byteLength));
  const find: FindData = async (position, length) =>
    draft.findData === undefined ? { start: position, length } : draft.findData(position, length);
  let done = 0;
  for await (const range of storedRanges(find, 0, byteLength, true)) {
    for (const { start, length } of piecesOf(range.start, range.start + range.length, PIECE_BYTES)) {
      signal?.throwIfAborted();
      meter.skipped(start - done);
      done = start + length;
      const piece = buffer.subarray(0, length);
      await draft.read(piece, start);
      let copied = 0;
      for (const run of dataRuns(piece, HOLE_BYTES, start)) {
        await write(piece.subarray(run.start, run.start + run.length), start + run.start);
        copied += run.length;
      }
      meter.copied(copied);
      meter.skipped(length - copied);
    }
  }
  meter.skipped(byteLength - done);
}

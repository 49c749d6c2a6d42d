import { dataRuns } from '../format/zeros.ts';
import type { FileOptions } from '../open-source.ts';
import type { Storage } from '../storage/storage.ts';
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
}

/** Writes an image as it would be to a new file. */
export async function copyDraft(
  draft: Storage,
  source: string,
  output: string,
  { force, lock, signal, onProgress }: CopyOptions,
): Promise<{ readonly copiedBytes: number; readonly skippedBytes: number }> {
  await refuseSameFile(source, output);
  const byteLength = await draft.size();
  const file = await OutputFile.create(output, { force, lock });
  const meter = new ProgressMeter('copy', byteLength, onProgress);
  try {
    const buffer = new Uint8Array(Math.min(PIECE_BYTES, byteLength));
    for (let position = 0; position < byteLength; position += buffer.length) {
      signal?.throwIfAborted();
      const piece = buffer.subarray(0, Math.min(buffer.length, byteLength - position));
      await draft.read(piece, position);
      let copied = 0;
      for (const { start, length } of dataRuns(piece, HOLE_BYTES)) {
        await file.storage.write(piece.subarray(start, start + length), position + start);
        copied += length;
      }
      meter.copied(copied);
      meter.skipped(piece.length - copied);
    }
    await file.storage.truncate(byteLength);
    await file.commit();
  } catch (error) {
    await file.discard();
    throw error;
  }
  meter.finish();
  return { copiedBytes: meter.copiedBytes, skippedBytes: meter.skippedBytes };
}

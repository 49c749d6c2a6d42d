import { batmapWithout } from '../disk/compact-batmap.ts';
import { encodedTable, movedHeader, sideBySide } from '../disk/compact-blocks.ts';
import type { Compaction } from '../disk/compact-image.ts';
import { offsetAt } from '../disk/compact-order.ts';
import { placeOf } from '../disk/compact-plan.ts';
import { moveRange } from '../disk/move-range.ts';
import type { SoundExamination } from '../disk/recognise.ts';
import { encodeFooter } from '../format/footer.ts';
import { blockEnd } from '../format/layout.ts';
import { SECTOR_BYTES, UNUSED_BAT_ENTRY } from '../format/spec.ts';
import type { PlacedBytes, Storage } from '../storage/storage.ts';
import type { CompactOptions } from './compact-options.ts';
import { nameParentFrom } from './copied-child.ts';
import { OutputFile } from './output-file.ts';
import { ProgressMeter } from './progress.ts';

const FRONT_BYTES = 1024 * 1024;

/** What was written to a new file. */
export interface CopiedImage {
  /** Bytes that were copied. */
  readonly copiedBytes: number;
  /** Bytes of blocks that are zero and were not. */
  readonly skippedBytes: number;
  /** Bytes of the file. */
  readonly fileSize: number;
}

/** What a copy is made of. */
export interface CopySource {
  /** The image. */
  readonly storage: Storage;
  /** Its path. */
  readonly path: string;
  /** That of its parent; undefined if it has none, or that is not there. */
  readonly parentPath: string | undefined;
  /** Asked when everything is written and the file not there yet: whether the image is still what it was. */
  readonly beforeCommit: () => Promise<void>;
}

/** Writes an image as compacting it in place would leave it, to a new file that appears when it is complete. */
export async function writeCompacted(
  { storage, path, parentPath, beforeCommit }: CopySource,
  image: SoundExamination,
  { found, plan }: Compaction,
  options: CompactOptions & { readonly output: string },
): Promise<CopiedImage> {
  const { output, force, lock, signal, onProgress } = options;
  const { layout, metadata, table, context } = found;
  const file = await OutputFile.create(output, { force, lock });
  const blockBytes = layout.blockSize + layout.bitmapBytes;
  let fileSize: number;
  const meter = new ProgressMeter('copy', plan.kept.length * blockBytes, onProgress);
  const places = { source: storage, target: file.storage, isBlank: true };
  try {
    for (const { start, end } of [...metadata.needed, ...metadata.reserved]) {
      const isMoved = start === context.tableOffset && plan.tableOffset !== undefined;
      if (isMoved) continue;
      await moveRange(places, { from: start, to: start, length: end - start }, new Uint8Array(FRONT_BYTES));
    }
    await sideBySide(plan.kept.length, blockBytes, async (index, buffer) => {
      signal?.throwIfAborted();
      const from = offsetAt(table, plan.kept, index);
      const length = Math.min(blockEnd(layout, from), context.dataLimit) - from;
      const range = { from, to: placeOf(plan, found, index) * SECTOR_BYTES, length };
      const copied = await moveRange(places, range, buffer);
      meter.copied(copied);
      meter.skipped(blockBytes - copied);
    });
    for (const blockIndex of plan.dropped) table.set(blockIndex, UNUSED_BAT_ENTRY);
    for (const [index, blockIndex] of plan.kept.entries()) table.set(blockIndex, placeOf(plan, found, index));
    const writes: PlacedBytes[] = [
      ...(await batmapWithout(storage, image, plan.dropped)),
      { position: 0, bytes: encodeFooter(image.footer) },
      ...(plan.tableOffset === undefined
        ? table.takeDirty()
        : [
            { position: plan.tableOffset, bytes: encodedTable(image, table) },
            await movedHeader(storage, image, plan.tableOffset),
          ]),
      { position: plan.footerOffset, bytes: encodeFooter(image.footer) },
    ];
    for (const { position, bytes } of writes) await file.storage.write(bytes, position);
    if (parentPath !== undefined) await nameParentFrom({ storage: file.storage, source: path, output, parentPath });
    signal?.throwIfAborted();
    await beforeCommit();
    fileSize = await file.commit();
  } catch (error) {
    await file.discard();
    throw error;
  }
  meter.finish();
  return { copiedBytes: meter.copiedBytes, skippedBytes: meter.skippedBytes, fileSize };
}

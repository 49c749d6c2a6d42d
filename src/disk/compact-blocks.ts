import { viewOf, writeUint64 } from '../format/bytes.ts';
import { checksumOf } from '../format/checksum.ts';
import { encodeFooter } from '../format/footer.ts';
import { batByteLength, blockEnd } from '../format/layout.ts';
import { BAT_ENTRY_BYTES, DYNAMIC_HEADER_BYTES, SECTOR_BYTES, UNUSED_BAT_ENTRY } from '../format/spec.ts';
import { settleAll } from '../storage/settle.ts';
import { type PlacedBytes, type Storage, writeEach } from '../storage/storage.ts';
import type { BlockTable } from './block-table.ts';
import { offsetAt } from './compact-order.ts';
import type { CompactPlan } from './compact-plan.ts';
import { writeZeros } from './flat.ts';
import { moveRange } from './move-range.ts';
import { type FoundBlocks, restoreFooters } from './open-blocks.ts';
import type { SoundExamination } from './recognise.ts';

/** Blocks on their way at a time. */
const WORKERS = 3;
const PIECE_BYTES = 2 * 1024 * 1024;
/** So much is copied between two changes of the table: what a crash, or an abort, lets be copied once more. */
const BATCH_BYTES = 256 * 1024 * 1024;
const TABLE_OFFSET_FIELD = 16;
const HEADER_CHECKSUM_FIELD = 36;

/** How a plan is carried out. */
export interface CompactBlocksOptions {
  /** Stops it; what is there then is a whole image. */
  readonly signal?: AbortSignal | undefined;
  /** Hears of bytes that were copied. */
  readonly onCopied?: ((byteLength: number) => void) | undefined;
}

/**
 * Compacts an image in place by a plan that was made of it as it is; rejects with what the storage rejects with.
 *
 * In the file there is at any moment an image that reads the same: entries of blocks that go are durable before anything
 * is written over their places; a moved block is durable before its entry, and its entry before what it leaves is cut
 * off; nothing is written to places that blocks leave until the new footer stands in front of them. So no journal is
 * needed: stopped anywhere, at worst space is leaked, and doing it again finishes it.
 */
export async function compactBlocks(
  storage: Storage,
  image: SoundExamination,
  work: { readonly found: FoundBlocks; readonly plan: CompactPlan },
  options: CompactBlocksOptions,
): Promise<void> {
  const { found, plan } = work;
  const footerOffset = await restoreFooters(storage, image, found.layout, found.usedEnd);
  for (const blockIndex of plan.dropped) found.table.set(blockIndex, UNUSED_BAT_ENTRY);
  await commitTable(storage, found);
  await moveBlocks(storage, work, options);
  options.signal?.throwIfAborted();
  if (plan.tableOffset !== undefined) await moveTable(storage, image, found, plan.tableOffset);
  await endAt(storage, image, plan, footerOffset);
}

/** Writes what of the table changed, durably. */
async function commitTable(storage: Storage, { table }: FoundBlocks): Promise<void> {
  const changed = table.takeDirty();
  if (changed.length === 0) return;
  await writeEach(storage, changed);
  await storage.flush();
}

async function moveBlocks(
  storage: Storage,
  { found, plan }: { readonly found: FoundBlocks; readonly plan: CompactPlan },
  { signal, onCopied }: CompactBlocksOptions,
): Promise<void> {
  const { kept, places, movedCount } = plan;
  const { table, layout, context } = found;
  const perBatch = Math.max(1, Math.floor(BATCH_BYTES / layout.blockSize));
  for (let start = 0; start < movedCount; start += perBatch) {
    const end = Math.min(movedCount, start + perBatch);
    await sideBySide(end - start, layout.blockSize + layout.bitmapBytes, async (count, buffer) => {
      signal?.throwIfAborted();
      const from = offsetAt(table, kept, kept.length - 1 - start - count);
      const length = Math.min(blockEnd(layout, from), context.dataLimit) - from;
      await moveRange(
        { source: storage, target: storage },
        { from, to: (places[start + count] ?? 0) * SECTOR_BYTES, length },
        buffer,
      );
      onCopied?.(length);
    });
    await storage.flush();
    for (let index = start; index < end; index++) table.set(kept[kept.length - 1 - index] ?? 0, places[index] ?? 0);
    await commitTable(storage, found);
  }
}

/**
 * Does `count` jobs, some at a time, each with a buffer for `byteLength` bytes, or a part of them where that is much. After a
 * failure no other is begun.
 */
export async function sideBySide(
  count: number,
  byteLength: number,
  job: (index: number, buffer: Uint8Array) => Promise<void>,
): Promise<void> {
  let next = 0;
  const work = async (): Promise<void> => {
    const buffer = new Uint8Array(byteLength <= PIECE_BYTES * 2 ? byteLength : PIECE_BYTES);
    try {
      while (next < count) await job(next++, buffer);
    } catch (error) {
      next = count;
      throw error;
    }
  };
  await settleAll(Array.from({ length: Math.min(count, WORKERS) }, work));
}

/** Writes the table anew, durably, and then has the header name it, by a sector that is written whole or not at all. */
async function moveTable(
  storage: Storage,
  image: SoundExamination,
  { table }: FoundBlocks,
  tableOffset: number,
): Promise<void> {
  await storage.write(encodedTable(image, table), tableOffset);
  await storage.flush();
  const { bytes, position } = await movedHeader(storage, image, tableOffset);
  await storage.write(bytes, position);
  await storage.flush();
}

/** The table as long as the header says it is; what is behind the entries that are needed is unused. */
export function encodedTable({ header }: SoundExamination, table: BlockTable): Uint8Array {
  const bytes = new Uint8Array(batByteLength(header?.maxTableEntries ?? 0)).fill(0xff);
  const entries = viewOf(bytes);
  for (const blockIndex of table.allocated()) {
    entries.setUint32(blockIndex * BAT_ENTRY_BYTES, table.sectorOf(blockIndex));
  }
  return bytes;
}

/** The first sector of the header with another place for the table. */
export async function movedHeader(
  storage: Storage,
  { footer }: SoundExamination,
  tableOffset: number,
): Promise<PlacedBytes> {
  const header = new Uint8Array(DYNAMIC_HEADER_BYTES);
  await storage.read(header, footer.dataOffset);
  const view = viewOf(header);
  writeUint64(view, TABLE_OFFSET_FIELD, tableOffset);
  view.setUint32(HEADER_CHECKSUM_FIELD, checksumOf(header, HEADER_CHECKSUM_FIELD));
  return { position: footer.dataOffset, bytes: header.subarray(0, SECTOR_BYTES) };
}

/** The footer goes to the end of what is in use, and what is behind it goes; in between there is nothing but zeros. */
async function endAt(
  storage: Storage,
  { footer }: SoundExamination,
  { usedEnd, footerOffset, fileSize }: CompactPlan,
  oldOffset: number,
): Promise<void> {
  if (footerOffset >= oldOffset) return;
  await writeZeros(storage, usedEnd, footerOffset - usedEnd);
  await storage.write(encodeFooter(footer), footerOffset);
  await storage.flush();
  await storage.truncate(fileSize);
  await storage.flush();
}

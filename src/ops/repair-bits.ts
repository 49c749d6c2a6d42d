import { isZeroBetween } from '../disk/zero-between.ts';
import { areAllSet, decodeBitmap, setSectors } from '../format/bitmap.ts';
import type { RuleId } from '../format/rules.ts';
import { SECTOR_BYTES } from '../format/spec.ts';
import { readEach } from '../storage/storage.ts';
import {
  blockExamination,
  blocksOf,
  left,
  type MendContext,
  type Mender,
  type MendOutcome,
  mended,
  type RepairBlocks,
} from './repair-context.ts';
import type { Draft } from './repair-draft.ts';

/** What mends bitmaps, where that is asked for. */
export const BITMAP_MENDERS: Partial<Record<RuleId, Mender>> = {
  'bitmap.data-under-clear-bit': setBits,
  'bitmap.partial': setBits,
};

/** Blocks whose bitmaps are read in one go. */
const BATCH_BLOCKS = 64;

/** Marks every sector of every block as written: what stands in them is then what every program reads. */
async function setBits({ draft, image, permits }: MendContext): Promise<MendOutcome> {
  const examination = blockExamination(image);
  if (!permits.setBits) return left('--set-bits marks every sector as written', 'setBits');
  if (examination === undefined) return left('header and footer have to be mended first');
  if (image.findings.some(({ rule }) => rule === 'bat.misaligned')) {
    return left('some blocks lie on another alignment than the others: perhaps what is taken for their bitmap is none');
  }
  const blocks = await blocksOf(draft, examination);
  const isByBlktap = examination.footer.creatorApplication.startsWith('tap');
  const counts = { set: 0, kept: 0 };
  const { table } = blocks.context;
  let next: number | undefined = 0;
  while (next !== undefined) {
    const batch = table.allocatedFrom(next, table.entryCount, BATCH_BLOCKS);
    const sound = batch.filter((blockIndex) => blocks.placement.bad.ruleOf(blockIndex) === undefined);
    await setInBatch(draft, blocks, sound, { counts, isByBlktap });
    const last = batch.at(-1);
    next = last === undefined ? undefined : last + 1;
  }
  const kept = counts.kept === 0 ? '' : `; not in ${counts.kept}, where blktap left what the volume held before`;
  return counts.set === 0 ? left(`nothing to set${kept}`) : mended(`all bits of ${counts.set} blocks are set${kept}`);
}

interface How {
  readonly counts: { set: number; kept: number };
  /** Then what is not zero under bits that are not set means zeros, and must not come to light. */
  readonly isByBlktap: boolean;
}

async function setInBatch(
  draft: Draft,
  { context, layout }: RepairBlocks,
  blockIndexes: readonly number[],
  { counts, isByBlktap }: How,
): Promise<void> {
  const reads = blockIndexes.map((blockIndex) => ({
    position: context.table.sectorOf(blockIndex) * SECTOR_BYTES,
    bytes: new Uint8Array(layout.bitmapBytes),
  }));
  await readEach(draft, reads);
  const sectorCount = layout.blockSize / SECTOR_BYTES;
  for (const [index, { position, bytes }] of reads.entries()) {
    const dataBytes = Math.min(layout.blockSize, context.virtualSize - (blockIndexes[index] ?? 0) * layout.blockSize);
    if (areAllSet(bytes, Math.ceil(dataBytes / SECTOR_BYTES))) continue;
    if (isByBlktap && !(await isZeroUnderClear(draft, bytes, position + layout.bitmapBytes, sectorCount))) {
      counts.kept++;
      continue;
    }
    setSectors(bytes, 0, sectorCount);
    await draft.write(bytes, position);
    counts.set++;
  }
}

async function isZeroUnderClear(draft: Draft, bitmap: Uint8Array, data: number, sectorCount: number): Promise<boolean> {
  const end = await draft.size();
  for (const run of decodeBitmap(bitmap, sectorCount)) {
    const start = data + run.sector * SECTOR_BYTES;
    const stop = Math.min(start + run.sectorCount * SECTOR_BYTES, end);
    if (!run.isSet && !(await isZeroBetween(draft, start, stop))) return false;
  }
  return true;
}

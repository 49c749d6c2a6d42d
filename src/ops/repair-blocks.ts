import { formatBytes } from '../format/byte-count.ts';
import type { RuleId } from '../format/rules.ts';
import { BAT_ENTRY_BYTES, SECTOR_BYTES, UNUSED_BAT_ENTRY } from '../format/spec.ts';
import {
  blockExamination,
  blocksOf,
  type LostRange,
  left,
  losing,
  type MendContext,
  type Mender,
  type MendOutcome,
  type RepairBlocks,
} from './repair-context.ts';

/** What mends a table whose entries cannot be right: which of two is wrong is never guessed. */
export const BLOCK_MENDERS: Partial<Record<RuleId, Mender>> = {
  'file.truncated': completeBlocks,
  'bat.out-of-file': dropBlocks('bat.out-of-file'),
  'bat.in-metadata': dropBlocks('bat.in-metadata'),
  'bat.overlap': dropBlocks('bat.overlap'),
};

/** Ends the file where the last block does that it holds a part of: what is missing of it is zeros. */
async function completeBlocks(context: MendContext): Promise<MendOutcome> {
  const { draft, image, permits } = context;
  const examination = blockExamination(image);
  if (examination === undefined) return left('header and footer have to be mended first');
  const blocks = await blocksOf(draft, examination);
  const { context: placing, layout } = blocks;
  const byteLength = await draft.size();
  const cut = badBlocks(blocks, 'bat.out-of-file').filter(
    (blockIndex) => placing.table.sectorOf(blockIndex) * SECTOR_BYTES + layout.bitmapBytes < byteLength,
  );
  if (cut.length === 0 || (permits.dropBlocks && !permits.zeroFill)) {
    return left('no block has a part in the file: copy it again from where it came from, or --drop-blocks');
  }
  const ends = cut.map((index) => placing.table.sectorOf(index) * SECTOR_BYTES + layout.bitmapBytes + layout.blockSize);
  const ranges = cut.map((blockIndex): LostRange => {
    const { start, length } = rangeOf(blocks, blockIndex);
    const stored = byteLength - placing.table.sectorOf(blockIndex) * SECTOR_BYTES - layout.bitmapBytes;
    return { start: start + stored, length: Math.max(0, length - stored), fileOffset: null };
  });
  const message = `the end of ${told(cut)}, ${formatBytes(sum(ranges))} that are not in the file, are zeros: a copy that is whole has them`;
  const loss = { rule: 'file.truncated', option: 'zeroFill', message, ranges } as const;
  return losing(context, loss, `what the file does not hold of ${told(cut)} is zeros`, () =>
    draft.truncate(Math.max(...ends)),
  );
}

/** Sets the blocks aside that break a rule. */
function dropBlocks(rule: RuleId): Mender {
  return async (context) => {
    const { draft, image } = context;
    const examination = blockExamination(image);
    if (examination === undefined) return left('header and footer have to be mended first');
    const blocks = await blocksOf(draft, examination);
    const bad = badBlocks(blocks, rule);
    const ranges = bad.map((blockIndex) => rangeOf(blocks, blockIndex));
    const instead = image.examination.type === 'differencing' ? 'what the parent holds' : 'zeros';
    const where = rule === 'bat.overlap' ? '; their bytes stay in the file, at the offsets that are told' : '';
    const message = `${told(bad)}, ${formatBytes(sum(ranges))} of the disk, read as ${instead}${where}`;
    return losing(context, { rule, option: 'dropBlocks', message, ranges }, `${told(bad)} set aside`, async () => {
      const entry = new Uint8Array(BAT_ENTRY_BYTES).fill(UNUSED_BAT_ENTRY & 0xff);
      const { tableOffset } = examination.header;
      for (const blockIndex of bad) await draft.write(entry, tableOffset + blockIndex * BAT_ENTRY_BYTES);
    });
  };
}

function badBlocks({ context, placement }: RepairBlocks, rule: RuleId): number[] {
  return [...context.table.allocated()].filter((blockIndex) => placement.bad.ruleOf(blockIndex) === rule);
}

function rangeOf({ context, layout }: RepairBlocks, blockIndex: number): LostRange {
  const start = blockIndex * layout.blockSize;
  const length = Math.min(layout.blockSize, context.virtualSize - start);
  const offset = context.table.sectorOf(blockIndex) * SECTOR_BYTES + layout.bitmapBytes;
  return { start, length, fileOffset: offset < context.dataLimit ? offset : null };
}

function sum(ranges: readonly LostRange[]): number {
  return ranges.reduce((total, { length }) => total + length, 0);
}

function told(blockIndexes: readonly number[]): string {
  const [first = 0] = blockIndexes;
  return blockIndexes.length === 1 ? `block ${first}` : `${blockIndexes.length} blocks (the first is block ${first})`;
}

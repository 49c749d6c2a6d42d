import { formatBytes } from '../format/byte-count.ts';
import type { RuleId } from '../format/rules.ts';
import { BAT_ENTRY_BYTES, SECTOR_BYTES, UNUSED_BAT_ENTRY } from '../format/spec.ts';
import { isTableOverOther } from './repair-blocks-row.ts';
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
  const lastSector = cut.reduce((last, index) => Math.max(last, placing.table.sectorOf(index)), 0);
  const lost = lostRanges(cut, (blockIndex) => {
    const { start, length } = rangeOf(blocks, blockIndex);
    const stored = byteLength - placing.table.sectorOf(blockIndex) * SECTOR_BYTES - layout.bitmapBytes;
    return { start: start + stored, length: Math.max(0, length - stored), fileOffset: null };
  });
  const { ranges } = lost;
  const message = `the end of ${told(cut)}, ${formatBytes(lost.byteLength)} that are not in the file, are zeros: a copy that is whole has them${lost.more}`;
  const loss = { rule: 'file.truncated', option: 'zeroFill', message, ranges } as const;
  return losing(context, loss, `what the file does not hold of ${told(cut)} is zeros`, () =>
    draft.truncate(lastSector * SECTOR_BYTES + layout.bitmapBytes + layout.blockSize),
  );
}

/** Sets the blocks aside that break a rule. */
function dropBlocks(rule: RuleId): Mender {
  return async (context) => {
    const { draft, image } = context;
    const examination = blockExamination(image);
    if (examination === undefined) return left('header and footer have to be mended first');
    const blocks = await blocksOf(draft, examination);
    if (isTableOverOther(blocks)) {
      return left(
        'the table lies over the name of the parent, so that its offset is wrong: --rebuild-bat finds it',
        'rebuildBat',
      );
    }
    const bad = badBlocks(blocks, rule);
    const { ranges, byteLength, more } = lostRanges(bad, (blockIndex) => rangeOf(blocks, blockIndex));
    const instead = image.examination.type === 'differencing' ? 'what the parent holds' : 'zeros';
    const where = rule === 'bat.overlap' ? '; their bytes stay in the file, at the offsets that are told' : '';
    const message = `${told(bad)}, ${formatBytes(byteLength)} of the disk, read as ${instead}${where}${more}`;
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

/** So many stretches are told one by one. */
const MAX_RANGES = 1000;

interface LostRanges {
  readonly ranges: readonly LostRange[];
  /** Bytes of all of them, told or not. */
  readonly byteLength: number;
  /** How many are not told, to be put behind a sentence; empty if all are. */
  readonly more: string;
}

/** The stretches that are lost, those that follow each other on the disk and in the file joined: a table can have a million. */
function lostRanges(blockIndexes: readonly number[], rangeFor: (blockIndex: number) => LostRange): LostRanges {
  const ranges: LostRange[] = [];
  let last: LostRange | undefined;
  let byteLength = 0;
  let untold = 0;
  for (const blockIndex of blockIndexes) {
    const range = rangeFor(blockIndex);
    byteLength += range.length;
    if (last !== undefined && follows(last, range)) {
      last = { ...last, length: last.length + range.length };
      if (untold === 0) ranges[ranges.length - 1] = last;
    } else {
      last = range;
      if (ranges.length < MAX_RANGES) ranges.push(range);
      else untold++;
    }
  }
  return { ranges, byteLength, more: untold === 0 ? '' : `; ${untold} more stretches are not told one by one` };
}

function follows(first: LostRange, second: LostRange): boolean {
  const isNext = first.start + first.length === second.start;
  const { fileOffset } = first;
  return isNext && second.fileOffset === (fileOffset === null ? null : fileOffset + first.length);
}

function told(blockIndexes: readonly number[]): string {
  const [first = 0] = blockIndexes;
  return blockIndexes.length === 1 ? `block ${first}` : `${blockIndexes.length} blocks (the first is block ${first})`;
}

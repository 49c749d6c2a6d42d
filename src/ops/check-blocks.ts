import { type FoundBlocks, findBlocks } from '../disk/open-blocks.ts';
import { type Placement, type PlacementContext, placementFindings } from '../disk/placement.ts';
import type { SoundExamination } from '../disk/recognise.ts';
import { type Finding, finding } from '../format/rules.ts';
import { BAT_ENTRY_BYTES, DATA_ALIGNMENT_BYTES, SECTOR_BYTES } from '../format/spec.ts';
import type { Storage } from '../storage/storage.ts';
import { leakedSpace } from './check-leaks.ts';

/** The table of an image, and where its blocks lie. */
export interface CheckedBlocks {
  /** What the places of blocks are held against. */
  readonly context: PlacementContext;
  /** Where they lie. */
  readonly placement: Placement;
  /** What is wrong or odd about that. */
  readonly findings: readonly Finding[];
  /** All that was found out about them. */
  readonly found: FoundBlocks;
}

/** Looks at the table of an image that can be opened, and at the places it gives its blocks. Reads no block. */
export async function checkBlocks(storage: Storage, examination: SoundExamination): Promise<CheckedBlocks> {
  const found = await findBlocks(storage, examination);
  const { context, placement, metadata } = found;
  const leaked = leakedSpace(context, placement, metadata.end);
  const findings = [
    ...truncation(context, placement, examination),
    ...placementFindings(placement, context),
    ...alignmentFindings(context, placement),
    ...(leaked === undefined ? [] : [leaked]),
  ];
  return { context, placement, findings, found };
}

/** Blocks past the end of a file that has no footer there: the end is missing, not the entries wrong. */
function truncation(
  { table, layout, dataLimit }: PlacementContext,
  { bad }: Placement,
  { findings, fileSize }: SoundExamination,
): Finding[] {
  const isEndLost = findings.some((item) => item.rule === 'footer.end-missing');
  const past = bad.found.get('bat.out-of-file');
  if (!isEndLost || past === undefined) return [];
  const needed = (table.lastSector ?? 0) * SECTOR_BYTES + layout.bitmapBytes + layout.blockSize;
  const expected = `${needed} bytes, to where the last block ends`;
  return [finding('file.truncated', { offset: dataLimit, expected, found: String(fileSize) })];
}

/** Data on 4 KiB, or none of it: a few blocks that are not are odd among others that are. */
function alignmentFindings({ table, layout, tableOffset }: PlacementContext, { isAligned, bad }: Placement): Finding[] {
  if (isAligned) return [];
  let count = 0;
  let firstBlock: number | undefined;
  for (const blockIndex of table.allocated()) {
    const data = table.sectorOf(blockIndex) * SECTOR_BYTES + layout.bitmapBytes;
    if (data % DATA_ALIGNMENT_BYTES === 0 || bad.ruleOf(blockIndex) !== undefined) continue;
    firstBlock ??= blockIndex;
    count++;
  }
  if (count === 0) return [];
  const isMinority = count * 2 < table.allocatedCount;
  const found = `${count} of ${table.allocatedCount} blocks elsewhere, the first is block ${firstBlock ?? 0}`;
  const offset = tableOffset + (firstBlock ?? 0) * BAT_ENTRY_BYTES;
  return [finding(isMinority ? 'bat.misaligned' : 'bat.unaligned', { offset, expected: 'data on 4 KiB', found })];
}

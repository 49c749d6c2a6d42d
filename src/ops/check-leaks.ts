import type { FileRange, Placement, PlacementContext } from '../disk/placement.ts';
import { commandFor, type Finding, finding } from '../format/rules.ts';
import { SECTOR_BYTES } from '../format/spec.ts';

/** Stretches of the file in which a block would have room, and which nothing refers to. */
interface Leaks {
  bytes: number;
  count: number;
  /** Byte offset of the first. */
  first: number;
  /** True if blocks or headers lie behind one of them. */
  isBetween: boolean;
}

/**
 * Space between headers, blocks and footer that nothing refers to; undefined if there is none. What is too small for a
 * block is not counted: most layouts leave some sectors between blocks. Works on one array of sector numbers, whatever the
 * image: 4 MiB for 2040 GiB.
 * @param metadataEnd byte offset behind headers, table and what else stands in front of the blocks
 * @param name of the file, for the command that moves blocks together
 */
export function leakedSpace(
  context: PlacementContext,
  { bad }: Placement,
  metadataEnd: number,
  name: string,
): Finding | undefined {
  const { table, layout, dataLimit } = context;
  const blockBytes = layout.bitmapBytes + layout.blockSize;
  const sectors = new Uint32Array(table.allocatedCount);
  let placedCount = 0;
  for (const blockIndex of table.allocated()) {
    if (bad.isEmpty || bad.ruleOf(blockIndex) !== 'bat.out-of-file') {
      sectors[placedCount++] = table.sectorOf(blockIndex);
    }
  }
  const placed = sectors.subarray(0, placedCount).sort();
  const firstBlock = placed.length === 0 ? dataLimit : (placed[0] ?? 0) * SECTOR_BYTES;
  const front = { start: 0, end: Math.min(metadataEnd, firstBlock) };
  const used = [front, ...context.metadata].sort((first, second) => first.start - second.start);
  const leaks: Leaks = { bytes: 0, count: 0, first: 0, isBetween: false };
  let end = 0;
  for (const sector of placed) {
    const start = sector * SECTOR_BYTES;
    if (start - end >= blockBytes) addGaps(leaks, { start: end, end: start }, { used, blockBytes, limit: dataLimit });
    end = Math.max(end, start + blockBytes);
  }
  if (dataLimit - end >= blockBytes) {
    addGaps(leaks, { start: end, end: dataLimit }, { used, blockBytes, limit: dataLimit });
  }
  if (leaks.count === 0) return undefined;
  const found = `${leaks.bytes} bytes in ${leaks.count === 1 ? 'one stretch' : `${leaks.count} stretches`}`;
  const remedy = leaks.isBetween ? commandFor('vhd compact FILE', name) : undefined;
  return finding('file.leaked', { offset: leaks.first, expected: 'blocks one behind the other', found, remedy });
}

interface GapContext {
  /** Headers, table and names, in file order. */
  readonly used: readonly FileRange[];
  readonly blockBytes: number;
  /** Where the footer stands. */
  readonly limit: number;
}

/** Counts what is left of a gap between blocks when headers, table and names are taken out. */
function addGaps(leaks: Leaks, gap: FileRange, { used, blockBytes, limit }: GapContext): void {
  let { start } = gap;
  for (const range of [...used, { start: gap.end, end: gap.end }]) {
    if (range.end <= start || range.start > gap.end) continue;
    const length = range.start - start;
    if (length >= blockBytes) {
      if (leaks.count === 0) leaks.first = start;
      leaks.bytes += length;
      if (range.start < limit) leaks.isBetween = true;
      leaks.count++;
    }
    start = range.end;
  }
}

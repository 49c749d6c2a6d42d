import { type BlockLayout, blockEnd } from '../format/layout.ts';
import { type Finding, finding, type RuleId } from '../format/rules.ts';
import { DATA_ALIGNMENT_BYTES, SECTOR_BYTES } from '../format/spec.ts';
import type { BlockTable } from './block-table.ts';

/** A stretch of the file that belongs to headers or table: start inclusive, end exclusive, in bytes. */
export interface FileRange {
  /** First byte. */
  readonly start: number;
  /** Byte behind the last. */
  readonly end: number;
}

/** What has to be known to say whether the blocks of an image lie where blocks may. */
export interface PlacementContext {
  /** The table. */
  readonly table: BlockTable;
  /** Block and bitmap sizes; `alignment` is not looked at. */
  readonly layout: Omit<BlockLayout, 'alignment'>;
  /** Virtual size in bytes: the last block needs no more bytes than this leaves it. */
  readonly virtualSize: number;
  /** Byte offset at which data must have ended: that of the footer, or the end of the file. */
  readonly dataLimit: number;
  /** Headers, table and locators. */
  readonly metadata: readonly FileRange[];
  /** Byte offset of the table, for the findings. */
  readonly tableOffset: number;
}

/** Where the blocks of an image lie, and which of them cannot be believed. */
export interface Placement {
  /** Byte offset behind the last allocated block, 0 without any. */
  readonly dataEnd: number;
  /** True if the data of every allocated block begins on 4 KiB; true without blocks. */
  readonly isAligned: boolean;
  /** The blocks that cannot be believed. */
  readonly bad: BadBlocks;
}

/** The rules a block's place can break. */
const PLACE_RULES = ['bat.out-of-file', 'bat.in-metadata', 'bat.overlap'] as const satisfies readonly RuleId[];

/** Which blocks lie where none may, and by which rule: a byte a block, and none at all where every block is fine. */
export class BadBlocks {
  readonly #entryCount: number;
  /** For each block 0, or one more than the index of the rule it breaks. */
  #rules: Uint8Array | undefined;
  readonly #found = new Map<RuleId, { readonly firstBlock: number; count: number }>();

  /** For a table of `entryCount` entries. */
  constructor(entryCount: number) {
    this.#entryCount = entryCount;
  }

  /** Whether there are none. */
  get isEmpty(): boolean {
    return this.#found.size === 0;
  }

  /** The rules that are broken, each with the first block that does and how many do. */
  get found(): ReadonlyMap<RuleId, { readonly firstBlock: number; readonly count: number }> {
    return this.#found;
  }

  /** Notes a block; the first rule stays. */
  add(rule: (typeof PLACE_RULES)[number], blockIndex: number): void {
    this.#rules ??= new Uint8Array(this.#entryCount);
    if (this.#rules[blockIndex] !== 0) return;
    this.#rules[blockIndex] = PLACE_RULES.indexOf(rule) + 1;
    const found = this.#found.get(rule);
    if (found === undefined) this.#found.set(rule, { firstBlock: blockIndex, count: 1 });
    else found.count++;
  }

  /** The rule that a block breaks, undefined if it is fine. */
  ruleOf(blockIndex: number): RuleId | undefined {
    return PLACE_RULES[(this.#rules?.[blockIndex] ?? 0) - 1];
  }
}

/** Looks at every entry of the table once, and at the order in the file of those that are allocated. */
export function findPlacement(context: PlacementContext): Placement {
  const { table, layout } = context;
  const bad = new BadBlocks(table.entryCount);
  let dataEnd = 0;
  let isAligned = true;
  for (const blockIndex of table.allocated()) {
    const offset = table.sectorOf(blockIndex) * SECTOR_BYTES;
    if ((offset + layout.bitmapBytes) % DATA_ALIGNMENT_BYTES !== 0) isAligned = false;
    const rule = brokenRule(context, blockIndex, offset);
    if (rule !== undefined) bad.add(rule, blockIndex);
    else dataEnd = Math.max(dataEnd, offset + layout.bitmapBytes + layout.blockSize);
  }
  addOverlaps(context, bad);
  return { dataEnd, isAligned, bad };
}

/** The bytes of a block that lie on the virtual disk. */
function neededBytes(context: PlacementContext, blockIndex: number): number {
  return Math.min(context.layout.blockSize, context.virtualSize - blockIndex * context.layout.blockSize);
}

function brokenRule(
  context: PlacementContext,
  blockIndex: number,
  offset: number,
): 'bat.out-of-file' | 'bat.in-metadata' | undefined {
  const end = offset + context.layout.bitmapBytes + neededBytes(context, blockIndex);
  if (end > context.dataLimit) return 'bat.out-of-file';
  return context.metadata.some((range) => offset < range.end && end > range.start) ? 'bat.in-metadata' : undefined;
}

/** Notes the blocks that share bytes with another one. Sorts the sector numbers unless the table already is in file order. */
function addOverlaps(context: PlacementContext, bad: BadBlocks): void {
  const { table, layout } = context;
  // Blocks that lie nowhere sensible cannot take anything from those that do.
  const isPlaced = (blockIndex: number): boolean => bad.ruleOf(blockIndex) === undefined;
  const sectors = new Uint32Array(table.allocatedCount);
  let count = 0;
  for (const blockIndex of table.allocated()) {
    if (isPlaced(blockIndex)) sectors[count++] = table.sectorOf(blockIndex);
  }
  const placed = sectors.subarray(0, count);
  if (!isAscending(placed)) placed.sort();
  const shared = findShared(placed, (layout.bitmapBytes + layout.blockSize) / SECTOR_BYTES);
  if (shared.count === 0) return;
  const suspects: number[] = [];
  for (const blockIndex of table.allocated()) {
    if (!isPlaced(blockIndex) || shared.flags[firstIndexOf(placed, table.sectorOf(blockIndex))] !== 1) continue;
    // All of them can be a million: only two are held against each other.
    if (shared.count === 2) suspects.push(blockIndex);
    else bad.add('bat.overlap', blockIndex);
  }
  for (const blockIndex of withoutShortTail(context, suspects)) bad.add('bat.overlap', blockIndex);
}

/** Which of ascending sectors are nearer to a neighbour than a block is long; a flag for each, and how many are set. */
function findShared(placed: Uint32Array, blockSectors: number): { readonly flags: Uint8Array; readonly count: number } {
  const flags = new Uint8Array(placed.length);
  for (let index = 1; index < placed.length; index++) {
    if ((placed[index] ?? 0) - (placed[index - 1] ?? 0) < blockSectors) flags.fill(1, index - 1, index + 1);
  }
  return { flags, count: flags.reduce((sum, flag) => sum + flag, 0) };
}

/** The first place of a number in an ascending array that has it. */
export function firstIndexOf(placed: Uint32Array, sector: number): number {
  let [low, high] = [0, placed.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((placed[middle] ?? 0) < sector) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** Two neighbours do not share bytes if the first is the disk's last block and ends before the second begins. */
function withoutShortTail(context: PlacementContext, suspects: number[]): number[] {
  if (suspects.length === 0) return [];
  const [first = 0, second = 0] = [...suspects].sort((a, b) => context.table.sectorOf(a) - context.table.sectorOf(b));
  const distance = (context.table.sectorOf(second) - context.table.sectorOf(first)) * SECTOR_BYTES;
  return distance >= context.layout.bitmapBytes + neededBytes(context, first) && distance > 0 ? [] : suspects;
}

function isAscending(sectors: Uint32Array): boolean {
  for (let index = 1; index < sectors.length; index++) {
    if ((sectors[index] ?? 0) < (sectors[index - 1] ?? 0)) return false;
  }
  return true;
}

/** One finding for each broken rule, naming the first block and how many there are. */
export function placementFindings(placement: Placement, context: PlacementContext): Finding[] {
  return [...placement.bad.found].map(([rule, { firstBlock, count }]) =>
    misplacedFinding(rule, firstBlock, context, count),
  );
}

/** The finding about one block that lies where none may. */
export function misplacedFinding(rule: RuleId, blockIndex: number, context: PlacementContext, count = 1): Finding {
  const sector = context.table.sectorOf(blockIndex);
  const offset = sector * SECTOR_BYTES;
  const end = blockEnd({ ...context.layout, alignment: 'packed' }, offset);
  const expected: Partial<Record<RuleId, string>> = {
    'bat.out-of-file': `data before offset ${context.dataLimit}`,
    'bat.in-metadata': 'a place behind headers and table',
    'bat.overlap': 'a place of its own',
  };
  const others = count > 1 ? ` (and ${count - 1} more)` : '';
  return finding(rule, {
    offset: context.tableOffset + blockIndex * 4,
    expected: expected[rule],
    found: `block ${blockIndex}${others} at bytes ${offset} to ${end}`,
  });
}

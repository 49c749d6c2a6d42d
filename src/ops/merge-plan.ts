import { statfs } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Disk } from '../disk/disk.ts';
import { planGrowth } from '../disk/grow-image.ts';
import type { GrowthPlan } from '../disk/grow-plan.ts';
import { openVhdStorage } from '../disk/open-storage.ts';
import type { SoundExamination } from '../disk/recognise.ts';
import type { Span } from '../disk/span-list.ts';
import type { VhdDisk } from '../disk/vhd-disk.ts';
import { VhdError } from '../errors.ts';
import { formatBytes } from '../format/byte-count.ts';
import { blockLayout, blockStride } from '../format/layout.ts';
import { describeFinding } from '../format/rules.ts';
import { borrowed } from '../storage/borrowed.ts';
import type { Storage } from '../storage/storage.ts';
import { copyDisk, HOLE_GRAIN_BYTES } from './copy.ts';
import { UnreadDisk } from './merge-chain.ts';
import type { MergeOptions } from './merge-options.ts';
import { ProgressMeter } from './progress.ts';

/** A merge in place that is possible as far as can be known. */
export interface CopyPlan {
  /** See `MergePlan`. */
  readonly mergedBytes: number;
  /** See `MergePlan`. */
  readonly newBlocks: number;
  /** See `MergePlan`. */
  readonly neededBytes: number;
  /** See `MergePlan`. */
  readonly freeBytes: number | undefined;
  /** How the target becomes larger; undefined if it is large enough. */
  readonly growth: GrowthPlan | undefined;
  /** How many links lie above the target: what they decide has a lower depth. */
  readonly depth: number;
}

/** What a merge in place is planned from. */
export interface PlanInput {
  /** The target's file; stays open. */
  readonly storage: Storage;
  /** What it says of itself. */
  readonly target: SoundExamination;
  /** The child over the links between, over nothing that can be read. */
  readonly source: Disk;
  /** How many links these are. */
  readonly depth: number;
  /** What the target is a child of, open; undefined if it has no parent. */
  readonly below: Disk | undefined;
  /** Bytes of the target's file when the merge was first begun; undefined if it was not. */
  readonly fileSizeBefore: number | undefined;
}

/**
 * Finds out what a merge in place has to do, and whether there is room; writes nothing.
 * @throws VhdError `ERR_VHD_NO_SPACE`, `ERR_VHD_BITMAP`, `ERR_VHD_CORRUPT` if blocks of the target lie where none may, `ERR_VHD_PARENT_SIZE` if
 *   it would become larger and its own parent have data there, and what `planGrowth` throws
 */
export async function planCopy(input: PlanInput, options: MergeOptions): Promise<CopyPlan> {
  const { storage, target, source, depth, fileSizeBefore } = input;
  const parent = target.type === 'differencing' ? new UnreadDisk(storage.name, target.virtualSize) : undefined;
  const disk = await openVhdStorage(borrowed(storage), { bitmap: options.bitmap, parent });
  try {
    checkPlaces(disk, storage.name);
    const { size } = source;
    const growth = size <= target.virtualSize ? undefined : await planGrowth(storage, target, { size, fileSizeBefore });
    if (growth !== undefined) await checkBehindEnd(input);
    const stored = new StoredSpans(disk);
    const bitmaps = target.type === 'dynamic' ? new BitmapCheck(disk) : undefined;
    const need = await stored.measure(source, depth, bitmaps);
    const freeBytes = await freeBytesAt(storage.name);
    const planned = { mergedBytes: need.mergedBytes, growth, depth, freeBytes };
    const total = (bytes: number): number => bytes + (growth?.addedBytes ?? 0);
    const estimate = { ...planned, newBlocks: need.newBlocks, neededBytes: total(need.neededBytes) };
    if (freeBytes === undefined || estimate.neededBytes <= freeBytes) return estimate;
    // What is zero takes no room, but has to be read to be known.
    const exact = await stored.measureRead(source, depth, options);
    const plan = { ...planned, newBlocks: exact.newBlocks, neededBytes: total(exact.neededBytes) };
    if (plan.neededBytes > freeBytes) throw noSpaceError(storage.name, plan.neededBytes, freeBytes);
    return plan;
  } finally {
    await disk.close();
  }
}

function checkPlaces({ findings }: VhdDisk, name: string): void {
  const found = findings.find((item) => item.severity === 'error');
  if (found === undefined) return;
  throw new VhdError('ERR_VHD_CORRUPT', `nothing can be merged into it: ${describeFinding(found)}`, {
    ...found,
    storage: name,
    remedy: 'write a new image with -o NEW, as far as this one can be read',
  });
}

/**
 * Looks into the blocks of the target that are to be written to: what keeps them from being read keeps them from being
 * written to in part, and has to be known before the first of them is.
 */
class BitmapCheck {
  readonly #disk: VhdDisk;
  readonly #blockSize: number;
  #checkedEnd = 0;

  constructor(disk: VhdDisk) {
    this.#disk = disk;
    this.#blockSize = disk.blockSize ?? disk.size;
  }

  /** True if a stretch that ends at `end` (exclusive) reaches behind what was looked into. Asked in the order of the disk. */
  isNew(end: number): boolean {
    return Math.min(end, this.#disk.size) > this.#checkedEnd;
  }

  async look(from: number, to: number): Promise<void> {
    const end = Math.min(this.#disk.size, Math.ceil(to / this.#blockSize) * this.#blockSize);
    const start = Math.max(this.#checkedEnd, Math.floor(from / this.#blockSize) * this.#blockSize);
    if (end <= start) return;
    for await (const _ of this.#disk.extents({ start, length: end - start })) this.#checkedEnd = end;
  }
}

/**
 * What lies behind the end of the target is zero for the child. It would be what the target's own parent has there, if that
 * one is larger, as soon as the target is.
 */
async function checkBehindEnd({ target, source, depth, below, storage }: PlanInput): Promise<void> {
  const start = target.virtualSize;
  const end = Math.min(source.size, below?.size ?? 0);
  if (below === undefined || start >= end) return;
  for await (const extent of source.extents({ start, length: end - start })) {
    if (extent.depth < depth) continue;
    for await (const { kind } of below.extents({ start: extent.start, length: extent.length })) {
      if (kind === 'zero') continue;
      throw new VhdError(
        'ERR_VHD_PARENT_SIZE',
        'it cannot be made larger in place: what its own parent has behind its end would come to light',
        {
          storage: storage.name,
          expected: `a parent of at most ${start} bytes, or nothing behind that`,
          found: `data behind byte ${extent.start}`,
          remedy: 'merge into that parent with --into, or into a new image with -o NEW',
        },
      );
    }
  }
}

interface Need {
  readonly newBlocks: number;
  readonly neededBytes: number;
}

/** What of a disk has a place in its file already, and what would need one. */
class StoredSpans {
  readonly #disk: VhdDisk;
  #spans: Promise<readonly Span[]> | undefined;

  constructor(disk: VhdDisk) {
    this.#disk = disk;
  }

  /** What it takes if nothing is zero that the links above hold; looks into the blocks on the way. */
  async measure(
    source: Disk,
    depth: number,
    bitmaps: BitmapCheck | undefined,
  ): Promise<Need & { mergedBytes: number }> {
    const counter = new PlaceCounter(await this.#stored(), this.#disk.blockSize);
    let mergedBytes = 0;
    for await (const { start, length, kind, depth: decidedBy } of source.extents()) {
      if (decidedBy >= depth) continue;
      mergedBytes += length;
      if (kind === 'data') counter.add(start, length);
      if (bitmaps?.isNew(start + length) === true) await bitmaps.look(start, start + length);
    }
    return { ...counter.need(), mergedBytes };
  }

  /** What it takes; reads everything. */
  async measureRead(source: Disk, depth: number, { signal, onProgress }: MergeOptions): Promise<Need> {
    const counter = new PlaceCounter(await this.#stored(), this.#disk.blockSize);
    const write = (bytes: Uint8Array, position: number): Promise<void> => {
      counter.add(position, bytes.length);
      return Promise.resolve();
    };
    const meter = new ProgressMeter('plan', undefined, onProgress);
    const grainBytes = this.#disk.blockSize ?? HOLE_GRAIN_BYTES;
    await copyDisk(source, { write }, { meter, grainBytes, belowDepth: depth, signal });
    return counter.need();
  }

  /** In the order of the disk; of a differencing image only what it owns. */
  #stored(): Promise<readonly Span[]> {
    this.#spans ??= this.#list();
    return this.#spans;
  }

  async #list(): Promise<readonly Span[]> {
    const spans: Span[] = [];
    for await (const { start, length, kind, depth } of this.#disk.extents({ coarse: true })) {
      if (kind === 'data' && depth === 0) spans.push({ start, end: start + length });
    }
    return spans;
  }
}

/** Counts what has no place yet; told of in the order of the disk. */
class PlaceCounter {
  readonly #stored: readonly Span[];
  readonly #blockSize: number | undefined;
  #next = 0;
  #lastBlock = -1;
  #count = 0;

  constructor(stored: readonly Span[], blockSize: number | undefined) {
    this.#stored = stored;
    this.#blockSize = blockSize;
  }

  /** Blocks, or bytes of a fixed image, that need a place. */
  need(): Need {
    if (this.#blockSize === undefined) return { newBlocks: 0, neededBytes: this.#count };
    return {
      newBlocks: this.#count,
      neededBytes: this.#count * blockStride(blockLayout(this.#blockSize, 'aligned')),
    };
  }

  add(start: number, length: number): void {
    const end = start + length;
    let position = start;
    while (position < end) {
      const span = this.#spanAt(position);
      const gapEnd = Math.min(end, Math.max(position, span?.start ?? end));
      if (gapEnd > position) this.#addGap(position, gapEnd);
      position = Math.max(gapEnd, Math.min(end, span?.end ?? end));
    }
  }

  /** The first stored span that ends behind a position. */
  #spanAt(position: number): Span | undefined {
    while ((this.#stored[this.#next]?.end ?? Number.POSITIVE_INFINITY) <= position) this.#next++;
    return this.#stored[this.#next];
  }

  #addGap(start: number, end: number): void {
    if (this.#blockSize === undefined) {
      this.#count += end - start;
      return;
    }
    const first = Math.max(Math.floor(start / this.#blockSize), this.#lastBlock + 1);
    const last = Math.ceil(end / this.#blockSize) - 1;
    if (last < first) return;
    this.#count += last - first + 1;
    this.#lastBlock = last;
  }
}

const IN_PLACE_REMEDY = 'nothing was changed: make room, or write a new image elsewhere with -o NEW';

/** Bytes that whoever runs this may still write; undefined if the system does not tell. */
export async function freeBytesAt(path: string): Promise<number | undefined> {
  const found = await statfs(dirname(path)).catch(() => undefined);
  return found === undefined || found.blocks === 0 ? undefined : found.bavail * found.bsize;
}

/** There is less room than what is to be written needs. */
export function noSpaceError(name: string, neededBytes: number, freeBytes: number, remedy = IN_PLACE_REMEDY): VhdError {
  const expected = `${neededBytes} bytes (${formatBytes(neededBytes)})`;
  const found = `${freeBytes} bytes (${formatBytes(freeBytes)})`;
  return new VhdError('ERR_VHD_NO_SPACE', `its file system is too full: expected ${expected} free, found ${found}`, {
    storage: name,
    expected,
    found,
    remedy,
  });
}

import type { SoundExamination } from '../disk/recognise.ts';
import { areAllSet, decodeBitmap, type SectorRun } from '../format/bitmap.ts';
import { commandFor, type Finding, finding } from '../format/rules.ts';
import { SECTOR_BYTES } from '../format/spec.ts';
import { dataRuns } from '../format/zeros.ts';
import { readEach, type Storage } from '../storage/storage.ts';
import type { CheckedBlocks } from './check-blocks.ts';
import { type ProgressListener, ProgressMeter } from './progress.ts';

/** How long work is watched and stopped. */
export interface Watched {
  /** Stops it. */
  readonly signal?: AbortSignal | undefined;
  /** Hears how far it is. */
  readonly onProgress?: ProgressListener | undefined;
}

/** Blocks whose bitmaps are read in one go. */
const BATCH_BLOCKS = 64;
const PIECE_BYTES = 1024 * 1024;

/**
 * Reads the bitmaps of a dynamic image, and the data under every bit that is not set. What lies behind the end of the disk
 * is not looked at. Blocks that lie where none may are left out: they are told already.
 */
export async function checkBitmaps(
  storage: Storage,
  blocks: CheckedBlocks,
  { footer }: SoundExamination,
  { signal, onProgress }: Watched,
): Promise<Finding[]> {
  const { table, layout } = blocks.context;
  const meter = new ProgressMeter('check', table.allocatedCount * layout.blockSize, onProgress);
  const check = new BitmapCheck(storage, blocks, meter);
  let next: number | undefined = 0;
  while (next !== undefined) {
    signal?.throwIfAborted();
    const batch = table.allocatedFrom(next, table.entryCount, BATCH_BLOCKS);
    await check.look(batch);
    const last = batch.at(-1);
    next = last === undefined ? undefined : last + 1;
  }
  meter.finish();
  return check.findings(footer.creatorApplication.startsWith('tap'));
}

/** What was counted, and where it was found first. */
interface Count {
  blocks: number;
  sectors: number;
  /** Byte offset in the file. */
  offset: number;
  block: number;
}

class BitmapCheck {
  readonly #storage: Storage;
  readonly #blocks: CheckedBlocks;
  readonly #meter: ProgressMeter;
  readonly #clear: Count = { blocks: 0, sectors: 0, offset: 0, block: 0 };
  readonly #dirty: Count = { blocks: 0, sectors: 0, offset: 0, block: 0 };

  constructor(storage: Storage, blocks: CheckedBlocks, meter: ProgressMeter) {
    this.#storage = storage;
    this.#blocks = blocks;
    this.#meter = meter;
  }

  async look(blockIndexes: readonly number[]): Promise<void> {
    const { context, placement } = this.#blocks;
    const { blockSize, bitmapBytes } = context.layout;
    const sound = blockIndexes.filter((blockIndex) => placement.bad.ruleOf(blockIndex) === undefined);
    const reads = sound.map((blockIndex) => ({
      position: context.table.sectorOf(blockIndex) * SECTOR_BYTES,
      bytes: new Uint8Array(bitmapBytes),
    }));
    await readEach(this.#storage, reads);
    for (const [index, { position, bytes }] of reads.entries()) {
      const blockIndex = sound[index] ?? 0;
      const dataBytes = Math.min(blockSize, context.virtualSize - blockIndex * blockSize);
      await this.#lookAt(blockIndex, position, bytes, Math.ceil(dataBytes / SECTOR_BYTES));
    }
    this.#meter.skipped((blockIndexes.length - sound.length) * blockSize);
  }

  async #lookAt(blockIndex: number, offset: number, bitmap: Uint8Array, sectorCount: number): Promise<void> {
    const { blockSize, bitmapBytes } = this.#blocks.context.layout;
    if (areAllSet(bitmap, sectorCount)) {
      this.#meter.skipped(blockSize);
      return;
    }
    const clear = decodeBitmap(bitmap, sectorCount).filter((run) => !run.isSet);
    add(this.#clear, blockIndex, offset, sum(clear));
    let dirty = 0;
    let firstDirty = 0;
    for (const { sector, sectorCount: length } of clear) {
      const start = offset + bitmapBytes + sector * SECTOR_BYTES;
      const found = await this.#dataIn(start, start + length * SECTOR_BYTES);
      if (dirty === 0) firstDirty = found.first;
      dirty += found.sectors;
    }
    if (dirty > 0) add(this.#dirty, blockIndex, firstDirty, dirty);
    this.#meter.copied(blockSize);
  }

  /** How many sectors of a range are not zero, and the byte offset of the first. */
  async #dataIn(start: number, end: number): Promise<{ readonly sectors: number; readonly first: number }> {
    let [sectors, first] = [0, 0];
    let position = start;
    while (position < end) {
      const stored = await this.#nextStored(position, end);
      if (stored === undefined) break;
      const bytes = new Uint8Array(stored.length);
      await this.#storage.read(bytes, stored.start);
      for (const run of dataRuns(bytes, SECTOR_BYTES, stored.start)) {
        if (sectors === 0) first = stored.start + run.start;
        sectors += Math.ceil(run.length / SECTOR_BYTES);
      }
      position = stored.start + stored.length;
    }
    return { sectors, first };
  }

  /** The next piece that is no hole, in whole sectors of the image. */
  async #nextStored(position: number, end: number): Promise<{ start: number; length: number } | undefined> {
    const length = end - position;
    const found =
      this.#storage.findData === undefined ? { start: position } : await this.#storage.findData(position, length);
    if (found === undefined) return undefined;
    const start = position + Math.floor((found.start - position) / SECTOR_BYTES) * SECTOR_BYTES;
    return { start, length: Math.min(PIECE_BYTES, end - start) };
  }

  findings(isByBlktap: boolean): Finding[] {
    const findings: Finding[] = [];
    const [dirty, clear] = [this.#dirty, this.#clear];
    if (dirty.blocks > 0) {
      const detail = {
        offset: dirty.offset,
        expected: 'zeros, or the bits set',
        found: told(dirty, 'with other bytes'),
      };
      // It leaves what a volume held before under bits that are not set, and means zeros.
      const rule = 'bitmap.data-under-clear-bit';
      const remedy = isByBlktap ? commandFor('vhd convert FILE NEW', this.#storage.name) : undefined;
      findings.push(finding(rule, { ...detail, remedy, severity: isByBlktap ? 'warning' : undefined }));
    } else if (clear.blocks > 0) {
      findings.push(finding('bitmap.partial', { offset: clear.offset, found: told(clear, 'that are zero') }));
    }
    return findings;
  }
}

function add(count: Count, block: number, offset: number, sectors: number): void {
  if (count.blocks === 0) Object.assign(count, { block, offset });
  count.blocks++;
  count.sectors += sectors;
}

function sum(runs: readonly SectorRun[]): number {
  return runs.reduce((total, run) => total + run.sectorCount, 0);
}

function told({ blocks, sectors, block }: Count, what: string): string {
  return `${sectors} sectors ${what} in ${blocks === 1 ? `block ${block}` : `${blocks} blocks, the first is block ${block}`}`;
}

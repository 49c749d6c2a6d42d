import { checkBytes, checkRange } from '../errors.ts';
import { alignUp, SECTOR_BYTES } from '../format/spec.ts';
import { settleAll } from '../storage/settle.ts';
import type { PlacedBytes } from '../storage/storage.ts';
import type { BitmapCache } from './bitmap-cache.ts';
import { type BlockPiece, cutAtBlocks } from './block-pieces.ts';
import type { BlockStore } from './block-store.ts';
import { BlockWriter } from './block-writer.ts';
import type { BlockBytes } from './block-writes.ts';
import type { ChainLink } from './chain-link.ts';
import { type ChainBase, ChainReader } from './chain-reader.ts';
import { type Disk, type Extent, type ExtentOptions, mergeExtents, resolveRange } from './disk.ts';
import type { LockedRange } from './range-lock.ts';
import { StoreDisk } from './store-disk.ts';
import { SectorEdges, wholeSectors } from './whole-sectors.ts';
import type { BackingDisk } from './write-back.ts';

/** Bitmaps with bits that are not in the file yet take at most about this much memory: then they are flushed. */
const MAX_UNFLUSHED_BITMAP_BYTES = 4 * 1024 * 1024;

/** What a differencing disk is a child of. */
export interface ParentChain {
  /** Differencing images that can be read along with the child, the youngest first. */
  readonly links: readonly ChainLink[];
  /** What the last of them, or the child itself, has as parent. */
  readonly base: ChainBase;
  /** Where the bitmaps of all of them are kept. */
  readonly bitmapCache: BitmapCache;
  /** What is closed along with the child. */
  readonly parent: Disk;
}

/** A differencing disk: the sectors that its bitmaps claim, and those of its parent everywhere else. */
export class DifferencingDisk extends StoreDisk implements BackingDisk {
  readonly #parent: ParentChain;
  readonly #reader: ChainReader;
  /** What is there without this image. */
  readonly #below: ChainReader;
  readonly #writer: BlockWriter;

  /** A disk of `size` bytes over a block store with exact bitmaps; closes that, and its parent, with itself. */
  constructor(store: BlockStore, size: number, parent: ParentChain, readOnly: boolean) {
    super(store, size, readOnly);
    this.#parent = parent;
    this.#below = new ChainReader(parent.links, parent.base);
    this.#reader = new ChainReader([{ store, size }, ...parent.links], parent.base);
    this.#writer = new BlockWriter(store);
  }

  /** What a child of this disk, which must be read only, is a child of. */
  asParent(parent: Disk): ParentChain {
    const { store, size } = this;
    return { ...this.#parent, links: [{ store, size }, ...this.#parent.links], parent };
  }

  async read(target: Uint8Array, position: number): Promise<void> {
    this.checkUsable();
    checkBytes('read', target);
    checkRange('read', position, target.length, this.size);
    const [range] = sectorRanges([{ position, bytes: target }]);
    if (range === undefined) return;
    await this.locks.runEach([range], false, () => this.#reader.read(target, position));
  }

  async write(source: Uint8Array, position: number): Promise<void> {
    checkBytes('write', source);
    checkRange('write', position, source.length, this.size);
    await this.writeEach([{ position, bytes: source }]);
  }

  async writeEach(writes: readonly PlacedBytes[]): Promise<void> {
    this.checkWritable();
    const ranges = sectorRanges(writes);
    if (ranges.length === 0) return;
    await this.locks.runEach(ranges, true, () => this.#writeLocked(writes));
    await this.#boundBitmaps();
    this.store.checkUsable();
  }

  /** What a write touches only a part of is completed with what is there, of this image or of its parent. */
  async #writeLocked(writes: readonly PlacedBytes[]): Promise<void> {
    const edges = new SectorEdges();
    const whole = wholeSectors(writes, edges);
    await settleAll(
      edges.sectors.map(({ position, bytes }) =>
        this.#reader.read(bytes.subarray(0, Math.min(SECTOR_BYTES, this.size - position)), position),
      ),
    );
    edges.fill();
    await this.#writer.writeEach(this.#piecesOf(whole));
  }

  #piecesOf(writes: readonly PlacedBytes[]): BlockBytes[] {
    const { blockSize } = this.store.layout;
    const pieces: BlockBytes[] = [];
    for (const { position, bytes } of writes) {
      for (const { blockIndex, offsetInBlock, done, length } of cutAtBlocks(position, bytes.length, blockSize)) {
        pieces.push({ blockIndex, offsetInBlock, bytes: bytes.subarray(done, done + length) });
      }
    }
    return pieces;
  }

  /** Bits that no flush has taken must not fill the memory. */
  async #boundBitmaps(): Promise<void> {
    if (this.store.unflushedBitmapBytes > MAX_UNFLUSHED_BITMAP_BYTES) await this.store.flush();
  }

  async discard(position: number, length: number): Promise<void> {
    this.checkWritable();
    checkRange('discard', position, length, this.size);
    const [range] = sectorRanges([{ position, bytes: { length } }]);
    if (range === undefined) return;
    await this.locks.runEach([range], true, () => this.#discardLocked(position, position + length));
    this.store.checkUsable();
  }

  async #discardLocked(start: number, end: number): Promise<void> {
    const from = Math.min(end, alignUp(start, SECTOR_BYTES));
    const to = end === this.size ? end : Math.max(from, end - (end % SECTOR_BYTES));
    // Parts of sectors are written like any other bytes.
    const parts = [
      { position: start, bytes: new Uint8Array(from - start) },
      { position: to, bytes: new Uint8Array(end - to) },
    ];
    await this.#writeLocked(parts.filter(({ bytes }) => bytes.length > 0));
    for (const piece of cutAtBlocks(from, to - from, this.store.layout.blockSize)) {
      await this.#discardPiece(piece, from + piece.done);
      await this.#boundBitmaps();
    }
  }

  /** Whole sectors of a block. What the parent has must not come to light, so that a block goes only where that is nothing. */
  async #discardPiece(piece: BlockPiece, start: number): Promise<void> {
    const isAllocated = this.store.isAllocated(piece.blockIndex);
    const isNothingBelow = await this.#below.isZero(start, start + piece.length);
    if (isNothingBelow && !isAllocated) return;
    const { blockSize } = this.store.layout;
    const dataBytes = Math.min(blockSize, this.size - piece.blockIndex * blockSize);
    if (isNothingBelow && piece.length === dataBytes) await this.#writer.discard(piece, dataBytes);
    else await this.#writer.writeZeros(piece);
  }

  async *extents(options: ExtentOptions = {}): AsyncGenerator<Extent> {
    this.checkUsable();
    const { start, end } = resolveRange('extents', options, this.size);
    yield* mergeExtents(this.#reader.extents({ ...options, start, end }));
  }

  protected override async release(): Promise<void> {
    try {
      await super.release();
    } finally {
      await this.#parent.parent.close();
    }
  }
}

/** The whole sectors that writes, which are in order, touch; apart from each other. */
function sectorRanges(
  writes: readonly { readonly position: number; readonly bytes: { readonly length: number } }[],
): LockedRange[] {
  const ranges: LockedRange[] = [];
  for (const { position, bytes } of writes) {
    if (bytes.length === 0) continue;
    const start = position - (position % SECTOR_BYTES);
    const end = alignUp(position + bytes.length, SECTOR_BYTES);
    const last = ranges.at(-1);
    if (last !== undefined && start <= last.end) ranges[ranges.length - 1] = { start: last.start, end };
    else ranges.push({ start, end });
  }
  return ranges;
}

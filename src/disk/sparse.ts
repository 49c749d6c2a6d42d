import { checkBytes, checkRange, VhdError } from '../errors.ts';
import { decodeBitmap, type SectorRun } from '../format/bitmap.ts';
import { SECTOR_BYTES } from '../format/spec.ts';
import { settleAll } from '../storage/settle.ts';
import type { PlacedBytes } from '../storage/storage.ts';
import { BitmapLookAhead } from './bitmap-look-ahead.ts';
import { type BitmapPolicy, BitmapRule } from './bitmap-rule.ts';
import { type BlockPiece, cutAtBlocks } from './block-pieces.ts';
import type { BlockStore } from './block-store.ts';
import { BlockWriter } from './block-writer.ts';
import type { BlockBytes } from './block-writes.ts';
import type { ExtentRequest, SpanPlace } from './chain-reader.ts';
import { type Extent, type ExtentOptions, isUnknown, mergeExtents, resolveRange } from './disk.ts';
import type { Span } from './span-list.ts';
import { StoreDisk } from './store-disk.ts';
import type { BackingDisk } from './write-back.ts';

/** How many bitmaps `extents` reads side by side. */
const BITMAP_WINDOW = 16;

/** A dynamic disk: blocks that are in the file where something was written, zeros everywhere else. */
export class SparseDisk extends StoreDisk implements BackingDisk {
  readonly #rule: BitmapRule;
  readonly #writer: BlockWriter;
  readonly #bitmaps: BitmapLookAhead;

  /** A disk of `size` bytes over a block store, which it closes with itself. */
  constructor(store: BlockStore, size: number, options: { readOnly: boolean; policy: BitmapPolicy }) {
    super(store, size, options.readOnly);
    this.#rule = new BitmapRule(store, size, options.policy);
    this.#writer = new BlockWriter(store, this.#rule);
    this.#bitmaps = new BitmapLookAhead(store);
  }

  async read(target: Uint8Array, position: number): Promise<void> {
    this.checkUsable();
    checkBytes('read', target);
    checkRange('read', position, target.length, this.size);
    await this.locks.run(position, target.length, false, () =>
      this.#eachPiece(position, target.length, (piece) =>
        this.#readPiece(piece, target.subarray(piece.done, piece.done + piece.length)),
      ),
    );
  }

  /** Where spans lie of which that is certain: in one block with all of its bits set, or in one without a place. */
  async placesOf(spans: readonly Span[]): Promise<readonly (SpanPlace | undefined)[]> {
    if (!this.readOnly || this.#rule.policy === 'ignore') return [];
    const { blockSize } = this.store.layout;
    const blocks = spans.map(({ start, end }) => ({
      first: Math.floor(start / blockSize),
      end: Math.ceil(end / blockSize),
    }));
    const unknown = new Set(blocks.map(({ first }) => first).filter((first) => this.store.isBitmapMissing(first)));
    await this.#bitmaps.learn([...unknown]);
    return spans.map(({ start, end }, index) => {
      const { first = 0, end: endIndex } = blocks[index] ?? {};
      if (endIndex !== first + 1) return undefined;
      if (!this.store.isAllocated(first)) return 'zero';
      const position = this.store.placeOf(start, end - start);
      return position === undefined ? undefined : { storage: this.store.storage, position };
    });
  }

  async write(source: Uint8Array, position: number): Promise<void> {
    this.checkWritable();
    checkBytes('write', source);
    checkRange('write', position, source.length, this.size);
    await this.locks.run(position, source.length, true, () =>
      this.#eachPiece(position, source.length, (piece) => this.#writer.write(bytesOfPiece(piece, source))),
    );
    this.store.checkUsable();
  }

  async writeEach(writes: readonly PlacedBytes[]): Promise<void> {
    this.checkWritable();
    const { blockSize } = this.store.layout;
    const ranges = writes.map(({ position, bytes }) => ({ start: position, end: position + bytes.length }));
    await this.locks.runEach(ranges, true, async () => {
      const ready: PlacedBytes[] = [];
      const pieces: BlockBytes[] = [];
      for (const write of writes) {
        const { position, bytes } = write;
        const fileOffset = this.store.placeOf(position, bytes.length);
        if (fileOffset === undefined) {
          for (const piece of cutAtBlocks(position, bytes.length, blockSize)) pieces.push(bytesOfPiece(piece, bytes));
        } else ready.push({ position: fileOffset, bytes });
      }
      await settleAll([this.store.writePlaced(ready), this.#writer.writeEach(pieces)]);
    });
    this.store.checkUsable();
  }

  async discard(position: number, length: number): Promise<void> {
    this.checkWritable();
    checkRange('discard', position, length, this.size);
    await this.locks.run(position, length, true, () =>
      this.#eachPiece(position, length, (piece) => this.#writer.discard(piece, this.#rule.dataBytes(piece.blockIndex))),
    );
  }

  async *extents(options: ExtentOptions = {}): AsyncGenerator<Extent> {
    this.checkUsable();
    const { start, end } = resolveRange('extents', options, this.size);
    yield* mergeExtents(this.#blockExtents({ ...options, start, end }));
  }

  /** Cuts a request at the block boundaries and runs `visit` for each part, side by side where there are several. */
  async #eachPiece(position: number, length: number, visit: (piece: BlockPiece) => Promise<void>): Promise<void> {
    const { blockSize } = this.store.layout;
    const calls: Promise<void>[] = [];
    for (const piece of cutAtBlocks(position, length, blockSize)) {
      calls.push(visit(piece));
      // A request over very many small blocks goes in batches, so that it cannot fill the memory with promises.
      if (calls.length >= 64) await settleAll(calls.splice(0));
    }
    if (calls.length === 1) await calls[0];
    else if (calls.length > 1) await settleAll(calls);
  }

  async #readPiece(piece: BlockPiece, target: Uint8Array): Promise<void> {
    const blockOffset = this.store.locate(piece.blockIndex);
    if (blockOffset === undefined) {
      target.fill(0);
      return;
    }
    if (this.#rule.policy === 'ignore') return this.store.readData(blockOffset, piece.offsetInBlock, target);
    const bitmap = await this.#readWithBitmap(piece, blockOffset, target);
    if (bitmap !== 'full') this.#rule.clear(piece, bitmap, blockOffset, target);
  }

  async #readWithBitmap(piece: BlockPiece, blockOffset: number, target: Uint8Array): Promise<Uint8Array | 'full'> {
    if (this.#rule.policy !== 'honour') {
      return this.store.read(piece.blockIndex, blockOffset, piece.offsetInBlock, target);
    }
    // One after the other: another write into the block may make zeros of old bytes and fill the bitmap meanwhile, and
    // the old bytes must not be taken with the new bitmap.
    const bitmap = await this.store.bitmapOf(piece.blockIndex, blockOffset);
    await this.store.readData(blockOffset, piece.offsetInBlock, target);
    return bitmap;
  }

  async *#blockExtents(request: ExtentRequest): AsyncGenerator<Extent> {
    const { blockSize } = this.store.layout;
    const { start, end, onUnknown } = request;
    const endIndex = Math.ceil(end / blockSize);
    const zeros = (from: number, to: number): Extent => ({ start: from, length: to - from, kind: 'zero', depth: 0 });
    let position = start;
    while (position < end) {
      const indexes = this.store.allocatedBlocks(Math.floor(position / blockSize), endIndex, BITMAP_WINDOW);
      const blocks = await Promise.all(indexes.map((blockIndex) => this.#extentsOfBlock(blockIndex, request)));
      for (const [at, extents] of blocks.entries()) {
        const { from, to } = this.#partOfBlock(indexes[at] ?? 0, request);
        if (from > position) yield zeros(position, from);
        if (extents instanceof VhdError) onUnknown?.({ start: from, length: to - from, error: extents });
        else yield* extents;
        position = to;
      }
      if (indexes.length < BITMAP_WINDOW) break;
    }
    if (position < end) yield zeros(position, end);
  }

  #partOfBlock(blockIndex: number, { start, end }: ExtentRequest): { from: number; to: number } {
    const { blockSize } = this.store.layout;
    return { from: Math.max(start, blockIndex * blockSize), to: Math.min(end, (blockIndex + 1) * blockSize) };
  }

  /** The extents of a block, or the error that makes it unknown where the request wants to hear of those. */
  async #extentsOfBlock(blockIndex: number, request: ExtentRequest): Promise<Extent[] | VhdError> {
    try {
      return request.coarse === true || this.#rule.policy === 'ignore'
        ? [this.#wholeBlock(blockIndex, request)]
        : await this.#runsInBlock(blockIndex, request);
    } catch (error) {
      if (request.onUnknown === undefined || !isUnknown(error)) throw error;
      return error;
    }
  }

  #wholeBlock(blockIndex: number, request: ExtentRequest): Extent {
    const { from, to } = this.#partOfBlock(blockIndex, request);
    const extent = { start: from, length: to - from, kind: 'data', depth: 0 } as const;
    // Who asks for nothing but whole blocks is going to read them, and hears then of places that cannot be believed.
    const isPlain = request.coarse === true && request.located !== true && request.onUnknown === undefined;
    const blockOffset = isPlain ? undefined : this.store.locate(blockIndex);
    if (blockOffset === undefined || request.located !== true) return extent;
    return { ...extent, fileOffset: this.#dataOffset(blockIndex, blockOffset, from) };
  }

  async #runsInBlock(blockIndex: number, request: ExtentRequest): Promise<Extent[]> {
    const { blockSize } = this.store.layout;
    const blockStart = blockIndex * blockSize;
    const extents: Extent[] = [];
    // Locked as a reading call: a write that fills the bitmap must not come between the bitmap and the bytes under it.
    await this.locks.run(blockStart, blockSize, false, async () => {
      const blockOffset = this.store.locate(blockIndex);
      for (const run of await this.#sectorRuns(blockIndex, blockOffset)) {
        const from = Math.max(request.start, blockStart + run.sector * SECTOR_BYTES);
        const to = Math.min(request.end, blockStart + (run.sector + run.sectorCount) * SECTOR_BYTES);
        if (to <= from) continue;
        const extent = { start: from, length: to - from, kind: run.isSet ? 'data' : 'zero', depth: 0 } as const;
        const isPlaced = request.located === true && run.isSet && blockOffset !== undefined;
        extents.push(isPlaced ? { ...extent, fileOffset: this.#dataOffset(blockIndex, blockOffset, from) } : extent);
      }
    });
    return extents;
  }

  /** Where in the file the bytes of an allocated block lie, given one of them by its position on the disk. */
  #dataOffset(blockIndex: number, blockOffset: number, position: number): number {
    const { blockSize, bitmapBytes } = this.store.layout;
    return blockOffset + bitmapBytes + position - blockIndex * blockSize;
  }

  async #sectorRuns(blockIndex: number, blockOffset: number | undefined): Promise<SectorRun[]> {
    const sectorCount = this.store.layout.blockSize / SECTOR_BYTES;
    if (blockOffset === undefined) return [{ sector: 0, sectorCount, isSet: false }];
    const bitmap = await this.store.bitmapOf(blockIndex, blockOffset);
    if (bitmap === 'full') return [{ sector: 0, sectorCount, isSet: true }];
    await this.#rule.check(blockIndex, blockOffset, bitmap);
    return decodeBitmap(bitmap, sectorCount);
  }
}

function bytesOfPiece({ blockIndex, offsetInBlock, done, length }: BlockPiece, request: Uint8Array): BlockBytes {
  // Views are dear where there are very many of them.
  const bytes = length === request.length ? request : request.subarray(done, done + length);
  return { blockIndex, offsetInBlock, bytes };
}

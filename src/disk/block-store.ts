import { allOnesBitmap, decodeBitmap, setSectors } from '../format/bitmap.ts';
import { type BlockLayout, blockEnd } from '../format/layout.ts';
import { SECTOR_BYTES, UNUSED_BAT_ENTRY } from '../format/spec.ts';
import { settleAll } from '../storage/settle.ts';
import { type PlacedBytes, readAdjacent, type Storage, writeEach } from '../storage/storage.ts';
import { type BlockAt, BlockBitmaps } from './block-bitmaps.ts';
import type { BlockStoreParts } from './block-store-parts.ts';
import {
  type BlockBytes,
  groupByBlock,
  type NewBlock,
  newBlockWrites,
  placedPieces,
  sendWrites,
} from './block-writes.ts';
import { writeZeros } from './flat.ts';
import { FlushQueue } from './flush-queue.ts';
import type { BlockPlace } from './space.ts';

/**
 * The blocks of a dynamic image and the order in which changes reach the file (README, "What survives a crash").
 *
 * Data goes to its place at once. The table changes in memory only; `flush` takes copies of its changed sectors, makes
 * the data durable, writes the copies, makes them durable. So the file never points to data that is not there, and
 * everything before a resolved flush survives. A failed barrier or table write poisons the store: what the medium
 * holds is then unknown (the kernel may have dropped the pages), and every later call rejects with `ERR_VHD_POISONED`.
 *
 * Knows nothing of overlapping calls on the same bytes; the disk above keeps those apart.
 */
export class BlockStore {
  readonly #parts: BlockStoreParts;
  readonly #bitmaps: BlockBitmaps;
  /** The bitmap of every new block. */
  readonly #allOnes: Uint8Array;
  #isDataDirty = false;
  #isChanged = false;
  readonly #flushes: FlushQueue;

  /** Starts on an image whose table is loaded and checked. */
  constructor(parts: BlockStoreParts) {
    this.#parts = parts;
    this.#bitmaps = new BlockBitmaps(parts.storage, parts.layout, parts.table.entryCount, parts.bitmapCache);
    this.#allOnes = allOnesBitmap(parts.layout.bitmapBytes);
    this.#flushes = new FlushQueue(parts.storage.name, () => this.#makeDurable());
  }

  /** The file. */
  get storage(): Storage {
    return this.#parts.storage;
  }

  /** Name of the file, for messages. */
  get name(): string {
    return this.#parts.storage.name;
  }

  /** Sizes and alignment of the blocks. */
  get layout(): BlockLayout {
    return this.#parts.layout;
  }

  /** True on a differencing disk: a bit says whether the image holds the sector, or its parent does. */
  get isExact(): boolean {
    return this.#parts.bits === 'exact';
  }

  /** Bytes of bitmaps with bits that are not in the file yet. */
  get unflushedBitmapBytes(): number {
    return this.#bitmaps.dirtyBytes;
  }

  /** How many bitmaps may be read before they are needed. */
  get bitmapRoomAhead(): number {
    return this.#parts.bitmapCache.roomAhead(this.layout.bitmapBytes);
  }

  /** Blocks that have a place in the file, believed or not. */
  get allocatedCount(): number {
    return this.#parts.table.allocatedCount;
  }

  /** Largest power of two, up to 1 MiB, that the data of every block lies on; undefined without blocks. */
  get dataAlignment(): number | undefined {
    const { table, layout } = this.#parts;
    return table.alignmentBehind(layout.bitmapBytes);
  }

  /** @throws VhdError `ERR_VHD_POISONED` after a failed barrier or table write */
  checkUsable(): void {
    this.#flushes.checkUsable();
  }

  /**
   * Byte offset of a block's bitmap, undefined if the block is not allocated.
   * @throws VhdError `ERR_VHD_CORRUPT` if the table points where no block may lie
   */
  locate(blockIndex: number): number | undefined {
    const sector = this.#parts.table.sectorOf(blockIndex);
    if (sector === UNUSED_BAT_ENTRY) return undefined;
    const refusal = this.#parts.refuse(blockIndex);
    if (refusal !== undefined) throw refusal;
    return sector * SECTOR_BYTES;
  }

  /** True if a block has a place in the file, believed or not. */
  isAllocated(blockIndex: number): boolean {
    return this.#parts.table.sectorOf(blockIndex) !== UNUSED_BAT_ENTRY;
  }

  /** The next allocated blocks from `firstIndex` on, below `endIndex`, at most `limit` of them. */
  allocatedBlocks(firstIndex: number, endIndex: number, limit: number): number[] {
    return this.#parts.table.allocatedFrom(firstIndex, endIndex, limit);
  }

  /** The bitmap of an allocated block, or `'full'` if every bit is set; read from the file where it is not known. */
  bitmapOf(blockIndex: number, blockOffset: number): Promise<Uint8Array | 'full'> {
    return this.#bitmaps.of(blockIndex, blockOffset);
  }

  /** Reads bytes of an allocated block, whatever its bitmap says, without looking at that. */
  async readData(blockOffset: number, offsetInBlock: number, target: Uint8Array): Promise<void> {
    await this.#parts.storage.read(target, blockOffset + this.layout.bitmapBytes + offsetInBlock);
  }

  /** Reads bytes of an allocated block together with its bitmap, in one call where they touch. */
  async read(
    blockIndex: number,
    blockOffset: number,
    offsetInBlock: number,
    target: Uint8Array,
  ): Promise<Uint8Array | 'full'> {
    const { storage } = this.#parts;
    const known = this.#bitmaps.known(blockIndex);
    if (known !== undefined) {
      await this.readData(blockOffset, offsetInBlock, target);
      return known;
    }
    const bitmap = new Uint8Array(this.layout.bitmapBytes);
    if (offsetInBlock === 0) await readAdjacent(storage, [bitmap, target], blockOffset);
    else await settleAll([storage.read(bitmap, blockOffset), this.readData(blockOffset, offsetInBlock, target)]);
    return this.#bitmaps.learn(blockIndex, bitmap);
  }

  /**
   * Reads the bitmaps of blocks that are about to be written to, in one go: those that have a place and are not known.
   * What cannot be read, or believed, is told when it is used.
   */
  async learnBitmaps(blocks: Iterable<number>): Promise<void> {
    const wanted: BlockAt[] = [];
    for (const blockIndex of blocks) {
      const sector = this.#parts.table.sectorOf(blockIndex);
      if (sector === UNUSED_BAT_ENTRY || this.isFull(blockIndex)) continue;
      wanted.push({ blockIndex, blockOffset: sector * SECTOR_BYTES });
    }
    await this.#bitmaps.learnEach(wanted);
  }

  /** True for an allocated block of whose bitmap nothing is known. */
  isBitmapMissing(blockIndex: number): boolean {
    return this.isAllocated(blockIndex) && this.#bitmaps.known(blockIndex) === undefined;
  }

  /** What is known of a block's bitmap, `'full'` if every bit is set; undefined if nothing is. */
  knownBitmap(blockIndex: number): Uint8Array | 'full' | undefined {
    return this.#bitmaps.known(blockIndex);
  }

  /** True if the block's bitmap is known to be all ones, so that `write` may be called. */
  isFull(blockIndex: number): boolean {
    return this.#bitmaps.isFull(blockIndex);
  }

  /**
   * Sets every bit of a block's bitmap, after writing zeros under the clear ones where `clearBytes` says that something
   * else may be there. Durable when it resolves. Done before the first write into such a block and not after it: were
   * the data to reach the medium without its bits, a crash would leave bytes that look as if they had never been written.
   * Nothing behind the `dataBytes` that the block has on the disk is touched: the file may end there.
   */
  async fillBitmap(
    blockIndex: number,
    blockOffset: number,
    dataBytes: number,
    clearBytes: 'are-zero' | 'to-zero',
  ): Promise<void> {
    const { storage, layout } = this.#parts;
    const bitmap = await this.bitmapOf(blockIndex, blockOffset);
    if (bitmap === 'full') return;
    try {
      if (clearBytes === 'to-zero') {
        for (const run of decodeBitmap(bitmap, Math.ceil(dataBytes / SECTOR_BYTES))) {
          const start = run.sector * SECTOR_BYTES;
          const length = Math.min(run.sectorCount * SECTOR_BYTES, dataBytes - start);
          if (!run.isSet) await writeZeros(storage, blockOffset + layout.bitmapBytes + start, length);
        }
        await this.#barrier();
      }
      await storage.write(this.#allOnes, blockOffset);
      await this.#barrier();
    } catch (error) {
      this.#flushes.poison(error);
      throw error;
    }
    this.#bitmaps.setFull(blockIndex);
  }

  /** Writes into an allocated block whose bitmap is all ones. */
  async write(blockOffset: number, offsetInBlock: number, source: Uint8Array): Promise<void> {
    // Marked on both sides of the write: a flush may start in between and must not clear the mark for good.
    this.#isDataDirty = true;
    await this.#parts.storage.write(source, blockOffset + this.layout.bitmapBytes + offsetInBlock);
    this.#isDataDirty = true;
  }

  /** Where in the file a range of the disk lies, if it lies in one block that has a place and whose bitmap is all ones. */
  placeOf(position: number, length: number): number | undefined {
    const { blockSize, bitmapBytes } = this.layout;
    const blockIndex = Math.floor(position / blockSize);
    const offsetInBlock = position - blockIndex * blockSize;
    if (offsetInBlock + length > blockSize || !this.isFull(blockIndex)) return undefined;
    const blockOffset = this.locate(blockIndex);
    return blockOffset === undefined ? undefined : blockOffset + bitmapBytes + offsetInBlock;
  }

  /** Writes to places in the file that `placeOf` gave. */
  async writePlaced(writes: readonly PlacedBytes[]): Promise<void> {
    if (writes.length === 0) return;
    this.#isDataDirty = true;
    await writeEach(this.#parts.storage, writes);
    this.#isDataDirty = true;
  }

  /**
   * Writes pieces of blocks, in the order of the disk: of blocks that have no place and get one, and of blocks whose bitmap
   * is all ones; on a differencing disk whole sectors of any block. The rest of a new block reads as before: as zeros, or as
   * what the parent has. If it fails, the new blocks have no place still, and no bit is set.
   */
  async writeEach(pieces: readonly BlockBytes[]): Promise<void> {
    if (!this.isExact) return this.#writeBlocks(pieces);
    const pinned: number[] = [];
    try {
      await this.#pinEach(pieces, pinned);
      await this.#writeBlocks(pieces);
    } finally {
      for (const blockIndex of pinned) this.#bitmaps.unpin(blockIndex);
    }
  }

  /** Has the bitmaps at hand in which bits are going to be set. */
  async #pinEach(pieces: readonly BlockBytes[], pinned: number[]): Promise<void> {
    const blocks = new Set(pieces.map((piece) => piece.blockIndex));
    await this.learnBitmaps(blocks);
    for (const blockIndex of blocks) {
      const blockOffset = this.locate(blockIndex);
      if (blockOffset === undefined) continue;
      await this.#bitmaps.pin(blockIndex, blockOffset);
      pinned.push(blockIndex);
    }
  }

  async #writeBlocks(pieces: readonly BlockBytes[]): Promise<void> {
    const { growth, storage } = this.#parts;
    const newBlocks = new Map<number, NewBlock>();
    try {
      const writes = this.#placeBlocks(pieces, newBlocks);
      await this.#reserve(newBlocks);
      this.#isDataDirty = true;
      await sendWrites(storage, writes);
    } catch (error) {
      for (const { place } of newBlocks.values()) growth?.space.giveBack(place.offset);
      throw error;
    }
    this.#isDataDirty = true;
    this.#noteWritten(pieces, newBlocks);
  }

  /** Gives blocks that have no place one, and says what is to be written where. */
  #placeBlocks(pieces: readonly BlockBytes[], newBlocks: Map<number, NewBlock>): PlacedBytes[] {
    const writes: PlacedBytes[] = [];
    for (const ofBlock of groupByBlock(pieces)) {
      const blockIndex = ofBlock[0]?.blockIndex ?? 0;
      const blockOffset = this.locate(blockIndex);
      if (blockOffset === undefined) {
        const block = this.#newBlock(ofBlock);
        newBlocks.set(blockIndex, block);
        writes.push(...newBlockWrites(this.layout, block));
      } else writes.push(...placedPieces(this.layout, blockOffset, ofBlock));
    }
    return writes;
  }

  /** What was written is part of the image from now on; the file sees that with the next flush. */
  #noteWritten(pieces: readonly BlockBytes[], newBlocks: ReadonlyMap<number, NewBlock>): void {
    for (const [blockIndex, { bitmap, place }] of newBlocks) {
      this.#bitmaps.adopt(blockIndex, bitmap);
      this.#parts.table.set(blockIndex, place.offset / SECTOR_BYTES);
    }
    if (!this.isExact) return;
    for (const piece of pieces) {
      if (!newBlocks.has(piece.blockIndex)) this.#bitmaps.claim(piece.blockIndex, ...sectorsOf(piece));
    }
  }

  #newBlock(pieces: readonly BlockBytes[]): NewBlock {
    const place = this.#takePlace();
    if (!this.isExact) return { place, bitmap: this.#allOnes, pieces, isRestZero: true };
    // The bits go along with the data: nothing leads to the block before both are durable.
    const bitmap = new Uint8Array(this.layout.bitmapBytes);
    for (const piece of pieces) setSectors(bitmap, ...sectorsOf(piece));
    return { place, bitmap, pieces, isRestZero: false };
  }

  #takePlace(): BlockPlace {
    const { growth } = this.#parts;
    if (growth === undefined) throw new Error('this block store is open for reading');
    this.#isChanged = true;
    return growth.space.take();
  }

  /** Makes the file long enough for new blocks. */
  async #reserve(newBlocks: ReadonlyMap<number, NewBlock>): Promise<void> {
    const { growth, table } = this.#parts;
    if (newBlocks.size === 0) return;
    const blocksLeft = table.entryCount - table.allocatedCount - newBlocks.size;
    await growth?.end.reserve(
      [...newBlocks.values()].map(({ place }) => place.offset),
      blocksLeft,
    );
  }

  /** Frees a block: it reads as zeros from now on, in the file from the next flush on. */
  free(blockIndex: number, blockOffset: number): void {
    const { growth, table } = this.#parts;
    this.#isChanged = true;
    table.set(blockIndex, UNUSED_BAT_ENTRY);
    this.#bitmaps.forget(blockIndex);
    growth?.space.quarantine(blockOffset);
  }

  /** Resolves when everything that had resolved before the call is durable. */
  flush(): Promise<void> {
    return this.#flushes.flush();
  }

  async #makeDurable(): Promise<void> {
    const { storage, table, growth } = this.#parts;
    // Copies: what changes from here on may belong to data that the first barrier does not cover.
    const bitmaps = this.#bitmaps.takeDirty();
    const copies = [
      ...table.takeDirty(),
      ...bitmaps.map(({ blockOffset, bytes }) => ({ position: blockOffset, bytes })),
    ];
    const freed = growth?.space.takeQuarantined() ?? [];
    if (copies.length === 0 && !this.#isDataDirty) return;
    this.#isDataDirty = false;
    await this.#barrier();
    if (copies.length === 0) return;
    await writeEach(storage, copies);
    this.#bitmaps.settled(bitmaps);
    await this.#barrier();
    growth?.space.release(freed);
  }

  /**
   * A barrier; a failure of another one at the same time counts for this one too. The system tells a failure once, to
   * whichever call asks first, and then takes what it dropped for written.
   */
  async #barrier(): Promise<void> {
    await this.#parts.storage.flush();
    this.#flushes.checkUsable();
  }

  /** Flushes, gives back what was reserved ahead and closes the file; the file is closed in any case. */
  async close(): Promise<void> {
    const { storage, growth } = this.#parts;
    try {
      this.checkUsable();
      if (growth === undefined) return;
      await this.flush();
      if (this.#isChanged) await growth.end.trim(this.#dataEnd());
    } finally {
      await storage.close();
    }
  }

  #dataEnd(): number {
    const { table, layout, metadataEnd } = this.#parts;
    const last = table.lastSector;
    return last === undefined ? metadataEnd : Math.max(metadataEnd, blockEnd(layout, last * SECTOR_BYTES));
  }
}

/** The sectors of its block that a piece touches: the first, and how many. */
function sectorsOf({ offsetInBlock, bytes }: BlockBytes): [sector: number, sectorCount: number] {
  const sector = Math.floor(offsetInBlock / SECTOR_BYTES);
  return [sector, Math.ceil((offsetInBlock + bytes.length) / SECTOR_BYTES) - sector];
}

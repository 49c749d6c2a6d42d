import type { VhdError } from '../errors.ts';
import { allOnesBitmap, decodeBitmap } from '../format/bitmap.ts';
import { type BlockLayout, blockEnd } from '../format/layout.ts';
import { SECTOR_BYTES, UNUSED_BAT_ENTRY } from '../format/spec.ts';
import { settleAll } from '../storage/settle.ts';
import { type PlacedBytes, readAdjacent, type Storage, writeAdjacent, writeEach } from '../storage/storage.ts';
import { type BlockAt, BlockBitmaps } from './block-bitmaps.ts';
import type { BlockTable } from './block-table.ts';
import { writeZeros, zeroPieces } from './flat.ts';
import { FlushQueue } from './flush-queue.ts';
import type { ImageEnd } from './image-end.ts';
import type { BlockPlace, BlockSpace } from './space.ts';

/** A gap up to this long is written along as zeros, so that bitmap and data leave in one call. */
const MAX_GAP_BYTES = 16 * 1024;
/** Pieces in one vectored write; systems take at least 1024. */
const MAX_PIECES = 256;

/** Bytes of one block. */
export interface BlockBytes {
  /** The block. */
  readonly blockIndex: number;
  /** First byte in the block's data. */
  readonly offsetInBlock: number;
  /** The bytes; they end in the same block. */
  readonly bytes: Uint8Array;
}

/** What a block store works on. */
export interface BlockStoreParts {
  /** The file. */
  readonly storage: Storage;
  /** Sizes and alignment of the blocks. */
  readonly layout: BlockLayout;
  /** The table, loaded. */
  readonly table: BlockTable;
  /** Byte offset behind headers, table and locators. */
  readonly metadataEnd: number;
  /** What allocation works on; undefined if the image is open for reading. */
  readonly growth: { readonly space: BlockSpace; readonly end: ImageEnd } | undefined;
  /** Returns the error for using a block whose table entry cannot be believed, undefined for every other block. */
  readonly refuse: (blockIndex: number) => VhdError | undefined;
}

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
    this.#bitmaps = new BlockBitmaps(parts.storage, parts.layout, parts.table.entries.length);
    this.#allOnes = allOnesBitmap(parts.layout.bitmapBytes);
    this.#flushes = new FlushQueue(parts.storage.name, () => this.#makeDurable());
  }

  /** Name of the file, for messages. */
  get name(): string {
    return this.#parts.storage.name;
  }

  /** Sizes and alignment of the blocks. */
  get layout(): BlockLayout {
    return this.#parts.layout;
  }

  /** Blocks that have a place in the file, believed or not. */
  get allocatedCount(): number {
    return this.#parts.table.allocatedCount;
  }

  /** Largest power of two, up to 1 MiB, that the data of every block lies on; undefined without blocks. */
  get dataAlignment(): number | undefined {
    const { table, layout } = this.#parts;
    const bitmapSectors = layout.bitmapBytes / SECTOR_BYTES;
    let bits = 2048;
    for (const blockIndex of table.allocated()) bits |= (table.entries[blockIndex] ?? 0) + bitmapSectors;
    return this.allocatedCount === 0 ? undefined : (bits & -bits) * SECTOR_BYTES;
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
    const sector = this.#parts.table.entries[blockIndex] ?? UNUSED_BAT_ENTRY;
    if (sector === UNUSED_BAT_ENTRY) return undefined;
    const refusal = this.#parts.refuse(blockIndex);
    if (refusal !== undefined) throw refusal;
    return sector * SECTOR_BYTES;
  }

  /** The next allocated blocks from `firstIndex` on, below `endIndex`, at most `limit` of them. */
  allocatedBlocks(firstIndex: number, endIndex: number, limit: number): number[] {
    const { table } = this.#parts;
    const found: number[] = [];
    let blockIndex = table.nextAllocated(firstIndex);
    while (blockIndex !== undefined && blockIndex < endIndex && found.length < limit) {
      found.push(blockIndex);
      blockIndex = table.nextAllocated(blockIndex + 1);
    }
    return found;
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
      const sector = this.#parts.table.entries[blockIndex] ?? UNUSED_BAT_ENTRY;
      if (sector === UNUSED_BAT_ENTRY || this.isFull(blockIndex)) continue;
      wanted.push({ blockIndex, blockOffset: sector * SECTOR_BYTES });
    }
    await this.#bitmaps.learnEach(wanted);
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
   * Writes pieces of blocks, in the order of the disk: of blocks whose bitmap is all ones, and of blocks that have no
   * place and get one. The rest of a new block reads as zeros. If it fails, the new blocks have no place still.
   */
  async writeEach(pieces: readonly BlockBytes[]): Promise<void> {
    const { growth, table } = this.#parts;
    const places = new Map<number, BlockPlace>();
    try {
      const writes: PlacedBytes[] = [];
      for (const ofBlock of groupByBlock(pieces)) {
        const blockIndex = ofBlock[0]?.blockIndex ?? 0;
        const blockOffset = this.locate(blockIndex);
        if (blockOffset === undefined) {
          const place = this.#takePlace();
          places.set(blockIndex, place);
          writes.push(...this.#newBlock(place, ofBlock));
        } else writes.push(...this.#intoBlock(blockOffset, ofBlock));
      }
      await this.#reserve([...places.values()]);
      this.#isDataDirty = true;
      await this.#send(writes);
    } catch (error) {
      for (const place of places.values()) growth?.space.giveBack(place.offset);
      throw error;
    }
    this.#isDataDirty = true;
    for (const [blockIndex, place] of places) {
      this.#bitmaps.setFull(blockIndex);
      table.set(blockIndex, place.offset / SECTOR_BYTES);
    }
  }

  #takePlace(): BlockPlace {
    const { growth } = this.#parts;
    if (growth === undefined) throw new Error('this block store is open for reading');
    this.#isChanged = true;
    return growth.space.take();
  }

  /** Makes the file long enough for new blocks. */
  async #reserve(places: readonly BlockPlace[]): Promise<void> {
    const { growth, table } = this.#parts;
    if (places.length === 0) return;
    const blocksLeft = table.entries.length - table.allocatedCount - places.length;
    await growth?.end.reserve(
      places.map((place) => place.offset),
      blocksLeft,
    );
  }

  /** The writes of a new block: bitmap, pieces, and zeros in between where something else may lie or that makes it one write. */
  #newBlock(place: BlockPlace, pieces: readonly BlockBytes[]): PlacedBytes[] {
    const { bitmapBytes, blockSize } = this.layout;
    const dataOffset = place.offset + bitmapBytes;
    const writes: PlacedBytes[] = [{ position: place.offset, bytes: this.#allOnes }];
    let end = 0;
    const zeros = (to: number): void => {
      if (place.isVirgin && (pieces.length > 1 || to - end > MAX_GAP_BYTES)) return;
      for (const bytes of zeroPieces(to - end)) {
        writes.push({ position: dataOffset + end, bytes });
        end += bytes.length;
      }
    };
    for (const { offsetInBlock, bytes } of pieces) {
      zeros(offsetInBlock);
      writes.push({ position: dataOffset + offsetInBlock, bytes });
      end = offsetInBlock + bytes.length;
    }
    if (!place.isVirgin) zeros(blockSize);
    return writes;
  }

  #intoBlock(blockOffset: number, pieces: readonly BlockBytes[]): PlacedBytes[] {
    const dataOffset = blockOffset + this.layout.bitmapBytes;
    return pieces.map(({ offsetInBlock, bytes }) => ({ position: dataOffset + offsetInBlock, bytes }));
  }

  /** Writes that touch from the first to the last leave as one, others as a batch. */
  async #send(writes: readonly PlacedBytes[]): Promise<void> {
    const { storage } = this.#parts;
    const [first] = writes;
    if (first === undefined) return;
    if (!isAdjacent(writes)) return writeEach(storage, writes);
    for (let from = 0; from < writes.length; from += MAX_PIECES) {
      const batch = writes.slice(from, from + MAX_PIECES);
      await writeAdjacent(
        storage,
        batch.map(({ bytes }) => bytes),
        batch[0]?.position ?? first.position,
      );
    }
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
    const copies = table.takeDirty();
    const freed = growth?.space.takeQuarantined() ?? [];
    if (copies.length === 0 && !this.#isDataDirty) return;
    this.#isDataDirty = false;
    await this.#barrier();
    if (copies.length === 0) return;
    await writeEach(storage, copies);
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
    let last = -1;
    for (const blockIndex of table.allocated()) last = Math.max(last, table.entries[blockIndex] ?? 0);
    return last < 0 ? metadataEnd : Math.max(metadataEnd, blockEnd(layout, last * SECTOR_BYTES));
  }
}

/** Pieces, which are in the order of the disk, by the block they lie in. */
function* groupByBlock(pieces: readonly BlockBytes[]): Generator<readonly BlockBytes[]> {
  for (let first = 0; first < pieces.length; ) {
    let next = first + 1;
    while (next < pieces.length && pieces[next]?.blockIndex === pieces[first]?.blockIndex) next++;
    yield next - first === pieces.length ? pieces : pieces.slice(first, next);
    first = next;
  }
}

function isAdjacent(writes: readonly PlacedBytes[]): boolean {
  return writes.every(({ position }, index) => {
    const before = writes[index - 1];
    return before === undefined || before.position + before.bytes.length === position;
  });
}

import type { VhdError } from '../errors.ts';
import { endOfRun, isSectorSet } from '../format/bitmap.ts';
import { SECTOR_BYTES } from '../format/spec.ts';
import { BitmapLookAhead } from './bitmap-look-ahead.ts';
import type { BlockStore } from './block-store.ts';
import { type ExtentOptions, isUnknown } from './disk.ts';
import { type Span, SpanList } from './span-list.ts';

/** A differencing image in a chain: its blocks, and its own size in bytes. */
export interface ChainLink {
  /** Its blocks, with exact bitmaps. */
  readonly store: BlockStore;
  /** Its virtual size in bytes. */
  readonly size: number;
}

/** A span that the link at `depth` decides: where its bytes are in the file, or that they are zero, or that nobody can tell. */
export interface Decided extends Span {
  /** Links above the one that decides. */
  readonly depth: number;
  /** Byte offset in its file, `'zero'`, or why the span cannot be told. */
  readonly what: number | 'zero' | VhdError;
}

/** How it is asked who owns what. */
export type QueryOptions = Pick<ExtentOptions, 'coarse' | 'located' | 'onUnknown'>;

/** A block of a link, as far as it matters who owns its sectors. */
interface OwnedBlock {
  readonly blockIndex: number;
  /** Undefined for a block without a place; an error where the table or the bitmap cannot be read or believed. */
  readonly bitmap: Uint8Array | 'full' | VhdError | undefined;
  /** Byte offset of its data in the file. */
  readonly dataOffset: number;
}

/** Tells what one link of a chain owns. */
export class LinkReader {
  readonly #link: ChainLink;
  readonly #depth: number;
  readonly #bitmaps: BitmapLookAhead;

  /** For the link that has `depth` others above it. */
  constructor(link: ChainLink, depth: number) {
    this.#link = link;
    this.#depth = depth;
    this.#bitmaps = new BitmapLookAhead(link.store);
  }

  /** Moves from `open` to `decided` what the link owns, or is behind its end; resolves to the rest. */
  async take(open: SpanList, decided: Decided[], how: QueryOptions): Promise<SpanList> {
    const inside = cutAtEnd(open, this.#link.size, this.#depth, decided);
    if (!this.#isAnyAllocated(inside)) return inside;
    const unknown = isCoarse(how) ? [] : this.#unknownBlocks(inside);
    if (unknown.length > 0) await this.#bitmaps.learn(unknown);
    const { blockSize } = this.#link.store.layout;
    const rest = new SpanList();
    let block: OwnedBlock | undefined;
    for (let index = 0; index < inside.length; index++) {
      const end = inside.endOf(index);
      for (let start = inside.startOf(index); start < end; ) {
        const blockIndex = Math.floor(start / blockSize);
        const pieceEnd = Math.min(end, (blockIndex + 1) * blockSize);
        if (block?.blockIndex !== blockIndex) {
          block = this.#knownBlock(blockIndex, how) ?? (await this.#readBlock(blockIndex, how));
        }
        this.#takePiece(block, { start, end: pieceEnd }, rest, decided);
        start = pieceEnd;
      }
    }
    return rest;
  }

  /** Most links of a long chain have nothing of what is asked for: this passes them quickly. */
  #isAnyAllocated(open: SpanList): boolean {
    const { store } = this.#link;
    const { blockSize } = store.layout;
    const first = Math.floor(open.startOf(0) / blockSize);
    const end = Math.ceil(open.end / blockSize);
    return end - first === 1 ? store.isAllocated(first) : store.allocatedBlocks(first, end, 1).length > 0;
  }

  /** The allocated blocks in `open` of whose bitmap nothing is known, in order. */
  #unknownBlocks(open: SpanList): number[] {
    const { store } = this.#link;
    const { blockSize } = store.layout;
    const unknown: number[] = [];
    let next = 0;
    for (let index = 0; index < open.length; index++) {
      const first = Math.max(next, Math.floor(open.startOf(index) / blockSize));
      next = Math.ceil(open.endOf(index) / blockSize);
      for (let blockIndex = first; blockIndex < next; blockIndex++) {
        if (store.isBitmapMissing(blockIndex)) unknown.push(blockIndex);
      }
    }
    return unknown;
  }

  /** Undefined where the bitmap has to be read first. */
  #knownBlock(blockIndex: number, how: QueryOptions): OwnedBlock | undefined {
    const { store } = this.#link;
    if (!store.isAllocated(blockIndex)) return { blockIndex, bitmap: undefined, dataOffset: 0 };
    const bitmap = isCoarse(how) ? 'full' : store.knownBitmap(blockIndex);
    if (bitmap === undefined) return undefined;
    try {
      return { blockIndex, bitmap, dataOffset: this.#dataOffset(blockIndex) };
    } catch (error) {
      return untold(blockIndex, error, how);
    }
  }

  async #readBlock(blockIndex: number, how: QueryOptions): Promise<OwnedBlock> {
    const { store } = this.#link;
    try {
      const bitmap = await store.bitmapOf(blockIndex, store.locate(blockIndex) ?? 0);
      return { blockIndex, bitmap, dataOffset: this.#dataOffset(blockIndex) };
    } catch (error) {
      return untold(blockIndex, error, how);
    }
  }

  #dataOffset(blockIndex: number): number {
    const { store } = this.#link;
    return (store.locate(blockIndex) ?? 0) + store.layout.bitmapBytes;
  }

  /** Divides a span within one block by who has its sectors. */
  #takePiece({ blockIndex, bitmap, dataOffset }: OwnedBlock, span: Span, rest: SpanList, decided: Decided[]): void {
    const { start, end } = span;
    const depth = this.#depth;
    if (bitmap === undefined) {
      rest.add(start, end);
      return;
    }
    const blockStart = blockIndex * this.#link.store.layout.blockSize;
    if (!(bitmap instanceof Uint8Array)) {
      decided.push({ start, end, depth, what: bitmap === 'full' ? dataOffset + start - blockStart : bitmap });
      return;
    }
    const endSector = Math.ceil((end - blockStart) / SECTOR_BYTES);
    for (let sector = Math.floor((start - blockStart) / SECTOR_BYTES); sector < endSector; ) {
      const isSet = isSectorSet(bitmap, sector);
      const runEnd = endOfRun(bitmap, sector, endSector, isSet);
      const from = Math.max(start, blockStart + sector * SECTOR_BYTES);
      const to = Math.min(end, blockStart + runEnd * SECTOR_BYTES);
      if (isSet) decided.push({ start: from, end: to, depth, what: dataOffset + from - blockStart });
      else rest.add(from, to);
      sector = runEnd;
    }
  }
}

/** Where something lies can be told only of what the bitmap says is there. */
function isCoarse({ coarse, located }: QueryOptions): boolean {
  return coarse === true && located !== true;
}

/** @throws the error, unless it says that the block cannot be told and somebody listens to that */
function untold(blockIndex: number, error: unknown, { onUnknown }: QueryOptions): OwnedBlock {
  if (onUnknown === undefined || !isUnknown(error)) throw error;
  return { blockIndex, bitmap: error, dataOffset: 0 };
}

/** What lies behind the end of a link or the base, at `depth`, is zero for everything above that does not own it. */
export function cutAtEnd(open: SpanList, size: number, depth: number, decided: Decided[]): SpanList {
  if (open.end <= size) return open;
  const inside = new SpanList();
  for (let index = 0; index < open.length; index++) {
    const [start, end] = [open.startOf(index), open.endOf(index)];
    inside.add(start, Math.min(end, size));
    const from = Math.max(start, size);
    if (from < end) decided.push({ start: from, end, depth, what: 'zero' });
  }
  return inside;
}

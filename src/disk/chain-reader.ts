import { VhdError } from '../errors.ts';
import { decodeBitmap } from '../format/bitmap.ts';
import { SECTOR_BYTES } from '../format/spec.ts';
import { settleAll } from '../storage/settle.ts';
import { type PlacedBytes, readAcross, type Storage, type StorageReads } from '../storage/storage.ts';
import { BitmapLookAhead } from './bitmap-look-ahead.ts';
import { type BlockPiece, cutAtBlocks } from './block-pieces.ts';
import type { BlockStore } from './block-store.ts';
import { type Disk, type Extent, type ExtentOptions, isUnknown } from './disk.ts';

/** Extents are found for so many bytes at a time where blocks are, and at once where none are. */
const WINDOW_BYTES = 16 * 1024 * 1024;

/** A differencing image in a chain: its blocks, and its own size in bytes. */
export interface ChainLink {
  /** Its blocks, with exact bitmaps. */
  readonly store: BlockStore;
  /** Its virtual size in bytes. */
  readonly size: number;
}

/** Bytes of the disk from `start` to `end`, exclusive. */
export interface Span {
  /** First byte. */
  readonly start: number;
  /** Byte behind the last. */
  readonly end: number;
}

/** A place in a storage. */
export interface FilePlace {
  /** The storage. */
  readonly storage: Storage;
  /** Byte offset. */
  readonly position: number;
}

/** Where the bytes of a span lie in one piece; `'zero'` where they are zeros that lie nowhere. */
export type SpanPlace = FilePlace | 'zero';

/** What the last image of a chain that has a parent is based on. */
export interface ChainBase extends Disk {
  /** Where spans lie, one answer for each: undefined for those that `read` has to be asked for. Optional. */
  placesOf?(spans: readonly Span[]): Promise<readonly (SpanPlace | undefined)[]>;
}

/** A span that the link at `depth` decides: its bytes are in the file, or zero, or nobody can tell. */
interface Decided extends Span {
  readonly depth: number;
  readonly what: { readonly fileOffset: number } | 'zero' | VhdError;
}

/** Who decides what in a range. */
interface Resolution {
  readonly decided: readonly Decided[];
  /** What none of the links owns: it is what the base has there. */
  readonly ofBase: readonly Span[];
}

/** Extents that are asked for, from `start` to `end` (exclusive), and how. */
export interface ExtentRequest extends Pick<ExtentOptions, 'coarse' | 'located' | 'onUnknown'> {
  /** First byte. */
  readonly start: number;
  /** Byte behind the last. */
  readonly end: number;
}

type QueryOptions = Pick<ExtentOptions, 'coarse' | 'located' | 'onUnknown'>;

/**
 * Reads a chain of differencing images and the disk they are based on, link by link without recursion: a link is asked for
 * what no link above it owns, the base for what none of them does. Behind the end of a link nothing below it is seen:
 * what no link above owns there is zero.
 */
export class ChainReader {
  readonly #links: readonly ChainLink[];
  readonly #base: ChainBase;
  readonly #bitmaps: readonly BitmapLookAhead[];

  /** `links` begin with the youngest child and may be none; `base` is what the last of them has as parent. */
  constructor(links: readonly ChainLink[], base: ChainBase) {
    this.#links = links;
    this.#base = base;
    this.#bitmaps = links.map(({ store }) => new BitmapLookAhead(store));
  }

  /** Fills `target` with the bytes from `position` on. */
  async read(target: Uint8Array, position: number): Promise<void> {
    const { decided, ofBase } = await this.#resolve({ start: position, end: position + target.length }, {});
    const part = ({ start, end }: Span): Uint8Array => target.subarray(start - position, end - position);
    const reads: PlacedBytes[][] = [];
    for (const span of decided) {
      if (span.what instanceof VhdError) throw span.what;
      if (span.what === 'zero') part(span).fill(0);
      else (reads[span.depth] ??= []).push({ position: span.what.fileOffset, bytes: part(span) });
    }
    const parts: StorageReads[] = [];
    for (const [depth, { store }] of this.#links.entries()) {
      const ofLink = reads[depth];
      if (ofLink !== undefined) parts.push({ storage: store.storage, reads: ofLink });
    }
    const calls: Promise<void>[] = [];
    if (ofBase.length > 0) await this.#addBase(ofBase, part, parts, calls);
    await settleAll([readAcross(parts), ...calls]);
  }

  /** What the base can say where it lies is read along with the rest, and the base asked for what is left. */
  async #addBase(
    spans: readonly Span[],
    part: (span: Span) => Uint8Array,
    parts: StorageReads[],
    calls: Promise<void>[],
  ): Promise<void> {
    const places = (await this.#base.placesOf?.(spans)) ?? [];
    const placed: PlacedBytes[] = [];
    let storage: Storage | undefined;
    for (const [index, span] of spans.entries()) {
      const place = places[index];
      if (place === undefined) calls.push(this.#base.read(part(span), span.start));
      else if (place === 'zero') part(span).fill(0);
      else {
        storage = place.storage;
        placed.push({ position: place.position, bytes: part(span) });
      }
    }
    if (storage !== undefined) parts.push({ storage, reads: placed });
  }

  /** True if every byte from `start` to `end` is known to be zero without being read. */
  async isZero(start: number, end: number): Promise<boolean> {
    for await (const { kind } of this.extents({ start, end })) if (kind === 'data') return false;
    return true;
  }

  /** Yields adjacent runs that cover a range; neighbours may be alike. */
  async *extents(request: ExtentRequest): AsyncGenerator<Extent> {
    for (let start = request.start; start < request.end; ) {
      const end = this.#windowEnd(start, request.end);
      const { decided, ofBase } = await this.#resolve({ start, end }, request);
      const spans: (Decided | Span)[] = [...decided, ...ofBase];
      for (const span of spans.sort((first, second) => first.start - second.start)) {
        if ('what' in span) yield* extentOf(span, request);
        else yield* this.#extentsOfBase(span, request);
      }
      start = end;
    }
  }

  async *#extentsOfBase({ start, end }: Span, request: ExtentRequest): AsyncGenerator<Extent> {
    const { coarse, located, onUnknown } = request;
    const extents = this.#base.extents({ start, length: end - start, coarse, located, onUnknown });
    for await (const extent of extents) yield { ...extent, depth: extent.depth + this.#links.length };
  }

  /** Up to the first block that any link has, or so far that not too much is held at a time. */
  #windowEnd(start: number, end: number): number {
    let next = end;
    for (const { store } of this.#links) {
      const { blockSize } = store.layout;
      const [blockIndex] = store.allocatedBlocks(Math.floor(start / blockSize), Math.ceil(next / blockSize), 1);
      if (blockIndex !== undefined) next = Math.min(next, Math.max(start, blockIndex * blockSize));
    }
    if (next > start) return next;
    return Math.min(end, start - (start % WINDOW_BYTES) + WINDOW_BYTES);
  }

  async #resolve(range: Span, how: QueryOptions): Promise<Resolution> {
    const decided: Decided[] = [];
    let open: readonly Span[] = [range];
    for (const [depth, link] of this.#links.entries()) {
      open = cutAtEnd(open, link.size, depth, decided);
      if (open.length === 0) return { decided, ofBase: [] };
      if (!isAnyAllocated(link.store, open)) continue;
      const query = new LinkQuery(link, depth, how);
      const unknown = query.unknownBlocks(open);
      if (unknown.length > 0) await this.#bitmaps[depth]?.learn(unknown);
      open = await query.take(open, decided);
    }
    return { decided, ofBase: cutAtEnd(open, this.#base.size, this.#links.length, decided) };
  }
}

/** Finds what one link owns. */
class LinkQuery {
  readonly #link: ChainLink;
  readonly #depth: number;
  readonly #isCoarse: boolean;
  readonly #toleratesUnknown: boolean;

  constructor(link: ChainLink, depth: number, how: QueryOptions) {
    this.#link = link;
    this.#depth = depth;
    // Where something lies can be told only of what the bitmap says is there.
    this.#isCoarse = how.coarse === true && how.located !== true;
    this.#toleratesUnknown = how.onUnknown !== undefined;
  }

  /** The allocated blocks in `open` of whose bitmap nothing is known, in order. */
  unknownBlocks(open: readonly Span[]): number[] {
    const { store } = this.#link;
    const unknown: number[] = [];
    if (this.#isCoarse) return unknown;
    for (const { blockIndex } of this.#allocatedPieces(open)) {
      if (unknown.at(-1) !== blockIndex && store.isBitmapMissing(blockIndex)) unknown.push(blockIndex);
    }
    return unknown;
  }

  /** Moves from `open` to `decided` what the link owns; returns the rest. */
  async take(open: readonly Span[], decided: Decided[]): Promise<readonly Span[]> {
    const rest: Span[] = [];
    for (const span of open) {
      let position = span.start;
      for (const piece of this.#allocatedPieces([span])) {
        const start = span.start + piece.done;
        addSpan(rest, position, start);
        await this.#takePiece(piece, start, rest, decided);
        position = start + piece.length;
      }
      addSpan(rest, position, span.end);
    }
    return rest;
  }

  *#allocatedPieces(open: readonly Span[]): Generator<BlockPiece> {
    const { store } = this.#link;
    for (const { start, end } of open) {
      for (const piece of cutAtBlocks(start, end - start, store.layout.blockSize)) {
        if (store.isAllocated(piece.blockIndex)) yield piece;
      }
    }
  }

  async #takePiece(piece: BlockPiece, start: number, rest: Span[], decided: Decided[]): Promise<void> {
    const depth = this.#depth;
    const { store } = this.#link;
    const { blockIndex, offsetInBlock, length } = piece;
    const end = start + length;
    try {
      const blockOffset = store.locate(blockIndex) ?? 0;
      const dataOffset = blockOffset + store.layout.bitmapBytes + offsetInBlock - start;
      const owned = (from: number, to: number): void => {
        decided.push({ start: from, end: to, depth, what: { fileOffset: dataOffset + from } });
      };
      const bitmap = this.#isCoarse
        ? 'full'
        : (store.knownBitmap(blockIndex) ?? (await store.bitmapOf(blockIndex, blockOffset)));
      if (bitmap === 'full') {
        owned(start, end);
        return;
      }
      const firstSector = Math.floor(offsetInBlock / SECTOR_BYTES);
      const sectorCount = Math.ceil((offsetInBlock + length) / SECTOR_BYTES) - firstSector;
      for (const run of decodeBitmap(bitmap, sectorCount, firstSector)) {
        const from = Math.max(start, start - offsetInBlock + run.sector * SECTOR_BYTES);
        const to = Math.min(end, start - offsetInBlock + (run.sector + run.sectorCount) * SECTOR_BYTES);
        if (run.isSet) owned(from, to);
        else addSpan(rest, from, to);
      }
    } catch (error) {
      if (!this.#toleratesUnknown || !isUnknown(error)) throw error;
      decided.push({ start, end, depth, what: error });
    }
  }
}

/** Most links of a long chain have nothing of what is asked for: this passes them quickly. */
function isAnyAllocated(store: BlockStore, open: readonly Span[]): boolean {
  const { blockSize } = store.layout;
  for (const { start, end } of open) {
    for (let blockIndex = Math.floor(start / blockSize); blockIndex * blockSize < end; blockIndex++) {
      if (store.isAllocated(blockIndex)) return true;
    }
  }
  return false;
}

/** What lies behind the end of a link or the base, at `depth`, is zero for everything above that does not own it. */
function cutAtEnd(open: readonly Span[], size: number, depth: number, decided: Decided[]): readonly Span[] {
  if ((open.at(-1)?.end ?? 0) <= size) return open;
  const inside: Span[] = [];
  for (const { start, end } of open) {
    addSpan(inside, start, Math.min(end, size));
    const from = Math.max(start, size);
    if (from < end) decided.push({ start: from, end, depth, what: 'zero' });
  }
  return inside;
}

/** Adds a span behind others, to the last one where it touches that. */
function addSpan(spans: Span[], start: number, end: number): void {
  if (start >= end) return;
  const last = spans.at(-1);
  if (last?.end === start) spans[spans.length - 1] = { start: last.start, end };
  else spans.push({ start, end });
}

function* extentOf({ start, end, depth, what }: Decided, { located, onUnknown }: ExtentRequest): Generator<Extent> {
  const length = end - start;
  if (what instanceof VhdError) onUnknown?.({ start, length, error: what });
  else if (what === 'zero') yield { start, length, kind: 'zero', depth };
  else yield { start, length, kind: 'data', depth, ...(located === true ? { fileOffset: what.fileOffset } : {}) };
}

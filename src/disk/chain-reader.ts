import { VhdError } from '../errors.ts';
import { settleAll } from '../storage/settle.ts';
import { type PlacedBytes, readAcross, type Storage, type StorageReads } from '../storage/storage.ts';
import { type ChainLink, cutAtEnd, type Decided, LinkReader, type QueryOptions } from './chain-link.ts';
import type { Disk, Extent } from './disk.ts';
import { type Span, SpanList } from './span-list.ts';

/** Extents are found for so many bytes at a time where blocks are, and at once where none are. */
const WINDOW_BYTES = 16 * 1024 * 1024;

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

/** Who decides what in a range. */
interface Resolution {
  readonly decided: readonly Decided[];
  /** What none of the links owns: it is what the base has there. */
  readonly ofBase: readonly Span[];
}

/** Extents that are asked for, from `start` to `end` (exclusive), and how. */
export interface ExtentRequest extends QueryOptions {
  /** First byte. */
  readonly start: number;
  /** Byte behind the last. */
  readonly end: number;
}

/**
 * Reads a chain of differencing images and the disk they are based on, link by link without recursion: a link is asked for
 * what no link above it owns, the base for what none of them does. Behind the end of a link nothing below it is seen:
 * what no link above owns there is zero.
 */
export class ChainReader {
  readonly #links: readonly ChainLink[];
  readonly #base: ChainBase;
  readonly #readers: readonly LinkReader[];

  /** `links` begin with the youngest child and may be none; `base` is what the last of them has as parent. */
  constructor(links: readonly ChainLink[], base: ChainBase) {
    this.#links = links;
    this.#base = base;
    this.#readers = links.map((link, depth) => new LinkReader(link, depth));
  }

  /** Fills `target` with the bytes from `position` on. */
  async read(target: Uint8Array, position: number): Promise<void> {
    const { decided, ofBase } = await this.#resolve({ start: position, end: position + target.length }, {});
    const part = ({ start, end }: Span): Uint8Array => target.subarray(start - position, end - position);
    const reads: PlacedBytes[][] = [];
    for (const span of decided) {
      if (span.what instanceof VhdError) throw span.what;
      if (span.what === 'zero') part(span).fill(0);
      else (reads[span.depth] ??= []).push({ position: span.what, bytes: part(span) });
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
    let open = SpanList.of(range);
    for (const link of this.#readers) {
      open = await link.take(open, decided, how);
      if (open.length === 0) return { decided, ofBase: [] };
    }
    return { decided, ofBase: cutAtEnd(open, this.#base.size, this.#links.length, decided).toArray() };
  }
}

function* extentOf({ start, end, depth, what }: Decided, { located, onUnknown }: ExtentRequest): Generator<Extent> {
  const length = end - start;
  if (what instanceof VhdError) onUnknown?.({ start, length, error: what });
  else if (what === 'zero') yield { start, length, kind: 'zero', depth };
  else yield { start, length, kind: 'data', depth, ...(located === true ? { fileOffset: what } : {}) };
}

/** Bytes of the disk from `start` to `end`, exclusive. */
export interface Span {
  /** First byte. */
  readonly start: number;
  /** Byte behind the last. */
  readonly end: number;
}

/**
 * Spans in the order of the disk that do not touch each other. As numbers in a row and not as objects: a chain whose images own
 * single sectors cuts every block into hundreds of them, once for each image.
 */
export class SpanList {
  readonly #bounds: number[] = [];

  /** The list of one span. */
  static of({ start, end }: Span): SpanList {
    const list = new SpanList();
    list.add(start, end);
    return list;
  }

  /** How many there are. */
  get length(): number {
    return this.#bounds.length / 2;
  }

  /** First byte of a span. */
  startOf(index: number): number {
    return this.#bounds[index * 2] ?? 0;
  }

  /** Byte behind the last of a span. */
  endOf(index: number): number {
    return this.#bounds[index * 2 + 1] ?? 0;
  }

  /** Byte behind the last span; 0 without any. */
  get end(): number {
    return this.#bounds.at(-1) ?? 0;
  }

  /** Adds a span behind the others, or lengthens the last one where it touches that; nothing if it is empty. */
  add(start: number, end: number): void {
    if (start >= end) return;
    const bounds = this.#bounds;
    if (bounds[bounds.length - 1] === start) bounds[bounds.length - 1] = end;
    else bounds.push(start, end);
  }

  /** The spans as objects. */
  toArray(): Span[] {
    return Array.from({ length: this.length }, (_, index) => ({ start: this.startOf(index), end: this.endOf(index) }));
  }
}

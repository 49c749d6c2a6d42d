/** Bytes from `start` to `end`, exclusive. */
export interface LockedRange {
  /** First byte. */
  readonly start: number;
  /** Behind the last byte. */
  readonly end: number;
}

interface Holder extends LockedRange {
  /** In order and apart; `start` and `end` are those of all together. */
  readonly ranges: readonly LockedRange[];
  readonly isExclusive: boolean;
  waiters: (() => void)[] | undefined;
}

/**
 * Lets calls on separate byte ranges run side by side and those that overlap one after the other, in the order they
 * came; calls that only read may overlap.
 */
export class RangeLock {
  readonly #holders = new Set<Holder>();
  #exclusiveCount = 0;
  #whenIdle: (() => void)[] = [];

  /** Runs `call` as soon as no earlier conflicting call is left, and passes its result on. */
  run<T>(start: number, length: number, isExclusive: boolean, call: () => Promise<T>): Promise<T> {
    return this.runEach([{ start, end: start + length }], isExclusive, call);
  }

  /** The same for several ranges at once, in order and apart from each other. */
  async runEach<T>(ranges: readonly LockedRange[], isExclusive: boolean, call: () => Promise<T>): Promise<T> {
    const [start, end] = [ranges[0]?.start ?? 0, ranges.at(-1)?.end ?? 0];
    const holder: Holder = { start, end, ranges, isExclusive, waiters: undefined };
    const earlier = this.#conflicts(holder);
    this.#holders.add(holder);
    if (isExclusive) this.#exclusiveCount++;
    try {
      if (earlier.length > 0) await Promise.all(earlier.map(whenReleased));
      return await call();
    } finally {
      this.#holders.delete(holder);
      if (isExclusive) this.#exclusiveCount--;
      for (const wake of holder.waiters ?? []) wake();
      if (this.#holders.size === 0) this.#wakeIdle();
    }
  }

  /** Resolves when no call is left running or waiting. */
  async idle(): Promise<void> {
    if (this.#holders.size > 0) await new Promise<void>((resolve) => this.#whenIdle.push(resolve));
  }

  #conflicts(holder: Holder): Holder[] {
    const conflicts: Holder[] = [];
    if (!holder.isExclusive && this.#exclusiveCount === 0) return conflicts;
    for (const other of this.#holders) {
      if ((other.isExclusive || holder.isExclusive) && overlaps(other, holder)) conflicts.push(other);
    }
    return conflicts;
  }

  #wakeIdle(): void {
    const waiting = this.#whenIdle;
    this.#whenIdle = [];
    for (const wake of waiting) wake();
  }
}

function overlaps(first: Holder, second: Holder): boolean {
  if (first.end <= second.start || first.start >= second.end) return false;
  const [few, many] = first.ranges.length < second.ranges.length ? [first, second] : [second, first];
  return few.ranges.some((range) => meets(many.ranges, range));
}

/** True if one of the ranges, which are in order, has a byte in common with another. */
function meets(ranges: readonly LockedRange[], { start, end }: LockedRange): boolean {
  let low = 0;
  let high = ranges.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((ranges[middle]?.end ?? 0) > start) high = middle;
    else low = middle + 1;
  }
  const range = ranges[low];
  return range !== undefined && range.start < end;
}

function whenReleased(holder: Holder): Promise<void> {
  return new Promise((resolve) => {
    holder.waiters ??= [];
    holder.waiters.push(resolve);
  });
}

interface Holder {
  readonly start: number;
  readonly end: number;
  readonly isExclusive: boolean;
  waiters: (() => void)[] | undefined;
}

/**
 * Lets calls on separate byte ranges run side by side and those that overlap one after the other, in the order they
 * came; calls that only read may overlap.
 */
export class RangeLock {
  readonly #holders = new Set<Holder>();
  #whenIdle: (() => void)[] = [];

  /** Runs `call` as soon as no earlier conflicting call is left, and passes its result on. */
  async run<T>(start: number, length: number, isExclusive: boolean, call: () => Promise<T>): Promise<T> {
    const holder: Holder = { start, end: start + length, isExclusive, waiters: undefined };
    const earlier = this.#conflicts(holder);
    this.#holders.add(holder);
    try {
      if (earlier.length > 0) await Promise.all(earlier.map(whenReleased));
      return await call();
    } finally {
      this.#holders.delete(holder);
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
    for (const other of this.#holders) {
      const isApart = other.end <= holder.start || other.start >= holder.end;
      if (!isApart && (other.isExclusive || holder.isExclusive)) conflicts.push(other);
    }
    return conflicts;
  }

  #wakeIdle(): void {
    const waiting = this.#whenIdle;
    this.#whenIdle = [];
    for (const wake of waiting) wake();
  }
}

function whenReleased(holder: Holder): Promise<void> {
  return new Promise((resolve) => {
    holder.waiters ??= [];
    holder.waiters.push(resolve);
  });
}

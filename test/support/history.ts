/** A change of the virtual disk that has been asked for: bytes, from a position on. */
interface Change {
  readonly index: number;
  readonly position: number;
  readonly bytes: Uint8Array;
  isResolved: boolean;
}

/** What every byte of a disk may be after a crash at some moment. */
export interface Expectation {
  /** What is durable for certain. */
  readonly durable: Uint8Array;
  /** For each byte the change that made it so, 0 for none. */
  readonly floor: Int32Array;
  /** The changes that may or may not have come through, in the order of the calls. */
  readonly open: readonly Change[];
}

/** Follows the calls on a disk, and knows what a crash may leave of their bytes. */
export class History {
  readonly #durable: Uint8Array;
  readonly #floor: Int32Array;
  #open: Change[] = [];
  #count = 0;

  constructor(content: Uint8Array) {
    this.#durable = Uint8Array.from(content);
    this.#floor = new Int32Array(content.length);
  }

  /** Notes a change at its call; call the result when it has resolved. */
  begin(position: number, bytes: Uint8Array): () => void {
    const change: Change = { index: ++this.#count, position, bytes, isResolved: false };
    this.#open.push(change);
    return () => {
      change.isResolved = true;
    };
  }

  /** Notes a flush at its call; call the result when it has resolved. */
  beginFlush(): () => void {
    const covered = this.#open.filter((change) => change.isResolved);
    return () => {
      for (const change of covered) this.#makeDurable(change);
      const done = new Set(covered);
      this.#open = this.#open.filter((change) => !done.has(change));
    };
  }

  #makeDurable(change: Change): void {
    change.bytes.forEach((byte, offset) => {
      const at = change.position + offset;
      if ((this.#floor[at] ?? 0) > change.index) return;
      this.#floor[at] = change.index;
      this.#durable[at] = byte;
    });
  }

  /** What may be there if it all stops now. */
  expectation(): Expectation {
    return { durable: this.#durable.slice(), floor: this.#floor.slice(), open: [...this.#open] };
  }
}

/** Why bytes read after a crash cannot be; undefined if they can. */
export function contradiction(expected: Expectation, found: Uint8Array): string | undefined {
  if (Buffer.compare(expected.durable, found) === 0) return undefined;
  for (let at = 0; at < found.length; at++) {
    if (found[at] === expected.durable[at] || isAllowed(expected, at, found[at] ?? 0)) continue;
    const durable = expected.durable[at] ?? 0;
    return `byte ${at}: found ${found[at] ?? 'none'}, flushed was ${durable}, never written since`;
  }
  return undefined;
}

function isAllowed({ floor, open }: Expectation, at: number, byte: number): boolean {
  return open.some((change) => change.index > (floor[at] ?? 0) && change.bytes[at - change.position] === byte);
}

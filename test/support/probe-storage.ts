import type { Storage, StorageCapabilities, StoredRange } from '../../src/storage/storage.ts';

/** A call that a storage got. */
export interface Call {
  readonly kind: 'size' | 'read' | 'findData' | 'write' | 'truncate' | 'flush' | 'discard' | 'close';
  readonly position: number;
  readonly length: number;
}

/** Looks at a call; may delay it, or make it fail by rejecting. */
export type Hook = (call: Call) => Promise<void> | void;

/** A storage around another one: it notes every call, and lets a test delay or fail any of them. */
export class ProbeStorage implements Storage {
  readonly name: string;
  readonly capabilities: StorageCapabilities;
  /** Every call so far, vectored ones as one. */
  readonly calls: Call[] = [];
  /** Runs before a call reaches the inner storage. */
  before: Hook = () => undefined;
  /** Runs after the inner storage is done, before the caller hears of it. */
  after: Hook = () => undefined;
  readonly #inner: Storage;

  constructor(inner: Storage, capabilities: Partial<StorageCapabilities> = {}) {
    this.#inner = inner;
    this.name = inner.name;
    this.capabilities = { ...inner.capabilities, ...capabilities };
  }

  /** How many calls of a kind there were. */
  count(kind: Call['kind']): number {
    return this.calls.filter((call) => call.kind === kind).length;
  }

  /** The calls that change the file, in short: `write 0+512`. */
  changes(): string[] {
    const changing = this.calls.filter((call) => !['read', 'size', 'findData', 'close'].includes(call.kind));
    return changing.map((call) => (call.kind === 'flush' ? 'flush' : `${call.kind} ${call.position}+${call.length}`));
  }

  size(): Promise<number> {
    return this.#run({ kind: 'size', position: 0, length: 0 }, () => this.#inner.size());
  }

  read(target: Uint8Array, position: number): Promise<void> {
    return this.readv([target], position);
  }

  readv(targets: readonly Uint8Array[], position: number): Promise<void> {
    return this.#run({ kind: 'read', position, length: lengthOf(targets) }, () =>
      inTurn(targets, position, (target, offset) => this.#inner.read(target, offset)),
    );
  }

  findData(position: number, length: number): Promise<StoredRange | undefined> {
    return this.#run({ kind: 'findData', position, length }, async () =>
      this.#inner.findData === undefined ? { start: position, length } : this.#inner.findData(position, length),
    );
  }

  write(source: Uint8Array, position: number): Promise<void> {
    return this.writev([source], position);
  }

  writev(sources: readonly Uint8Array[], position: number): Promise<void> {
    return this.#run({ kind: 'write', position, length: lengthOf(sources) }, () =>
      inTurn(sources, position, (source, offset) => this.#inner.write(source, offset)),
    );
  }

  truncate(byteLength: number): Promise<void> {
    return this.#run({ kind: 'truncate', position: byteLength, length: 0 }, () => this.#inner.truncate(byteLength));
  }

  flush(): Promise<void> {
    return this.#run({ kind: 'flush', position: 0, length: 0 }, () => this.#inner.flush());
  }

  discard(position: number, length: number): Promise<void> {
    return this.#run({ kind: 'discard', position, length }, () => this.#inner.discard(position, length));
  }

  close(): Promise<void> {
    return this.#run({ kind: 'close', position: 0, length: 0 }, () => this.#inner.close());
  }

  async #run<T>(call: Call, perform: () => Promise<T>): Promise<T> {
    this.calls.push(call);
    await this.before(call);
    const result = await perform();
    await this.after(call);
    return result;
  }
}

/** A promise and the key to it. */
export interface Gate {
  readonly opened: Promise<void>;
  readonly open: () => void;
}

/** Something to wait at until a test lets go. */
export function gate(): Gate {
  let open: () => void = () => undefined;
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { opened, open };
}

/** Lets everything that is not held up run on. */
export async function turns(count = 50): Promise<void> {
  for (let turn = 0; turn < count; turn++) await Promise.resolve();
}

function lengthOf(pieces: readonly Uint8Array[]): number {
  return pieces.reduce((sum, piece) => sum + piece.length, 0);
}

async function inTurn(
  pieces: readonly Uint8Array[],
  position: number,
  call: (piece: Uint8Array, offset: number) => Promise<void>,
): Promise<void> {
  let offset = position;
  for (const piece of pieces) {
    await call(piece, offset);
    offset += piece.length;
  }
}

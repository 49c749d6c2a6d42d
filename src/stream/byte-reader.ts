/** Reads a stream of chunks by the byte: so many exactly, or whatever comes next. Holds no more than was asked for. */
export class ByteReader {
  readonly #source: AsyncIterator<Uint8Array>;
  readonly #signal: AbortSignal | undefined;
  #chunks: Uint8Array[] = [];
  /** Chunks in front that were handed out already; cut off now and then, because each cut moves all the others. */
  #taken = 0;
  #buffered = 0;
  #position = 0;
  #isDone = false;

  /** Reads from `source`, which may be a Node stream, a web stream or a generator; `signal` ends waiting for it. */
  constructor(source: AsyncIterable<Uint8Array>, signal?: AbortSignal) {
    this.#source = source[Symbol.asyncIterator]();
    this.#signal = signal;
  }

  /** Bytes handed out or skipped so far: the offset in the stream of the next one. */
  get position(): number {
    return this.#position;
  }

  /** The next bytes without taking them: `length` of them, or fewer if the stream ends before. */
  async peek(length: number): Promise<Uint8Array> {
    await this.#fill(length);
    const whole = join(this.#chunks.slice(this.#taken));
    this.#chunks = whole.length === 0 ? [] : [whole];
    this.#taken = 0;
    return whole.subarray(0, length);
  }

  /** Takes the next bytes: `length` of them, or fewer if the stream ends before. */
  async take(length: number): Promise<Uint8Array> {
    await this.#fill(length);
    const parts: Uint8Array[] = [];
    let missing = Math.min(length, this.#buffered);
    while (missing > 0) {
      const part = this.#shift(missing);
      parts.push(part);
      missing -= part.length;
    }
    const [only] = parts;
    return parts.length === 1 && only !== undefined ? only : join(parts);
  }

  /** Takes one run of at least one byte and at most `maxLength`; undefined at the end of the stream. */
  async next(maxLength: number): Promise<Uint8Array | undefined> {
    await this.#fill(1);
    return this.#buffered === 0 ? undefined : this.#shift(maxLength);
  }

  /** Skips bytes; returns how many there were, fewer than `length` if the stream ends before. */
  async skip(length: number): Promise<number> {
    let skipped = 0;
    while (skipped < length) {
      const part = await this.next(length - skipped);
      if (part === undefined) break;
      skipped += part.length;
    }
    return skipped;
  }

  /** Tells the source that nothing more will be read; idempotent. Does not wait for one that never answers. */
  async cancel(): Promise<void> {
    if (this.#isDone) return;
    this.#isDone = true;
    const released = this.#source.return?.();
    if (this.#signal?.aborted === true) released?.catch(() => undefined);
    else await released;
  }

  #shift(maxLength: number): Uint8Array {
    const first = this.#chunks[this.#taken];
    if (first === undefined) return new Uint8Array(0);
    const part = first.subarray(0, maxLength);
    if (part.length === first.length) this.#dropFirst();
    else this.#chunks[this.#taken] = first.subarray(part.length);
    this.#buffered -= part.length;
    this.#position += part.length;
    return part;
  }

  #dropFirst(): void {
    this.#taken++;
    if (this.#taken < 1024 && this.#taken < this.#chunks.length) return;
    this.#chunks.splice(0, this.#taken);
    this.#taken = 0;
  }

  async #fill(length: number): Promise<void> {
    while (this.#buffered < length && !this.#isDone) {
      this.#signal?.throwIfAborted();
      const next = this.#source.next();
      const result = await (this.#signal === undefined ? next : untilAborted(next, this.#signal));
      if (result.done === true) {
        this.#isDone = true;
        return;
      }
      checkChunk(result.value);
      if (result.value.length === 0) continue;
      this.#chunks.push(result.value);
      this.#buffered += result.value.length;
    }
  }
}

/**
 * What `call` resolves to, or the signal's reason if that is aborted first. Not `Promise.race`: a promise that lasts as
 * long as the signal would keep every result it was raced against.
 */
async function untilAborted<T>(call: Promise<T>, signal: AbortSignal): Promise<T> {
  let stop = (): void => undefined;
  const aborted = new Promise<never>((_resolve, reject) => {
    stop = () => reject(signal.reason as Error);
    signal.addEventListener('abort', stop, { once: true });
  });
  try {
    return await Promise.race([call, aborted]);
  } finally {
    signal.removeEventListener('abort', stop);
  }
}

function checkChunk(chunk: unknown): void {
  if (!(chunk instanceof Uint8Array)) {
    throw new TypeError(
      `a stream of bytes was expected, found a chunk of type ${typeof chunk} (set no encoding on the stream)`,
    );
  }
}

/** The bytes of all parts in one array; that of the part itself where there is only one. */
export function join(parts: readonly Uint8Array[]): Uint8Array {
  const byteLength = parts.reduce((sum, part) => sum + part.length, 0);
  const [only] = parts;
  if (parts.length === 1 && only !== undefined) return only;
  const joined = new Uint8Array(byteLength);
  let offset = 0;
  for (const part of parts) {
    joined.set(part, offset);
    offset += part.length;
  }
  return joined;
}

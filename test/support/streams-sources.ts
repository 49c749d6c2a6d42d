// Sources for whatever takes an async iterable of bytes, and what to do with one's results.

/** Bytes in chunks of given lengths (the last one again and again); tells how far it was read and if it was cancelled. */
export class ChunkSource implements AsyncIterable<Uint8Array> {
  /** Bytes handed out. */
  pulled = 0;
  /** True once the consumer said that it wants no more, or read to the end. */
  isReleased = false;
  readonly #bytes: Uint8Array;
  readonly #lengths: readonly number[];

  constructor(bytes: Uint8Array, lengths: number | readonly number[] = 65_536) {
    this.#bytes = bytes;
    this.#lengths = typeof lengths === 'number' ? [lengths] : lengths;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    try {
      let turn = 0;
      while (this.pulled < this.#bytes.length) {
        const length = this.#lengths[Math.min(turn++, this.#lengths.length - 1)] ?? 1;
        const start = this.pulled;
        this.pulled = Math.min(this.#bytes.length, start + length);
        yield this.#bytes.subarray(start, this.pulled);
      }
    } finally {
      this.isReleased = true;
    }
  }
}

/** Gives `bytes`, then fails. */
export async function* failing(bytes: Uint8Array, error: Error): AsyncGenerator<Uint8Array> {
  yield bytes;
  throw error;
}

/** Gives `bytes`, then nothing for ever, as a pipe whose other end sleeps. */
export async function* stalling(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
  await new Promise<never>(() => undefined);
}

/** All bytes of a stream, the chunks kept until its end. */
export async function bytesOf(chunks: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const kept: Uint8Array[] = [];
  for await (const chunk of chunks) kept.push(chunk);
  return new Uint8Array(Buffer.concat(kept));
}

/** What a promise is rejected with; throws if it is not. */
export async function failureOf(promise: Promise<unknown>): Promise<unknown> {
  let value;
  try {
    value = await promise;
  } catch (error) {
    return error;
  }
  throw new Error(`expected a rejection, found ${String(value).slice(0, 40)}`);
}

/** The code of what a promise is rejected with, `resolved` if it is not. */
export async function outcomeOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
    return 'resolved';
  } catch (error) {
    if (error instanceof Error && 'code' in error && typeof error.code === 'string') return error.code;
    return error instanceof Error ? error.name : String(error);
  }
}

/** Resolves after a while. */
export function sleep(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

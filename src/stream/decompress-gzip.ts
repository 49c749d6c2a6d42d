import type { Gunzip } from 'node:zlib';
import type { CompressedInput } from './compressed-input.ts';
import { INPUT_BYTES } from './compressed-input.ts';

const OUTPUT_BYTES = 256 * 1024;

/**
 * Decodes gzip: any number of members. CRC-32 and size of each are verified. Node stops at a zero byte behind a member
 * and says nothing: that is refused here like every other byte that is no member. Chunks are the receiver's to keep.
 */
export async function* gunzip(input: CompressedInput): AsyncGenerator<Uint8Array> {
  const { createGunzip } = await import('node:zlib');
  const engine = createGunzip({ chunkSize: OUTPUT_BYTES });
  const feed = new Feed(input, engine);
  try {
    for await (const bytes of engine as AsyncIterable<Uint8Array>) yield bytes;
  } catch (error) {
    throw gzipError(input, error, engine.bytesWritten);
  } finally {
    feed.stop();
  }
  const isAtEnd = engine.bytesWritten === input.reader.position && (await input.reader.peek(1)).length === 0;
  if (!isAtEnd) throw input.trailing(engine.bytesWritten);
}

function gzipError(input: CompressedInput, error: unknown, offset: number): unknown {
  if (!(error instanceof Error) || !('code' in error)) return error;
  if (error.code === 'Z_BUF_ERROR') return input.truncated(error);
  if (error.code !== 'Z_DATA_ERROR') return error;
  if (error.message === 'incorrect header check') return input.trailing(offset, error);
  return input.corrupt(offset, `zlib says: ${error.message}`, error);
}

/** Hands the input over as fast as the engine takes it. */
class Feed {
  #isStopped = false;
  readonly #input: CompressedInput;
  readonly #engine: Gunzip;

  constructor(input: CompressedInput, engine: Gunzip) {
    this.#input = input;
    this.#engine = engine;
    this.#run().catch((error: unknown) => engine.destroy(error as Error));
  }

  /** Ends it. Does not wait for an input that never comes. */
  stop(): void {
    this.#isStopped = true;
    // Calls back the write it may be waiting for.
    this.#engine.destroy();
  }

  async #run(): Promise<void> {
    let isMore = true;
    while (isMore) isMore = await this.#pass();
  }

  /** Hands over one chunk; false if that was the last. */
  async #pass(): Promise<boolean> {
    const chunk = await this.#input.reader.next(INPUT_BYTES);
    if (this.#isStopped) return false;
    if (chunk === undefined) {
      this.#engine.end();
      return false;
    }
    await new Promise<void>((resolve) => {
      this.#engine.write(chunk, () => resolve());
    });
    return !this.#isStopped;
  }
}

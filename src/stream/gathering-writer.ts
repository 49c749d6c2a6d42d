import type { Disk } from '../disk/disk.ts';
import { PIECE_BYTES } from './read-ahead.ts';

/** Writes on their way at a time. */
const WRITES_IN_FLIGHT = 3;

/**
 * Turns chunks of any length into few large writes that begin where blocks begin, several of them on their way at a
 * time, issued in order. A chunk is copied: when `write` resolves it is the caller's again. Holds at most 8 MiB.
 */
export class GatheringWriter {
  readonly #target: Pick<Disk, 'write'>;
  readonly #pool: Uint8Array[] = [];
  readonly #inFlight = new Set<Promise<void>>();
  #buffer: Uint8Array | undefined;
  #bufferStart = 0;
  #filled = 0;
  #position: number;
  #failure: { readonly error: unknown } | undefined;

  /** Writes to `target` from byte `start` on. */
  constructor(target: Pick<Disk, 'write'>, start: number) {
    this.#target = target;
    this.#position = start;
  }

  /** Takes a chunk; rejects with the error of an earlier write as soon as there is one. */
  async write(chunk: Uint8Array): Promise<void> {
    let done = 0;
    while (done < chunk.length) {
      if (this.#failure !== undefined) throw this.#failure.error;
      this.#buffer ??= this.#startBuffer();
      const room = PIECE_BYTES - (this.#bufferStart % PIECE_BYTES) - this.#filled;
      const part = chunk.subarray(done, done + room);
      this.#buffer.set(part, this.#filled);
      this.#filled += part.length;
      this.#position += part.length;
      done += part.length;
      if (part.length === room) await this.#send();
    }
  }

  /** Writes what is left and waits for everything; rejects if any write failed. */
  async end(): Promise<void> {
    await this.#send();
    await this.settle();
    if (this.#failure !== undefined) throw this.#failure.error;
  }

  /** Waits until no write is on its way; never rejects. */
  async settle(): Promise<void> {
    await Promise.all(this.#inFlight);
  }

  /** Begins no write any more, and waits until none is on its way; never rejects. */
  async stop(): Promise<void> {
    this.#failure ??= { error: new Error('the stream was destroyed') };
    await this.settle();
  }

  #startBuffer(): Uint8Array {
    this.#bufferStart = this.#position;
    this.#filled = 0;
    return this.#pool.pop() ?? new Uint8Array(PIECE_BYTES);
  }

  async #send(): Promise<void> {
    const buffer = this.#buffer;
    if (buffer === undefined || this.#filled === 0 || this.#failure !== undefined) return;
    this.#buffer = undefined;
    const write = this.#target.write(buffer.subarray(0, this.#filled), this.#bufferStart).then(
      () => undefined,
      (error: unknown) => {
        this.#failure ??= { error };
      },
    );
    const landed = write.then(() => {
      this.#inFlight.delete(landed);
      this.#pool.push(buffer);
    });
    this.#inFlight.add(landed);
    if (this.#inFlight.size >= WRITES_IN_FLIGHT) await Promise.race(this.#inFlight);
  }
}

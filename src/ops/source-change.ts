import { createReadStream } from 'node:fs';
import { Readable } from 'node:stream';
import { VhdError, type VhdErrorCode } from '../errors.ts';
import { FileStorage } from '../storage/file.ts';
import { FileWatch } from '../storage/file-watch.ts';
import { piecesOf } from '../stream/read-ahead.ts';

const CHUNK_BYTES = 512 * 1024;

/** What is no matter of what the source holds. */
const NOT_OF_CONTENTS: readonly VhdErrorCode[] = ['ERR_VHD_EXISTS', 'ERR_VHD_SAME_FILE', 'ERR_VHD_SOURCE_CHANGED'];

/** Something that can tell whether what is read has changed, such as an `OpenedDisk`. */
interface Watched {
  readonly checkUnchanged: (cause?: unknown) => Promise<void>;
}

/**
 * Reads a source from beginning to end; `job` asks `checkUnchanged` when it has read everything. A file that changes while
 * it is read can fail anywhere in the middle: then what happened is the error, not where it was noticed.
 * @throws VhdError `ERR_VHD_SOURCE_CHANGED`
 */
export async function readWatched<T>({ checkUnchanged }: Watched, job: () => Promise<T>): Promise<T> {
  try {
    return await job();
  } catch (error) {
    if (error instanceof VhdError && !NOT_OF_CONTENTS.includes(error.code)) await checkUnchanged(error);
    throw error;
  }
}

/** A file that is read from its first byte to its last, and compared then with what it was. */
export class WatchedFile implements Watched {
  readonly #storage: FileStorage;
  readonly #watch: FileWatch;
  #bytesRead = 0;

  private constructor(storage: FileStorage, watch: FileWatch) {
    this.#storage = storage;
    this.#watch = watch;
  }

  /** Opens the file or block device at `path`; errors of the system pass. */
  static async open(path: string): Promise<WatchedFile> {
    const storage = await FileStorage.open(path);
    try {
      return new WatchedFile(storage, await FileWatch.start(storage));
    } catch (error) {
      await storage.close();
      throw error;
    }
  }

  /** Bytes of the file when it was opened. */
  get byteLength(): number {
    return this.#watch.byteLength;
  }

  /** Bytes that were read until now. */
  get bytesRead(): number {
    return this.#bytesRead;
  }

  /** The bytes it had when it was opened: of this very file, whatever its name leads to by now. */
  createReadStream(signal?: AbortSignal): Readable {
    // Of what the system makes up when it is read, as in /proc, it says 0.
    if (this.byteLength === 0) return createReadStream(this.#storage.name, { signal });
    return Readable.from(this.#chunks(), { signal });
  }

  async *#chunks(): AsyncGenerator<Uint8Array> {
    for (const { start, length } of piecesOf(0, this.byteLength, CHUNK_BYTES)) {
      const bytes = Buffer.allocUnsafe(length);
      await this.#storage.read(bytes, start);
      this.#bytesRead += length;
      yield bytes;
    }
  }

  readonly checkUnchanged = (cause?: unknown): Promise<void> => this.#watch.check(cause);

  /** Closes it. */
  async close(): Promise<void> {
    await this.#storage.close();
  }
}

import { VhdError } from '../errors.ts';
import type { FileStorage } from './file.ts';

/** Bytes at either end that are compared: there a VHD has its footer and the copy of it, a raw disk its partition table. */
const END_BYTES = 512;

const NANOSECONDS = 1_000_000_000n;

/** What a file was at a moment. */
interface FileSnapshot {
  readonly size: number;
  /** Undefined for a block device. */
  readonly modifiedAt: bigint | undefined;
  /** The bytes at both ends. */
  readonly ends: Uint8Array;
}

/** Remembers what an open file is, so that the end of a long read can tell whether it was changed meanwhile. */
export class FileWatch {
  readonly #storage: FileStorage;
  readonly #before: FileSnapshot;

  private constructor(storage: FileStorage, before: FileSnapshot) {
    this.#storage = storage;
    this.#before = before;
  }

  /** Takes down size, time and the bytes at both ends of the file. */
  static async start(storage: FileStorage): Promise<FileWatch> {
    return new FileWatch(storage, await snapshotOf(storage));
  }

  /** Bytes of the file at the start; of a block device its size. */
  get byteLength(): number {
    return this.#before.size;
  }

  /**
   * Compares the file with what it was. It has to be open still.
   * @param cause the error that reading it gave, if it did
   * @throws VhdError `ERR_VHD_SOURCE_CHANGED`
   */
  async check(cause?: unknown): Promise<void> {
    const [before, after] = [this.#before, await snapshotOf(this.#storage)];
    const isSame = after.size === before.size && after.modifiedAt === before.modifiedAt;
    if (isSame && Buffer.compare(after.ends, before.ends) === 0) return;
    const [expected, found] = isSame ? ['the same bytes at both ends', 'others'] : [told(before), told(after)];
    throw new VhdError(
      'ERR_VHD_SOURCE_CHANGED',
      `the source changed while it was read: expected ${expected}, found ${found}`,
      {
        storage: this.#storage.name,
        expected,
        found,
        remedy: 'stop what writes to it, or take a copy or a snapshot of it',
        cause,
      },
    );
  }
}

async function snapshotOf(storage: FileStorage): Promise<FileSnapshot> {
  const [size, modifiedAt] = [await storage.size(), await storage.modifiedAt()];
  const length = Math.min(END_BYTES, size);
  const ends = new Uint8Array(2 * length);
  // A place that cannot be read says nothing; of what was cut short just now, the size tells.
  await storage.read(ends.subarray(0, length), 0).catch(() => undefined);
  await storage.read(ends.subarray(length), size - length).catch(() => undefined);
  return { size, modifiedAt, ends };
}

function told({ size, modifiedAt }: FileSnapshot): string {
  if (modifiedAt === undefined) return `${size} bytes`;
  const nanoseconds = ((modifiedAt % NANOSECONDS) + NANOSECONDS) % NANOSECONDS;
  const seconds = new Date(Number((modifiedAt - nanoseconds) / 1_000_000n)).toISOString().slice(0, 19);
  return `${size} bytes, modified ${seconds}.${String(nanoseconds).padStart(9, '0')}Z`;
}

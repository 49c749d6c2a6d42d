// Disks for tests of what works on any disk.
import { createVhdStorage } from '../../src/disk/create-storage.ts';
import type { Disk, Extent, ExtentOptions } from '../../src/disk/disk.ts';
import { FlatDisk } from '../../src/disk/flat.ts';
import { openVhdStorage } from '../../src/disk/open-storage.ts';
import { openDisk } from '../../src/open.ts';
import { MemoryStorage } from '../../src/storage/memory.ts';

/** A raw disk in memory. */
export function rawDisk(bytes: Uint8Array, readOnly = false): FlatDisk {
  return new FlatDisk(new MemoryStorage(bytes), bytes.length, readOnly);
}

/** All bytes of the disk in a file. */
export async function contentOfFile(path: string): Promise<Uint8Array> {
  const { disk } = await openDisk(path);
  const bytes = new Uint8Array(disk.size);
  await disk.read(bytes, 0);
  await disk.close();
  return bytes;
}

/** Where the bytes of a test disk stand. */
export interface Patch {
  readonly position: number;
  readonly bytes: Uint8Array;
}

/** The bytes of an image that holds these patches and nothing else. */
export async function imageWith(
  type: 'fixed' | 'dynamic',
  size: number,
  patches: readonly Patch[],
  blockSize = 2 * 1024 * 1024,
): Promise<Uint8Array> {
  const storage = new MemoryStorage();
  const disk = await createVhdStorage(storage, { size, type, blockSize, ...IDENTITY });
  for (const { bytes, position } of patches) await disk.write(bytes, position);
  await disk.close();
  return storage.toBytes();
}

/** An identity that makes images the same in every run. */
export const IDENTITY = {
  uuid: '00112233-4455-6677-8899-aabbccddeeff',
  timestamp: new Date('2024-02-29T12:34:56Z'),
} as const;

/** Opens image bytes and reads the whole disk. */
export async function contentOfImage(image: Uint8Array): Promise<Uint8Array> {
  const disk = await openVhdStorage(new MemoryStorage(image));
  try {
    return await disk.readBytes(0, disk.size);
  } finally {
    await disk.close();
  }
}

/** A disk around another one: counts the calls, and lets a test hold them up or make them fail. */
export class ProbeDisk implements Disk {
  /** The calls in the order in which they began. */
  readonly begun: ('read' | 'write' | 'flush' | 'extents' | 'close')[] = [];
  /** Runs before a call reaches the disk behind. */
  before: (kind: 'read' | 'write' | 'flush', position: number, length: number) => Promise<void> | void = () =>
    undefined;
  /** Calls on their way. */
  pending = 0;
  readonly #inner: Disk;

  constructor(inner: Disk) {
    this.#inner = inner;
  }

  get size(): number {
    return this.#inner.size;
  }

  get readOnly(): boolean {
    return this.#inner.readOnly;
  }

  /** How many calls of a kind began. */
  count(kind: (typeof this.begun)[number]): number {
    return this.begun.filter((call) => call === kind).length;
  }

  read(target: Uint8Array, position: number): Promise<void> {
    return this.#run('read', position, target.length, () => this.#inner.read(target, position));
  }

  write(source: Uint8Array, position: number): Promise<void> {
    return this.#run('write', position, source.length, () => this.#inner.write(source, position));
  }

  discard(position: number, length: number): Promise<void> {
    return this.#inner.discard(position, length);
  }

  extents(options?: ExtentOptions): AsyncIterable<Extent> {
    this.begun.push('extents');
    return this.#inner.extents(options);
  }

  flush(): Promise<void> {
    return this.#run('flush', 0, 0, () => this.#inner.flush());
  }

  async close(): Promise<void> {
    this.begun.push('close');
    await this.#inner.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #run(kind: 'read' | 'write' | 'flush', position: number, length: number, call: () => Promise<void>) {
    this.begun.push(kind);
    this.pending++;
    try {
      await this.before(kind, position, length);
      await call();
    } finally {
      this.pending--;
    }
  }
}

/** A disk of any size that takes no memory: every byte is 0x5a, and writes go nowhere. */
export function vastDisk(size: number): ProbeDisk {
  const pause = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
  return new ProbeDisk({
    size,
    readOnly: false,
    read: async (target) => {
      await pause();
      target.fill(0x5a);
    },
    write: pause,
    discard: pause,
    async *extents() {
      yield { start: 0, length: size, kind: 'data', depth: 0 };
    },
    flush: pause,
    close: pause,
    [Symbol.asyncDispose]: pause,
  });
}

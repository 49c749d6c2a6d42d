import * as fs from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { promisify } from 'node:util';
import { checkOneOf, checkRange, type VhdWarning, type WarningListener } from '../errors.ts';
import { MAX_CALL_BYTES, readOnce, readVector, remainder, totalLength, writeOnce, writeVector } from './file-calls.ts';
import { deviceSize } from './file-device.ts';
import { isLockedForWriting, type LockKind, lockFile } from './file-lock.ts';
import { openForStorage } from './file-open.ts';
import type { FilePiece } from './native-batch.ts';
import { canPunchHoles, cloneFile, HoleFinder, punchHole, readBatch, writeBatch } from './native-files.ts';
import { settleAll } from './settle.ts';
import {
  closedError,
  type PlacedBytes,
  readEach,
  readOnlyError,
  type Storage,
  type StorageCapabilities,
  type StorageReads,
  type StoredRange,
  truncatedError,
} from './storage.ts';

const closeFile = promisify(fs.close);
const stat: (fd: number) => Promise<fs.Stats> = promisify(fs.fstat);
const statBigInt: (fd: number, options: { bigint: true }) => Promise<fs.BigIntStats> = promisify(fs.fstat);
const truncateFile = promisify(fs.ftruncate);
const syncFile = promisify(fs.fsync);
const syncData = promisify(fs.fdatasync);

/** How a file is opened. */
export interface FileStorageOptions {
  /** Open for reading and writing; default false. */
  readonly writable?: boolean;
  /** `'new'`: make it, refuse if it exists. `'replace'`: make it or empty it. Default: it must exist. */
  readonly create?: 'new' | 'replace';
  /** Permission bits of a file made here; default 0o666 less the umask. */
  readonly mode?: number;
  /**
   * Write by calls that block the process: a third faster into memory, because no other thread has to be woken for each.
   * For programs that have nothing else to do meanwhile. Default false.
   */
  readonly blockingWrites?: boolean;
  /** What the file is locked for while it is open, see {@link FileStorage.lock}. Default: it is not. */
  readonly lock?: LockKind | undefined;
  /** Hears that the file could not be locked for writing. */
  readonly onWarning?: WarningListener | undefined;
}

/**
 * A file of the operating system, or a block device, as a storage. It calls the kernel through the callback interface,
 * which costs half of what `FileHandle` does. Errors of the system pass unwrapped (`ENOENT`, `EACCES`, `ENOSPC`, …).
 */
export class FileStorage implements Storage {
  readonly name: string;
  readonly capabilities: StorageCapabilities;
  readonly #fd: number;
  /** Kept although only its descriptor is used: Node closes one that nobody has any more. */
  readonly #handle: FileHandle | undefined;
  readonly #blockingWrites: boolean;
  readonly #holes: HoleFinder;
  readonly #allHoles: HoleFinder;
  #lockFd: number | undefined;
  #wasLocked = false;
  #closing: Promise<void> | undefined;
  #pending = 0;
  #whenIdle: (() => void) | undefined;

  private constructor(
    fd: number,
    name: string,
    options: { writable: boolean; growable: boolean; handle?: FileHandle; blockingWrites?: boolean },
  ) {
    this.#fd = fd;
    this.name = name;
    this.#handle = options.handle;
    this.#blockingWrites = options.blockingWrites === true;
    const file = { fd, name, isOwn: options.handle === undefined };
    this.#holes = new HoleFinder(file);
    this.#allHoles = new HoleFinder(file, true);
    const { writable, growable } = options;
    this.capabilities = { writable, growable, discard: 'ignored', durableFlush: true, preferredIoSize: 1024 * 1024 };
  }

  /**
   * Opens the file or block device at `path`.
   * @throws VhdError `ERR_VHD_IN_USE` for a device to be written that is mounted, or that something else is built on, and
   *   as {@link FileStorage.lock}
   */
  static async open(path: string, options: FileStorageOptions = {}): Promise<FileStorage> {
    const { writable = false, lock } = options;
    const { fd, isBlockDevice } = await openForStorage(path, options);
    const growable = !isBlockDevice;
    const blockingWrites = options.blockingWrites === true;
    const storage = new FileStorage(fd, path, { writable, growable, blockingWrites });
    if (lock !== undefined) await storage.#lockOpened(lock, options);
    return storage;
  }

  async #lockOpened(lock: LockKind, { create, onWarning }: FileStorageOptions): Promise<void> {
    try {
      await this.lock(lock, onWarning);
      if (create === 'replace') await this.truncate(0);
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  /** Wraps a `FileHandle` that the caller opened; `close` leaves it open, it stays the caller's. */
  static fromHandle(handle: FileHandle, options: { name?: string; writable?: boolean } = {}): FileStorage {
    const name = options.name ?? `file descriptor ${handle.fd}`;
    const growable = !fs.fstatSync(handle.fd).isBlockDevice();
    return new FileStorage(handle.fd, name, { writable: options.writable ?? false, growable, handle });
  }

  /**
   * Locks the file until it is closed, or the process ends: for reading against writers, for writing against everybody
   * else; other programs, QEMU among them, and other openings in this one alike. Needs the native helper (see
   * {@link nativeSupport}) and a file system with locks; without, nothing is locked, and when it was to be for writing,
   * `onWarning` hears `WARN_VHD_NOT_LOCKED`.
   * @throws VhdError `ERR_VHD_IN_USE` if somebody else has it locked in a way that excludes this
   * @throws TypeError if it was locked before: to try for another kind and fail would lose the lock there is
   */
  async lock(kind: LockKind, onWarning?: WarningListener): Promise<void> {
    checkOneOf('lock', kind, ['read', 'write']);
    if (this.#wasLocked) {
      throw new TypeError(`lock: ${this.name} was locked before; open it once more for another lock`);
    }
    this.#wasLocked = true;
    const file = { fd: this.#fd, name: this.name, isOwn: this.#handle === undefined };
    const outcome = await this.#run(() => lockFile(file, kind)).catch((error: unknown) => {
      this.#wasLocked = false;
      throw error;
    });
    if (outcome.reason === undefined) this.#lockFd = outcome.ownFd;
    else if (kind === 'write') onWarning?.(notLockedWarning(this.name, outcome.reason));
  }

  /** True if another program, or another opening in this one, has the file locked for writing; as far as locks are known. */
  async isLockedForWriting(): Promise<boolean> {
    return this.#run(() => isLockedForWriting(this.#fd));
  }

  async size(): Promise<number> {
    const stats = await this.stat();
    if (!stats.isBlockDevice()) return stats.size;
    return this.#run(() => deviceSize(stats.rdev, (position) => readOnce(this.#fd, new Uint8Array(1), 0, position)));
  }

  /** What the system says of the open file. */
  async stat(): Promise<fs.Stats> {
    return this.#run(() => stat(this.#fd));
  }

  /**
   * What tells the open file, as it is now, from every other one; undefined on Windows, where file systems have longer
   * identifiers than are told. Size and times are part of it, as some network and layered file systems give a number twice.
   */
  async identity(): Promise<string | undefined> {
    const { dev, ino, size, mtimeNs, ctimeNs } = await this.#run(() => statBigInt(this.#fd, { bigint: true }));
    return process.platform === 'win32' ? undefined : [dev, ino, size, mtimeNs, ctimeNs].join(':');
  }

  /** When the file was written last, in nanoseconds since 1970; undefined for a device, whose time says nothing of it. */
  async modifiedAt(): Promise<bigint | undefined> {
    const stats = await this.#run(() => statBigInt(this.#fd, { bigint: true }));
    return stats.isBlockDevice() ? undefined : stats.mtimeNs;
  }

  async read(target: Uint8Array, position: number): Promise<void> {
    checkRange('read', position, target.length, Number.MAX_SAFE_INTEGER);
    await this.#run(() => this.#fill(target, position));
  }

  async readv(targets: readonly Uint8Array[], position: number): Promise<void> {
    const byteLength = totalLength(targets);
    checkRange('readv', position, byteLength, Number.MAX_SAFE_INTEGER);
    await this.#run(async () => {
      const count = await readVector(this.#fd, targets, position);
      for (const { piece, offset } of remainder(targets, count)) await this.#fill(piece, position + offset);
    });
  }

  async write(source: Uint8Array, position: number): Promise<void> {
    this.#checkWritable();
    checkRange('write', position, source.length, Number.MAX_SAFE_INTEGER);
    await this.#run(() => this.#drain(source, position));
  }

  async writev(sources: readonly Uint8Array[], position: number): Promise<void> {
    this.#checkWritable();
    checkRange('writev', position, totalLength(sources), Number.MAX_SAFE_INTEGER);
    await this.#run(async () => {
      const count = this.#blockingWrites
        ? fs.writevSync(this.#fd, sources, position)
        : await writeVector(this.#fd, sources, position);
      for (const { piece, offset } of remainder(sources, count)) await this.#drain(piece, position + offset);
    });
  }

  /** One call of the system for all of them where {@link nativeSupport} tells of batches. */
  async readEach(reads: readonly PlacedBytes[]): Promise<void> {
    await this.readAcross([{ storage: this, reads }]);
  }

  /** One call of the system for all files together where {@link nativeSupport} tells of batches. */
  async readAcross(parts: readonly StorageReads[]): Promise<void> {
    const others: Promise<void>[] = [];
    const files = new Map<number, FileStorage>();
    const pieces: FilePiece[] = [];
    for (const { storage, reads } of parts) {
      if (!(storage instanceof FileStorage)) {
        others.push(readEach(storage, reads));
        continue;
      }
      const fd = storage.#fd;
      files.set(fd, storage);
      for (const { position, bytes } of reads) {
        checkRange('readEach', position, bytes.length, Number.MAX_SAFE_INTEGER);
        pieces.push({ fd, position, bytes });
      }
    }
    await settleAll([...others, FileStorage.#readPieces(files, pieces)]);
  }

  /** Reads pieces of several files, which stay open meanwhile. */
  static async #readPieces(files: ReadonlyMap<number, FileStorage>, pieces: readonly FilePiece[]): Promise<void> {
    const begun: FileStorage[] = [];
    try {
      for (const file of files.values()) {
        file.#begin();
        begun.push(file);
      }
      const left = await readBatch(pieces);
      await settleAll(
        left.map(async ({ fd, bytes, position }) => {
          const file = files.get(fd);
          if (file !== undefined) await file.#fill(bytes, position);
        }),
      );
    } finally {
      for (const file of begun) file.#end();
    }
  }

  /** One call of the system for all of them where {@link nativeSupport} tells of batches. */
  async writeEach(writes: readonly PlacedBytes[]): Promise<void> {
    this.#checkWritable();
    for (const { position, bytes } of writes) checkRange('writeEach', position, bytes.length, Number.MAX_SAFE_INTEGER);
    await this.#run(async () => {
      const left = this.#blockingWrites ? writes : await writeBatch(this.#fd, writes);
      await settleAll(left.map(({ position, bytes }) => this.#drain(bytes, position)));
    });
  }

  /** Finds holes where {@link nativeSupport} tells of them, and the file has enough of them to matter. */
  async findData(position: number, length: number): Promise<StoredRange | undefined> {
    checkRange('findData', position, length, Number.MAX_SAFE_INTEGER);
    return this.#run(() => this.#holes.find(position, length));
  }

  /** Shares room where {@link nativeSupport} tells of clones, the file system can, and the file is large enough to matter. */
  async cloneTo(target: Storage): Promise<boolean> {
    if (!(target instanceof FileStorage)) return false;
    target.#checkWritable();
    return this.#run(() => target.#run(() => cloneFile(this.#fd, target.#fd)));
  }

  async truncate(byteLength: number): Promise<void> {
    this.#checkWritable();
    checkRange('truncate', byteLength, 0, Number.MAX_SAFE_INTEGER);
    await this.#run(() => truncateFile(this.#fd, byteLength));
  }

  async flush(): Promise<void> {
    await this.#run(() => syncData(this.#fd));
  }

  /** Makes the file's data and all of what the system keeps about it durable. */
  async flushAll(): Promise<void> {
    await this.#run(() => syncFile(this.#fd));
  }

  async discard(position: number, length: number): Promise<void> {
    this.#checkWritable();
    checkRange('discard', position, length, await this.size());
  }

  /**
   * The same whatever there is to be gained, and where the system may call a hole what is still on its way to the disk: for
   * who gives room back, not for who reads.
   */
  async findStored(position: number, length: number): Promise<StoredRange | undefined> {
    checkRange('findStored', position, length, Number.MAX_SAFE_INTEGER);
    return this.#run(() => this.#allHoles.find(position, length));
  }

  /** True if {@link FileStorage.punchHole} is to be expected to work, as far as that is known without trying. */
  async canPunchHoles(): Promise<boolean> {
    return this.#run(() => canPunchHoles(this.#fd));
  }

  /**
   * Makes a hole of a range where {@link nativeSupport} tells of that; false if it cannot be, and nothing has changed then.
   * Any other error of the system passes.
   */
  async punchHole(position: number, length: number): Promise<boolean> {
    this.#checkWritable();
    checkRange('punchHole', position, length, Number.MAX_SAFE_INTEGER);
    const file = { fd: this.#fd, name: this.name, isOwn: this.#handle === undefined };
    return this.#run(() => punchHole(file, position, length));
  }

  async close(): Promise<void> {
    this.#closing ??= this.#close();
    await this.#closing;
  }

  async #close(): Promise<void> {
    // A descriptor closed under a call on its way may by then be another file's: wait for all of them.
    if (this.#pending > 0) await new Promise<void>((resolve) => (this.#whenIdle = resolve));
    await this.#holes.close();
    await this.#allHoles.close();
    if (this.#lockFd !== undefined) await closeFile(this.#lockFd);
    if (this.#handle === undefined) await closeFile(this.#fd);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #run<T>(call: () => Promise<T>): Promise<T> {
    this.#begin();
    try {
      return await call();
    } finally {
      this.#end();
    }
  }

  #begin(): void {
    if (this.#closing !== undefined) throw closedError(this.name);
    this.#pending++;
  }

  #end(): void {
    this.#pending--;
    if (this.#pending === 0) this.#whenIdle?.();
  }

  async #fill(target: Uint8Array, position: number): Promise<void> {
    let done = 0;
    while (done < target.length) {
      const count = await readOnce(this.#fd, target, done, position + done);
      if (count === 0) throw truncatedError(this.name, position, target.length, done);
      done += count;
    }
  }

  async #drain(source: Uint8Array, position: number): Promise<void> {
    let done = 0;
    while (done < source.length) {
      const count = await this.#writeOnce(source, done, position + done);
      if (count === 0) throw new Error(`${this.name}: the system wrote none of ${source.length - done} bytes`);
      done += count;
    }
  }

  #writeOnce(source: Uint8Array, offset: number, position: number): number | Promise<number> {
    const length = Math.min(source.length - offset, MAX_CALL_BYTES);
    if (this.#blockingWrites) return fs.writeSync(this.#fd, source, offset, length, position);
    return writeOnce(this.#fd, source.subarray(offset, offset + length), position);
  }

  #checkWritable(): void {
    if (this.#closing !== undefined) throw closedError(this.name);
    if (!this.capabilities.writable) throw readOnlyError(this.name);
  }
}

function notLockedWarning(storage: string, reason: string): VhdWarning {
  const message = `nothing keeps other programs from writing to it at the same time: it is not locked (${reason})`;
  return { code: 'WARN_VHD_NOT_LOCKED', message, storage };
}

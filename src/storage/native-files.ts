import * as fs from 'node:fs';
import { getSystemErrorMap, promisify } from 'node:util';
import { loadNative, type NativeFiles } from './native.ts';
import type { FilePiece } from './native-batch.ts';
import { type PlacedBytes, type StoredRange, truncatedError } from './storage.ts';

const openFile = promisify(fs.open);
const closeFile = promisify(fs.close);
const stat: (fd: number) => Promise<fs.Stats> = promisify(fs.fstat);
const truncateFile = promisify(fs.ftruncate);

/** Holes smaller than this in all are read as quickly as the helper is loaded. */
const WORTHWHILE_HOLE_BYTES = 16 * 1024 * 1024;
/** Files smaller than this are copied as quickly as the helper is loaded. */
const WORTHWHILE_CLONE_BYTES = 16 * 1024 * 1024;
/** Fewer pieces than this go as quickly by a call each. */
const WORTHWHILE_BATCH = 16;
/** So many look-ups in a row may pass before other work of the process gets its turn. */
const CALLS_PER_TURN = 64;
/** What somebody makes a hole of between two look-ups is looked up again, so often; then the rest counts as stored. */
const SEEK_ATTEMPTS = 8;

/**
 * File systems that report what is still on its way to the disk as data, by their magic number (statfs(2)): ext2, ext3
 * and ext4, xfs, btrfs, tmpfs. Others may be right as well; there, holes are read.
 */
const TELL_HOLES: readonly number[] = [0xef53, 0x5846_5342, 0x9123_683e, 0x0102_1994];
/** File systems that have no holes, by their magic number: FAT, exFAT, 9p. */
const KEEP_ROOM: readonly number[] = [0x4d44, 0x2011_bab0, 0x0102_1997];
/** Of Linux, the same everywhere that the helper is used (errno(3)): `ENOSYS`, `EOPNOTSUPP`. */
const CANNOT_PUNCH: readonly number[] = [38, 95];
/** File systems that can share room between files: xfs, btrfs. */
const SHARE_ROOM: readonly number[] = [0x5846_5342, 0x9123_683e];

/** An open file, and whose it is. */
export interface OpenFile {
  /** Its descriptor. */
  readonly fd: number;
  /** What to call it in messages. */
  readonly name: string;
  /** False: the descriptor is somebody else's, whose cursor must stay where it is. */
  readonly isOwn: boolean;
}

interface Seekable {
  readonly native: NativeFiles;
  readonly fd: number;
}

/** Finds the holes of an open file, where the file system and the native helper can tell. */
export class HoleFinder {
  readonly #file: OpenFile;
  readonly #isThorough: boolean;
  #seekable: Seekable | undefined;
  #opening: Promise<Seekable | undefined> | undefined;
  #isUnreliable = false;
  #calls = 0;

  /** Thorough: it is asked for holes of any size, on any file system. That suits who gives back room, not who reads. */
  constructor(file: OpenFile, isThorough = false) {
    this.#file = file;
    this.#isThorough = isThorough;
  }

  /** See {@link Storage.findData}. Where nobody can tell, the whole range counts as stored. */
  async find(position: number, length: number): Promise<StoredRange | undefined> {
    this.#calls++;
    if (this.#calls % CALLS_PER_TURN === 0) await new Promise((resolve) => setImmediate(resolve));
    const seekable = this.#isUnreliable ? undefined : (this.#seekable ?? (await this.#open()));
    if (seekable === undefined) return { start: position, length };
    const found = this.#seek(seekable, position, position + length);
    if (found !== undefined) return found === 'nothing' ? this.#nothing(position, length) : found;
    this.#isUnreliable = true;
    return { start: position, length };
  }

  /** Releases what it opened. */
  async close(): Promise<void> {
    await this.#opening?.catch(() => undefined);
    if (this.#seekable !== undefined && !this.#file.isOwn) await closeFile(this.#seekable.fd);
    this.#seekable = undefined;
  }

  /** The first data before `end`; `nothing` if the file has none from `position` on, undefined if the system failed. */
  #seek({ native, fd }: Seekable, position: number, end: number): StoredRange | 'nothing' | undefined {
    try {
      let start = position;
      for (let attempt = 0; attempt < SEEK_ATTEMPTS; attempt++) {
        const data = native.seekData(fd, start);
        if (data === undefined || data >= end) return 'nothing';
        start = data;
        const hole = native.seekHole(fd, start);
        if (hole > start) return { start, length: Math.min(hole, end) - start };
      }
      return { start, length: end - start };
    } catch {
      return undefined;
    }
  }

  /** A file that ends too early has no data there either, and that is no hole. */
  async #nothing(position: number, length: number): Promise<undefined> {
    const { size } = await stat(this.#file.fd);
    if (size < position + length) throw truncatedError(this.#file.name, position, length, size - position);
  }

  async #open(): Promise<Seekable | undefined> {
    this.#opening ??= this.#tryOpen().finally(() => (this.#opening = undefined));
    return this.#opening;
  }

  async #tryOpen(): Promise<Seekable | undefined> {
    const { fd, isOwn } = this.#file;
    const status = await stat(fd);
    if (!status.isFile()) return undefined;
    const isWorthwhile = status.size - status.blocks * 512 >= WORTHWHILE_HOLE_BYTES;
    if (!this.#isThorough && !(isWorthwhile && (await isOnOneOf(fd, TELL_HOLES)))) return undefined;
    const { files: native } = await loadNative();
    if (native === undefined) return undefined;
    // Opened once more, it has a cursor of its own.
    const own = isOwn ? fd : await openAgain(fd).catch(() => undefined);
    if (own !== undefined) this.#seekable = { native, fd: own };
    return this.#seekable;
  }
}

/**
 * Makes an empty file hold the bytes of another one by sharing their room, where the file system can: at once, whatever
 * the length. False if it cannot, and then the target is empty.
 */
export async function cloneFile(sourceFd: number, targetFd: number): Promise<boolean> {
  const [source, target] = await Promise.all([stat(sourceFd), stat(targetFd)]);
  if (!source.isFile() || !target.isFile() || target.size > 0 || source.size < WORTHWHILE_CLONE_BYTES) return false;
  if (!(await isOnOneOf(sourceFd, SHARE_ROOM)) || !(await isOnOneOf(targetFd, SHARE_ROOM))) return false;
  const { files } = await loadNative();
  if (files === undefined) return false;
  if (await files.cloneFile(sourceFd, targetFd).catch(() => false)) return true;
  // It may have failed half-way.
  await truncateFile(targetFd, 0);
  return false;
}

/** True if the room of a part of a file can be given back, as far as that is known without trying. */
export async function canPunchHoles(fd: number): Promise<boolean> {
  if (!(await stat(fd)).isFile() || (await isOnOneOf(fd, KEEP_ROOM))) return false;
  const { files } = await loadNative();
  return files !== undefined;
}

/**
 * Makes a hole of a range of a file, which reads as zeros then; false if that cannot be, and nothing has changed. Any other
 * failure is an error as Node's own are.
 */
export async function punchHole({ fd, name }: OpenFile, position: number, length: number): Promise<boolean> {
  if (length === 0 || !(await stat(fd)).isFile()) return false;
  const { files } = await loadNative();
  if (files === undefined) return false;
  const errno = await files.punchHole(fd, position, length);
  if (errno === 0) return true;
  if (CANNOT_PUNCH.includes(errno)) return false;
  const [code, what] = getSystemErrorMap().get(-errno) ?? [`errno ${errno}`, 'unknown error'];
  const message = `${code}: ${what}, fallocate '${name}'`;
  throw Object.assign(new Error(message), { errno: -errno, code, syscall: 'fallocate', path: name });
}

/** Reads many pieces of a file in one go, where the native helper can; resolves to what is still to be read. */
export async function readBatch(reads: readonly FilePiece[]): Promise<readonly FilePiece[]> {
  if (reads.length < WORTHWHILE_BATCH) return reads;
  const { files } = await loadNative();
  return (await files?.batches?.read(reads)) ?? reads;
}

/** Writes many pieces of a file in one go, where the native helper can; resolves to what is still to be written. */
export async function writeBatch(fd: number, writes: readonly PlacedBytes[]): Promise<readonly PlacedBytes[]> {
  if (writes.length < WORTHWHILE_BATCH) return writes;
  const { files } = await loadNative();
  return (await files?.batches?.write(fd, writes)) ?? writes;
}

async function isOnOneOf(fd: number, fileSystems: readonly number[]): Promise<boolean> {
  const system = await fs.promises.statfs(pathOf(fd)).catch(() => undefined);
  return system !== undefined && fileSystems.includes(system.type);
}

/** Opens an open file once more, for reading; on Linux. */
export function openAgain(fd: number): Promise<number> {
  return openFile(pathOf(fd), 'r');
}

/** A path that leads to an open file, whatever has become of its name (proc(5)). */
function pathOf(fd: number): string {
  return `/proc/self/fd/${fd}`;
}

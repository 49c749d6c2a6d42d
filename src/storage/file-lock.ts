import * as fs from 'node:fs';
import { promisify } from 'node:util';
import { VhdError } from '../errors.ts';
import { loadNative, type NativeFiles } from './native.ts';
import { type OpenFile, openAgain } from './native-files.ts';

const closeFile = promisify(fs.close);

/** What a file is locked for. Readers keep writers away, a writer keeps away everybody else. */
export type LockKind = 'read' | 'write';

// fcntl(2): locks that belong to an opening of the file, on every Linux the same. They end when it is closed, at the
// latest with the process.
const F_OFD_GETLK = 36;
const F_OFD_SETLK = 37;
const F_RDLCK = 0;
const F_WRLCK = 1;
const F_UNLCK = 2;
/** Somebody else's lock is in the way; systems may say either. */
const IN_THE_WAY: readonly number[] = [11, 13];

// The bytes that QEMU locks, as /proc/locks shows them while it has an image open (seen of 7.2): for each use a byte from
// 100 on says "I make this use of it" and one from 200 on "nobody else may". The uses are 0 reading, 1 writing, 3 resizing.
// All locks are shared ones, so that everybody can lock first and look then: two that come at the same time see each other.
const READS = 100;
const WRITES = 101;
const RESIZES = 103;
const MAY_NOT_READ = 200;
const MAY_NOT_WRITE = 201;
const MAY_NOT_RESIZE = 203;

const DENIALS = [MAY_NOT_WRITE, MAY_NOT_RESIZE];
const HELD: Readonly<Record<LockKind, readonly number[]>> = {
  read: [READS, ...DENIALS],
  write: [READS, WRITES, RESIZES, ...DENIALS],
};
const WRITERS: readonly number[] = [WRITES, RESIZES];
/** In whose way each kind is. A writer is told first: it keeps readers away as well. */
const CONFLICTS: Readonly<Record<LockKind, readonly number[]>> = {
  read: [...WRITERS, MAY_NOT_READ],
  write: [...WRITERS, MAY_NOT_READ, ...DENIALS],
};
const FIRST_BYTE = READS;
const BYTE_COUNT = 104;

/** How locking went: not at all, and why; or with the descriptor that holds the lock and is to be closed after it. */
export type LockOutcome =
  | { readonly reason: string }
  | { readonly reason: undefined; readonly ownFd: number | undefined };

/**
 * Locks an open file against other programs and other openings of it in this one, as QEMU does, until it is closed. A
 * descriptor that is somebody else's is opened once more for that.
 * @throws VhdError `ERR_VHD_IN_USE` if somebody else reads or writes it in a way that excludes this
 */
export async function lockFile(file: OpenFile, kind: LockKind): Promise<LockOutcome> {
  const { files: native, ...helper } = await loadNative();
  if (native === undefined) return { reason: 'reason' in helper ? helper.reason : '' };
  const ownFd = file.isOwn ? undefined : await openAgain(file.fd).catch(() => undefined);
  if (!file.isOwn && ownFd === undefined) return { reason: 'it cannot be opened once more' };
  const failure = lockBytes(native, ownFd ?? file.fd, kind);
  if (failure === undefined) return { reason: undefined, ownFd };
  if (ownFd !== undefined) await closeFile(ownFd);
  if ('errno' in failure) return { reason: `the file system cannot, error ${failure.errno}` };
  throw inUseError(file.name, kind, failure.byte);
}

type Failure = { readonly errno: number } | { readonly byte: number | undefined };

function lockBytes(native: NativeFiles, fd: number, kind: LockKind): Failure | undefined {
  for (const byte of HELD[kind]) {
    const errno = native.recordLock(fd, F_OFD_SETLK, lockRecord(F_RDLCK, byte));
    if (errno === 0) continue;
    unlock(native, fd);
    return IN_THE_WAY.includes(errno) ? { byte: undefined } : { errno };
  }
  const found = CONFLICTS[kind].find((byte) => isLockedElsewhere(native, fd, byte));
  if (found === undefined) return undefined;
  unlock(native, fd);
  return { byte: found };
}

function unlock(native: NativeFiles, fd: number): void {
  native.recordLock(fd, F_OFD_SETLK, lockRecord(F_UNLCK, FIRST_BYTE, BYTE_COUNT));
}

/** True if another opening of the file has a lock on a byte: asked as whoever wants it for itself alone. */
function isLockedElsewhere(native: NativeFiles, fd: number, byte: number): boolean {
  const record = lockRecord(F_WRLCK, byte);
  return native.recordLock(fd, F_OFD_GETLK, record) === 0 && viewOf(record).getInt16(0, true) !== F_UNLCK;
}

/** A `struct flock` of 64-bit Linux: type and whence (from the start: 0), then start and length, then a process (none: 0). */
function lockRecord(type: number, start: number, length = 1): Uint8Array {
  const record = new Uint8Array(32);
  const view = viewOf(record);
  view.setInt16(0, type, true);
  view.setBigInt64(8, BigInt(start), true);
  view.setBigInt64(16, BigInt(length), true);
  return record;
}

function viewOf(record: Uint8Array): DataView {
  return new DataView(record.buffer);
}

/** Whose lock it is cannot be told. */
const OTHERS = 'another program, or another opening in this one,';

function inUseError(name: string, kind: LockKind, byte: number | undefined): VhdError {
  const found =
    byte === undefined || byte === MAY_NOT_READ
      ? 'another program has it for itself alone'
      : WRITERS.includes(byte)
        ? `${OTHERS} is writing to it`
        : `${OTHERS} is reading it`;
  return new VhdError('ERR_VHD_IN_USE', `it is in use: ${found}`, {
    storage: name,
    expected: kind === 'read' ? 'a file that nobody else writes to' : 'a file that nobody else reads or writes',
    found,
    remedy: 'wait until it is done with; --no-lock (lock: false) opens it all the same',
  });
}

/**
 * True if another opening of the file, of this program or another, has it locked for writing. Locks nothing, and loads
 * the native helper only if the system's list of locks names the file, or there is no such list; without helper, false. The list can
 * take ten milliseconds, in which this only waits: best asked for beside something else.
 */
export async function isLockedForWriting(fd: number): Promise<boolean> {
  const locks = await readText('/proc/locks');
  const isListed = locks === undefined || (locks.includes(':') && locks.includes(`:${await inodeOf(fd)} `));
  if (!isListed) return false;
  const { files: native } = await loadNative();
  return native !== undefined && WRITERS.some((byte) => isLockedElsewhere(native, fd, byte));
}

/** The number that the list of locks has for the file; on layered file systems another one than `stat` gives. */
async function inodeOf(fd: number): Promise<string> {
  const about = /^ino:\s*(\d+)$/m.exec((await readText(`/proc/self/fdinfo/${fd}`)) ?? '');
  return about?.[1] ?? String(fs.fstatSync(fd, { bigint: true }).ino);
}

/** What the kernel tells; undefined if it does not. */
function readText(path: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    fs.readFile(path, 'latin1', (error, text) => resolve(error === null ? text : undefined));
  });
}

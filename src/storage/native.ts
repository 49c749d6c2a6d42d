import process, { arch, env, platform } from 'node:process';
import { isMainThread } from 'node:worker_threads';
import type { LibraryHandle } from 'koffi';
import { type BatchCalls, BatchWriter, MAX_BATCH } from './native-batch.ts';

/** Calls of the operating system that Node does not offer. They take descriptors of files that are open. */
export interface NativeFiles {
  /**
   * The first byte at `position` or behind it that is not in a hole; undefined if there is none before the file's end.
   * Moves the descriptor's cursor. Throws if the system cannot tell.
   */
  seekData(fd: number, position: number): number | undefined;
  /** The first byte of a hole at `position` or behind it; the end of a file counts as one. Otherwise as `seekData`. */
  seekHole(fd: number, position: number): number;
  /** Makes a file hold the bytes of another one by sharing their room; false if the system refuses, for any reason. */
  cloneFile(sourceFd: number, targetFd: number): Promise<boolean>;
  /**
   * One call of fcntl(2) about locks on bytes of a file: `record` is its `struct flock`, 32 bytes, which it may change.
   * Gives 0, or the number of the error.
   */
  recordLock(fd: number, command: number, record: Uint8Array): number;
  /**
   * Gives the room of a range back, which reads as zeros then; the length stays. Gives 0, or the number of the error.
   */
  punchHole(fd: number, position: number, length: number): Promise<number>;
  /** Writes many pieces of a file in one go; undefined where that is not known to work. */
  readonly batches: BatchWriter | undefined;
}

/** What became of loading the native helper. */
export type NativeHelper =
  | { readonly files: NativeFiles; readonly version: string }
  | { readonly files: undefined; readonly reason: string };

// Of Linux, the same for every C library (lseek(2), errno(3)); ioctl numbers are the same on x64 and arm64.
const SEEK_DATA = 3;
const SEEK_HOLE = 4;
const ENXIO = 6;
/** `_IOW(0x94, 9, int)`, ioctl_ficlone(2). */
const FICLONE = 0x4004_9409;
/** `FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE`, fallocate(2). */
const PUNCH_HOLE = 3;

// Of Linux on x64 (syscall(2)).
const IO_SETUP = 206;
const IO_DESTROY = 207;
const IO_GETEVENTS = 208;
const IO_SUBMIT = 209;

const PLATFORMS: readonly string[] = ['linux x64', 'linux arm64'];

let loading: Promise<NativeHelper> | undefined;

/**
 * The native helper, loaded when it is first asked for: that takes several milliseconds, so ask when it can pay. Not
 * there, or turned off by `VHDKIT_NATIVE=0`, it costs nothing but speed and locks.
 */
export async function loadNative(): Promise<NativeHelper> {
  if (env['VHDKIT_NATIVE'] === '0') return { files: undefined, reason: 'turned off by VHDKIT_NATIVE=0' };
  if (!PLATFORMS.includes(`${platform} ${arch}`)) {
    return { files: undefined, reason: `not used on ${platform} ${arch}` };
  }
  loading ??= bindNative().catch((error: unknown) => ({ files: undefined, reason: reasonOf(error) }));
  return loading;
}

async function bindNative(): Promise<NativeHelper> {
  const { default: koffi } = await import('koffi');
  // The program itself: Node is linked with the C library of its system, whichever that is.
  const library = koffi.load(null);
  const lseek = library.func('int64_t lseek(int fd, int64_t offset, int whence)') as unknown as Seek;
  // Declared with the argument this request takes: functions of any number of arguments have no `async`.
  const ioctl = library.func('int ioctl(int fd, unsigned long request, long argument)');
  const fcntl = library.func('int fcntl(int fd, int command, void *record)') as unknown as Fcntl;
  const fallocate = library.func('int fallocate(int fd, int mode, int64_t offset, int64_t length)');
  const seek = (fd: number, position: number, whence: number): number | undefined => {
    // Cleared first, so that no earlier failure can pass for "no data any more".
    koffi.errno(0);
    const found = Number(lseek(fd, position, whence));
    if (Number.isSafeInteger(found) && found >= position) return found;
    const errno = koffi.errno();
    if (found === -1 && errno === ENXIO) return undefined;
    throw new Error(`lseek(${position}, ${whence}) gave ${found}, errno ${errno}`);
  };
  const files: NativeFiles = {
    seekData: (fd, position) => seek(fd, position, SEEK_DATA),
    seekHole(fd, position) {
      const found = seek(fd, position, SEEK_HOLE);
      if (found === undefined) throw new Error(`the file ends before ${position}`);
      return found;
    },
    cloneFile: (sourceFd, targetFd) =>
      new Promise((resolve) => {
        ioctl.async(targetFd, FICLONE, sourceFd, (error: unknown, result: unknown) => {
          resolve(error === null && result === 0);
        });
      }),
    recordLock: (fd, command, record) => (fcntl(fd, command, record) === 0 ? 0 : koffi.errno()),
    punchHole: (fd, position, length) =>
      new Promise((resolve, reject) => {
        fallocate.async(fd, PUNCH_HOLE, position, length, (error: unknown, result: unknown) => {
          if (error !== null) reject(new Error('fallocate could not be called', { cause: error }));
          // The error of this call, also when others are on their way.
          else resolve(result === 0 ? 0 : koffi.errno());
        });
      }),
    batches: arch === 'x64' ? new BatchWriter(bindBatchCalls(library, koffi.address)) : undefined,
  };
  return { files, version: koffi.version };
}

/** Declared with the arguments each of these calls takes: functions of any number of arguments have no `async`. */
function bindBatchCalls(library: LibraryHandle, addressOf: BatchCalls['addressOf']): BatchCalls {
  const setUp = library.func('long syscall(long number, long count, void *context)');
  const tearDown = library.func('long syscall(long number, uint64_t context)');
  const submit = library.func('long syscall(long number, uint64_t context, long count, void *pointers)');
  const ended = library.func(
    'long syscall(long number, uint64_t context, long least, long limit, void *events, void *time)',
  );
  return {
    setUp() {
      const id = new BigUint64Array(1);
      if (Number(setUp(IO_SETUP, MAX_BATCH, id)) !== 0) return undefined;
      // It ends with the process, but not with a thread of it.
      if (!isMainThread) process.once('exit', () => void tearDown(IO_DESTROY, id[0]));
      return id[0];
    },
    submit: (context, count, pointers) =>
      aside((done) => {
        submit.async(IO_SUBMIT, context, count, pointers, done);
      }),
    ended: (context, limit, events) => Number(ended(IO_GETEVENTS, context, 0, limit, events, null)),
    waitEnded: (context, limit, events) =>
      aside((done) => {
        ended.async(IO_GETEVENTS, context, 1, limit, events, null, done);
      }),
    addressOf,
  };
}

function aside(call: (done: (error: unknown, result: unknown) => void) => void): Promise<number> {
  return new Promise((resolve) => call((error, result) => resolve(error === null ? Number(result) : -1)));
}

type Seek = (fd: number, position: number, whence: number) => number | bigint;
type Fcntl = (fd: number, command: number, record: Uint8Array) => number;

function reasonOf(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  const isMissing = /^Cannot find (module|package) 'koffi'/.test(message);
  return isMissing ? 'koffi is not installed' : `koffi does not load: ${message.split('\n')[0] ?? ''}`;
}

/** One thing the native helper makes possible. */
export interface NativeFeature {
  /**
   * `holes`: those of a file are found instead of read. `clone`: files share room instead of being copied. `locks`: other
   * programs are kept from an image that is written to. `batches`: small writes that were gathered leave in one call.
   * `punch`: the room that zeros take is given back.
   */
  readonly name: 'holes' | 'clone' | 'locks' | 'batches' | 'punch';
  /** True if it is used, where the file system can. */
  readonly isActive: boolean;
  /** On which file systems, and what happens elsewhere; one line. */
  readonly detail: string;
}

/** Which native help there is. Without it everything works, more slowly and without locks. */
export interface NativeSupport {
  /** Name of the optional package behind it. */
  readonly helper: 'koffi';
  /** True if it is loaded. */
  readonly isActive: boolean;
  /** Version of the helper; undefined if it is not loaded. */
  readonly version: string | undefined;
  /** Why it is not loaded; undefined if it is. */
  readonly reason: string | undefined;
  /** What it is used for. */
  readonly features: readonly NativeFeature[];
}

/** Finds out which native help there is, by loading it. `VHDKIT_NATIVE=0` in the environment turns all of it off. */
export async function nativeSupport(): Promise<NativeSupport> {
  const helper = await loadNative();
  const isActive = helper.files !== undefined;
  const hasBatches = helper.files?.batches !== undefined;
  return {
    helper: 'koffi',
    isActive,
    version: isActive ? helper.version : undefined,
    reason: isActive ? undefined : helper.reason,
    features: [
      {
        name: 'holes',
        isActive,
        detail: isActive ? 'found (SEEK_DATA) on ext4, xfs, btrfs and tmpfs, read elsewhere' : 'read like data',
      },
      {
        name: 'clone',
        isActive,
        detail: isActive ? 'raw and fixed share room (FICLONE) on xfs and btrfs' : 'bytes are copied',
      },
      {
        name: 'locks',
        isActive,
        detail: isActive ? 'a second writer is refused (F_OFD_SETLK), QEMU too' : 'nothing keeps two programs apart',
      },
      {
        name: 'batches',
        isActive: hasBatches,
        detail: hasBatches ? 'gathered writes leave in one call (io_submit)' : 'gathered writes leave by a call each',
      },
      {
        name: 'punch',
        isActive,
        detail: isActive
          ? 'room of zeros is given back (fallocate) where the file system can'
          : 'zeros keep their room',
      },
    ],
  };
}

import { arch, env, platform } from 'node:process';

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

const PLATFORMS: readonly string[] = ['linux x64', 'linux arm64'];

let loading: Promise<NativeHelper> | undefined;

/**
 * The native helper, loaded when it is first asked for: that takes several milliseconds, so ask when it can pay. Not
 * there, or turned off by `VHDKIT_NATIVE=0`, it costs nothing but speed.
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
  const ioctl = library.func('int ioctl(int fd, unsigned long request, ...)');
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
        ioctl.async(targetFd, FICLONE, 'long', sourceFd, (error: unknown, result: unknown) => {
          resolve(error === null && result === 0);
        });
      }),
  };
  return { files, version: koffi.version };
}

type Seek = (fd: number, position: number, whence: number) => number | bigint;

function reasonOf(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  const isMissing = /^Cannot find (module|package) 'koffi'/.test(message);
  return isMissing ? 'koffi is not installed' : `koffi does not load: ${message.split('\n')[0] ?? ''}`;
}

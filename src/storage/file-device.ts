import * as fs from 'node:fs/promises';
import { join } from 'node:path';

/** Where the system tells about its devices; other folders are for tests. */
export interface SystemFolders {
  /** What Linux mounts on `/sys`. */
  readonly sys: string;
  /** What Linux mounts on `/proc`. */
  readonly proc: string;
}

/** The folders of this system. */
export const SYSTEM_FOLDERS: SystemFolders = { sys: '/sys', proc: '/proc' };

/** Reads one byte at a position and resolves to how many bytes there were: 1, or 0 at the end and behind it. */
export type ByteProbe = (position: number) => Promise<number>;

const SYSFS_SECTOR_BYTES = 512;

/** Major and minor number of a device as Linux writes them, `8:1`; `rdev` as `stat` gives it, in the C library's packing. */
export function deviceNumber(rdev: number): string {
  const packed = BigInt(rdev);
  const major = ((packed >> 8n) & 0xfffn) | ((packed >> 32n) & 0xffff_f000n);
  const minor = (packed & 0xffn) | ((packed >> 12n) & 0xffff_ff00n);
  return `${major}:${minor}`;
}

/** The folder in which Linux tells about a block device. */
export function deviceFolder(number: string, folders: SystemFolders): string {
  return join(folders.sys, 'dev/block', number);
}

/** A small file of the system without the end of its line; undefined if it is not there. */
export async function readLine(path: string): Promise<string | undefined> {
  const text = await fs.readFile(path, 'utf8').catch(() => undefined);
  return text?.replace(/\n$/, '');
}

/**
 * Bytes of a block device, whose size is not in `stat`: what the system says, or where the system has no such place, what
 * `probe` finds. Errors of the probe pass.
 */
export async function deviceSize(
  rdev: number,
  probe: ByteProbe,
  folders: SystemFolders = SYSTEM_FOLDERS,
): Promise<number> {
  const text = await readLine(join(deviceFolder(deviceNumber(rdev), folders), 'size'));
  const sectorCount = text !== undefined && /^\d+$/.test(text) ? Number(text) : undefined;
  const byteLength = (sectorCount ?? Number.NaN) * SYSFS_SECTOR_BYTES;
  return Number.isSafeInteger(byteLength) ? byteLength : probeSize(probe);
}

/** What systems say to a read behind the end, where they do not say that there are 0 bytes. */
const BEHIND_THE_END: readonly unknown[] = ['ENXIO', 'EINVAL', 'EOVERFLOW', 'EFBIG'];

/** The size of what can only be read: the first position without a byte, in 53 reads whatever the size. */
export async function probeSize(probe: ByteProbe): Promise<number> {
  let low = 0;
  let high = Number.MAX_SAFE_INTEGER;
  while (low < high) {
    const middle = low + Math.floor((high - low) / 2);
    if (await hasByte(probe, middle)) low = middle + 1;
    else high = middle;
  }
  return low;
}

async function hasByte(probe: ByteProbe, position: number): Promise<boolean> {
  try {
    return (await probe(position)) > 0;
  } catch (error) {
    // Anything else, such as a sector that cannot be read, says nothing about where the end is.
    if (error instanceof Error && 'code' in error && BEHIND_THE_END.includes(error.code)) return false;
    throw error;
  }
}

/** What a path leads to. */
export interface FileState {
  /** Its length in bytes; for a block device its size. */
  readonly size: number;
  /** True for a block device. */
  readonly isDevice: boolean;
}

/** Size and kind of what a path leads to; errors of the system pass, and a folder is one (`EISDIR`). */
export async function fileState(path: string): Promise<FileState> {
  const stats = await fs.stat(path);
  if (stats.isDirectory()) {
    throw Object.assign(new Error(`EISDIR: is a directory, '${path}'`), { code: 'EISDIR', path });
  }
  if (!stats.isBlockDevice()) return { size: stats.size, isDevice: false };
  const handle = await fs.open(path, 'r');
  try {
    const { rdev } = await handle.stat();
    const size = await deviceSize(rdev, async (position) => {
      const { bytesRead } = await handle.read(new Uint8Array(1), 0, 1, position);
      return bytesRead;
    });
    return { size, isDevice: true };
  } finally {
    await handle.close();
  }
}

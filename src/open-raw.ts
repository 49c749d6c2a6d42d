import type { Disk } from './disk/disk.ts';
import { FlatDisk } from './disk/flat.ts';
import { WriteBackDisk, type WriteOptions } from './disk/write-back.ts';
import { VhdError } from './errors.ts';
import { alignUp, SECTOR_BYTES } from './format/spec.ts';
import type { FileOptions } from './open-source.ts';
import { PaddedStorage } from './storage/padded.ts';
import type { Storage } from './storage/storage.ts';

/** How a raw image is opened. */
export interface OpenRawOptions extends WriteOptions, FileOptions {
  /** Open for reading and writing; default false. */
  readonly writable?: boolean | undefined;
  /** Read a length that is no multiple of 512 as if zeros filled the last sector; for reading only. Default false. */
  readonly pad?: boolean | undefined;
}

/** The raw disk in a storage, which it closes with itself; a failure does not close it. */
export async function rawDisk(storage: Storage, options: OpenRawOptions): Promise<Disk> {
  const byteLength = await storage.size();
  const readOnly = options.writable !== true;
  checkNotEmpty(byteLength, storage.name);
  if (byteLength % SECTOR_BYTES === 0) {
    const disk = new FlatDisk(storage, byteLength, readOnly);
    return readOnly ? disk : new WriteBackDisk(disk, options);
  }
  const padded = alignUp(byteLength, SECTOR_BYTES);
  if (options.pad === true && readOnly) {
    return new FlatDisk(new PaddedStorage(storage, byteLength, padded), padded, true);
  }
  throw oddRawSizeError(storage.name, byteLength, `--pad fills it up with zeros to ${padded} bytes`);
}

/** The error of a file that is no whole number of sectors, and nothing says that it is a disk all the same. */
export function oddRawSizeError(name: string, byteLength: number, remedy: string): VhdError {
  const message = `a raw disk is a whole number of sectors: expected a multiple of 512 bytes, found ${byteLength}`;
  return new VhdError('ERR_VHD_SIZE', message, {
    storage: name,
    expected: 'a multiple of 512 bytes',
    found: `${byteLength} bytes`,
    remedy,
  });
}

/**
 * Refuses a file without a byte.
 * @throws VhdError `ERR_VHD_SIZE`
 */
export function checkNotEmpty(byteLength: number, name: string): void {
  if (byteLength > 0) return;
  throw new VhdError('ERR_VHD_SIZE', 'the file is empty: expected a disk image, found 0 bytes', { storage: name });
}

import { openVhdStorage } from '../disk/open-storage.ts';
import { VhdError } from '../errors.ts';
import type { Finding } from '../format/rules.ts';
import type { DiskContents, ReadableDisk } from '../inspect/partition-table.ts';
import { borrowed } from '../storage/borrowed.ts';
import { PaddedStorage } from '../storage/padded.ts';
import type { Storage } from '../storage/storage.ts';

/** What opening an image and looking at its disk gives. */
export interface Inside {
  /** True if it could be opened. */
  readonly isOpened: boolean;
  /** What is on the disk; null if it could not be opened or read, or has no bytes. */
  readonly contents: DiskContents | null;
  /** What is odd about the image. */
  readonly findings: readonly Finding[];
  /** Why it could not be looked at, one sentence each. */
  readonly problems: readonly string[];
}

/**
 * Opens the VHD in a storage, as if that had `byteLength` bytes, and looks at what is on its disk. What is wrong with
 * the image is told and not thrown; it rejects if reading does. The storage stays open.
 */
export async function lookInside(storage: Storage, byteLength: number): Promise<Inside> {
  const stored = Math.min(byteLength, await storage.size());
  try {
    const disk = await openVhdStorage(new PaddedStorage(borrowed(storage), stored, byteLength));
    const { contents, problems } = await contentsOf(disk);
    return { isOpened: true, contents, findings: disk.findings, problems };
  } catch (error) {
    if (!(error instanceof VhdError)) throw error;
    return { isOpened: false, contents: null, findings: [], problems: [`cannot be opened: ${error.message}`] };
  }
}

/** What is on a disk, and what is wrong with that; null if it has no bytes. Rejects if reading does. */
export async function contentsOf(disk: ReadableDisk): Promise<Pick<Inside, 'contents' | 'problems'>> {
  if (disk.size === 0) return { contents: null, problems: [] };
  const { listPartitions } = await import('../inspect/partitions.ts');
  const contents = await listPartitions(disk);
  const errors = contents.findings.filter((item) => item.severity === 'error');
  return { contents, problems: errors.map((item) => `on its disk, at byte ${item.offset}: ${item.message}`) };
}

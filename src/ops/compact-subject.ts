import { forgetUndo } from '../open-journal.ts';
import { FileStorage } from '../storage/file.ts';
import type { CompactResult } from './compact-options.ts';
import type { WatchedImage } from './open-image.ts';

/** An image that is being compacted. */
export interface CompactSubject extends WatchedImage {
  /** Bytes that the file system has for it. */
  readonly storedBytes: number | null;
}

/** What the parts report. */
export type CompactOutcome = Omit<CompactResult, 'seconds' | 'storedBytesBefore' | 'storedBytes'>;

/** Before the first byte is written: a change that could be undone cannot any more. */
export async function beginChange({ shown }: CompactSubject): Promise<void> {
  await forgetUndo(shown);
}

/** Bytes that the file system has for a file; null where it does not tell. */
export async function storedBytesOf(storage: FileStorage): Promise<number | null> {
  const { blocks } = await storage.stat();
  // Windows does not tell.
  return process.platform === 'win32' ? null : blocks * 512;
}

/** The same for the file of a name. */
export async function storedBytesAt(path: string): Promise<number | null> {
  await using storage = await FileStorage.open(path);
  return await storedBytesOf(storage);
}

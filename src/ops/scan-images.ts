import type { Dirent } from 'node:fs';
import * as fs from 'node:fs/promises';
import { join } from 'node:path';
import { type Examination, examine } from '../disk/recognise.ts';
import { FOOTER_COOKIE } from '../format/spec.ts';
import { identityOf } from '../open-parent-places.ts';
import { isNamedLikeLink } from '../open-recognise.ts';
import { FileStorage } from '../storage/file.ts';
import { TEMPORARY_NAME } from './output-file.ts';

/** Files looked at at the same time. */
const BATCH_FILES = 32;
/** Directories below each other that are gone into. */
const MAX_DEPTH = 64;

/** A file with the name of an image. */
export interface ScannedImage {
  /** Its path: the directory as it was given, and its name. */
  readonly path: string;
  /** Tells the file from others, whatever names it has. */
  readonly identity: string;
  /** Bytes of the file, holes included. */
  readonly fileSize: number;
  /** Bytes the file takes on its medium; null where the system does not tell. */
  readonly fileAllocatedBytes: number | null;
  /** What its ends and its header say; undefined if it could not be read. */
  readonly examination: Examination | undefined;
  /** Why it could not be read; null if it could. */
  readonly problem: string | null;
  /** True if the system did not let it be opened or read: what it is cannot be told. */
  readonly isHidden: boolean;
}

/** Which files are looked at. */
export interface ScanOptions {
  /** Go into directories, but through no symbolic link to one. Default false. */
  readonly recursive?: boolean | undefined;
  /** Most files with other names that are looked at too, if they begin as dynamic and differencing images do. Default 0. */
  readonly maxOthers?: number | undefined;
  /** Ends it. */
  readonly signal?: AbortSignal | undefined;
  /** Does more with an image while it is open; what it returns is not looked at, what it throws is the image's problem. */
  readonly look?: ((storage: FileStorage, examination: Examination) => Promise<void>) | undefined;
}

/**
 * Looks at every file of a directory that is named like an image, and at others as `maxOthers` says: a few sectors of each, a few at a time. A file that is
 * broken, vanishes or may not be read is told as such.
 * @throws errors of the system for the directory itself
 */
export async function* scanImages(directory: string, options: ScanOptions = {}): AsyncGenerator<ScannedImage> {
  let batch: string[] = [];
  let othersLeft = options.maxOthers ?? 0;
  for await (const path of filePaths(directory, options.recursive === true ? MAX_DEPTH : 0)) {
    options.signal?.throwIfAborted();
    if (!isNamedLikeLink(path) && othersLeft-- <= 0) continue;
    batch.push(path);
    if (batch.length < BATCH_FILES) continue;
    yield* await lookAt(batch, options);
    batch = [];
  }
  yield* await lookAt(batch, options);
}

async function* filePaths(directory: string, depth: number): AsyncGenerator<string> {
  const folders: string[] = [];
  // Streamed: a directory may hold more names than fit.
  for await (const entry of await fs.opendir(directory)) {
    if (entry.isDirectory() && depth > 0) folders.push(entry.name);
    else if (mayBeImage(entry)) yield join(directory, entry.name);
  }
  for (const name of folders.sort()) {
    try {
      yield* filePaths(join(directory, name), depth - 1);
    } catch (error) {
      // A directory that may not be read, or has gone, hides what is in it and nothing else.
      if (!(error instanceof Error && 'code' in error && 'syscall' in error)) throw error;
    }
  }
}

/** True if a name in a directory may be that of an image, or of a link to one. What is being written counts when it is named. */
function mayBeImage(entry: Dirent): boolean {
  if (entry.isSymbolicLink()) return isNamedLikeLink(entry.name);
  return entry.isFile() && !TEMPORARY_NAME.test(entry.name);
}

async function lookAt(paths: readonly string[], { signal, look }: ScanOptions): Promise<ScannedImage[]> {
  const images = await Promise.all(
    paths.map(async (path) => {
      const isLookedAt = isNamedLikeLink(path) || (await beginsLikeImage(path));
      return isLookedAt ? lookAtOne(path, look) : undefined;
    }),
  );
  signal?.throwIfAborted();
  return images.filter((image) => image !== undefined);
}

/** True if a file begins with the copy of a footer. What is not named like an image and cannot be read is none. */
async function beginsLikeImage(path: string): Promise<boolean> {
  try {
    const storage = await FileStorage.open(path);
    const head = Buffer.alloc(FOOTER_COOKIE.length);
    await storage.read(head, 0).finally(() => storage.close());
    return head.toString('latin1') === FOOTER_COOKIE;
  } catch {
    return false;
  }
}

async function lookAtOne(path: string, look: ScanOptions['look']): Promise<ScannedImage | undefined> {
  // File numbers of Windows do not fit into a plain number.
  const stats = await fs.stat(path, { bigint: true }).catch(() => undefined);
  // A link to nothing, or to a directory or a device: none of the images that lie here.
  if (stats?.isFile() !== true) return undefined;
  const blocks = Number(stats.blocks);
  const file = {
    ...{ path, identity: identityOf(stats), fileSize: Number(stats.size) },
    fileAllocatedBytes: Number.isFinite(blocks) ? blocks * 512 : null,
  };
  try {
    const storage = await FileStorage.open(path);
    try {
      const examination = await examine(storage);
      await look?.(storage, examination);
      return { ...file, examination, problem: null, isHidden: false };
    } finally {
      await storage.close();
    }
  } catch (error) {
    const problem = error instanceof Error ? error.message : String(error);
    return { ...file, examination: undefined, problem, isHidden: isRefusal(error) };
  }
}

/** True for an error of the system about something that is there. */
function isRefusal(error: unknown): boolean {
  return error instanceof Error && 'syscall' in error && 'code' in error && error.code !== 'ENOENT';
}

import type { Dirent } from 'node:fs';
import * as fs from 'node:fs/promises';
import { extname, join } from 'node:path';
import { type Examination, examine } from '../disk/recognise.ts';
import { identityOf } from '../open-parent-places.ts';
import { FileStorage } from '../storage/file.ts';

/** Endings of the names of images that can be links of a chain. */
const IMAGE_NAMES: readonly string[] = ['.vhd', '.avhd', '.vpc', '.vud'];
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
}

/** Which files are looked at. */
export interface ScanOptions {
  /** Go into directories, but through no symbolic link to one. Default false. */
  readonly recursive?: boolean | undefined;
  /** Ends it. */
  readonly signal?: AbortSignal | undefined;
  /** Does more with an image while it is open; what it returns is not looked at, what it throws is the image's problem. */
  readonly look?: ((storage: FileStorage, examination: Examination) => Promise<void>) | undefined;
}

/**
 * Looks at every file of a directory that is named like an image: a few sectors of each, a few at a time. A file that is
 * broken, vanishes or may not be read is told as such.
 * @throws errors of the system for the directory itself
 */
export async function* scanImages(directory: string, options: ScanOptions = {}): AsyncGenerator<ScannedImage> {
  let batch: string[] = [];
  for await (const path of imagePaths(directory, options.recursive === true ? MAX_DEPTH : 0)) {
    options.signal?.throwIfAborted();
    batch.push(path);
    if (batch.length < BATCH_FILES) continue;
    yield* await lookAt(batch, options);
    batch = [];
  }
  yield* await lookAt(batch, options);
}

async function* imagePaths(directory: string, depth: number): AsyncGenerator<string> {
  const folders: string[] = [];
  // Streamed: a directory may hold more names than fit.
  for await (const entry of await fs.opendir(directory)) {
    if (entry.isDirectory() && depth > 0) folders.push(entry.name);
    else if (isImageName(entry)) yield join(directory, entry.name);
  }
  for (const name of folders.sort()) {
    try {
      yield* imagePaths(join(directory, name), depth - 1);
    } catch (error) {
      // A directory that may not be read, or has gone, hides what is in it and nothing else.
      if (!(error instanceof Error && 'code' in error && 'syscall' in error)) throw error;
    }
  }
}

/** True if a name in a directory may be that of an image, or of a link to one. */
function isImageName(entry: Dirent): boolean {
  const isFile = entry.isFile() || entry.isSymbolicLink();
  return isFile && IMAGE_NAMES.includes(extname(entry.name).toLowerCase());
}

async function lookAt(paths: readonly string[], { signal, look }: ScanOptions): Promise<ScannedImage[]> {
  const images = await Promise.all(paths.map((path) => lookAtOne(path, look)));
  signal?.throwIfAborted();
  return images.filter((image) => image !== undefined);
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
      return { ...file, examination, problem: null };
    } finally {
      await storage.close();
    }
  } catch (error) {
    return { ...file, examination: undefined, problem: error instanceof Error ? error.message : String(error) };
  }
}

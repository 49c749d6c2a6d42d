// Files with holes, on the file systems a test can count on.
import { closeSync, existsSync, ftruncateSync, mkdtempSync, openSync, rmSync, statfsSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';
import { nativeSupport } from '../../src/storage/native.ts';

/** Bytes, and where they lie in a file. */
export type Piece = readonly [position: number, bytes: Uint8Array];

const TELL_HOLES = [0xef53, 0x5846_5342, 0x9123_683e, 0x0102_1994];

/** Folders of the tests of this file, one on each file system that there is: the usual one, and memory. */
export function sparseFolders(label: string): string[] {
  const bases = new Set([
    process.env['VHDKIT_DISK_TMPDIR'] ?? tmpdir(),
    ...(existsSync('/dev/shm') ? ['/dev/shm'] : []),
  ]);
  const folders = [...bases].map((base) => mkdtempSync(join(base, `vhdkit-${label}-`)));
  afterAll(() => {
    for (const folder of folders) rmSync(folder, { recursive: true, force: true });
  });
  return folders;
}

/** Why holes in a folder are read instead of found; undefined if they are found. */
export async function whyNoHoles(folder: string): Promise<string | undefined> {
  const { reason } = await nativeSupport();
  if (reason !== undefined) return reason;
  return TELL_HOLES.includes(statfsSync(folder).type) ? undefined : 'the file system does not tell';
}

/** Makes a file of `size` bytes that is a hole except for the pieces. */
export function writeSparse(path: string, size: number, pieces: readonly Piece[]): void {
  const file = openSync(path, 'w');
  for (const [position, bytes] of pieces) writeSync(file, bytes, 0, bytes.length, position);
  ftruncateSync(file, size);
  closeSync(file);
}

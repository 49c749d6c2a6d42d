// Merges by the command, for tests of them: a chain of three, and what is asked of it.
import { readFile } from 'node:fs/promises';
import { beforeEach, expect } from 'vitest';
import { formatUuid } from '../../src/format/uuid.ts';
import { openVhd } from '../../src/open.ts';
import { createImage } from '../../src/ops/create.ts';
import { firstDifference, pattern } from './bytes.ts';
import { vhd } from './cli.ts';
import type { TempFolder } from './temp.ts';

/** Bytes of the disks. */
export const MERGE_SIZE = 4 * 1024 * 1024;

/** A base, a link over it and a child over that, made anew for every test. */
export interface MergeImages {
  /** Their paths. */
  names: Record<'base' | 'link' | 'child', string>;
  /** What the names of this test begin with. */
  folder: number;
}

/** The images of the tests of a file. */
export function useMergeImages(temp: TempFolder): MergeImages {
  const images: MergeImages = { folder: 0, names: { base: '', link: '', child: '' } };
  beforeEach(async () => {
    images.folder++;
    const at = (name: string): string => temp.file(`${images.folder}-${name}.vhd`);
    const names = { base: at('base'), link: at('link'), child: at('child') };
    images.names = names;
    await createImage(names.base, { size: MERGE_SIZE, blockSize: 512 * 1024 });
    await put(names.base, pattern(1024 * 1024, 1), 0);
    await createImage(names.link, { parent: names.base });
    await put(names.link, pattern(4096, 2), 4096);
    await createImage(names.child, { parent: names.link });
    await put(names.child, pattern(1024, 3), 4608);
    await put(names.child, new Uint8Array(8192), 65_536);
  });
  return images;
}

/** Writes into an image. */
export async function put(path: string, bytes: Uint8Array, position: number): Promise<void> {
  await using disk = await openVhd(path, { writable: true });
  await disk.write(bytes, position);
}

/** What the disk in an image holds. */
export async function contentOf(path: string): Promise<Uint8Array> {
  await using disk = await openVhd(path);
  return await disk.readBytes(0, disk.size);
}

/** Nothing changes the images but what is expected to. */
export async function whileUnchanged(paths: readonly string[], job: () => Promise<void>): Promise<void> {
  const before = await Promise.all(paths.map((path) => readFile(path)));
  await job();
  for (const [index, path] of paths.entries()) {
    expect(firstDifference(await readFile(path), before[index] ?? new Uint8Array()), path).toBe(-1);
  }
}

/** Runs a merge that is to be refused, and returns what it says. */
export async function refused(
  words: readonly string[],
): Promise<{ code: string; message: string; remedy: string; exitCode: number }> {
  const { code, stderr } = await vhd(['merge', ...words, '--json']);
  expect(code).not.toBe(0);
  return JSON.parse(stderr) as { code: string; message: string; remedy: string; exitCode: number };
}

/** The identifier of an image as journals have it. */
export async function uuidOf(path: string): Promise<string> {
  await using disk = await openVhd(path);
  return formatUuid(disk.footer.uniqueId);
}

// Puts chains into files, where they are found by their names.
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Chain } from './build-chain.ts';

/** A chain in files. */
export interface ChainFiles {
  /** Paths, child first. */
  readonly paths: readonly string[];
  /** Where the parents are found. */
  readonly parentDirs: readonly string[];
}

/**
 * Writes each link of a chain into a directory of its own: every one calls its parent `parent.vhd`.
 * @param directory where the directories go; the child is in the first
 */
export async function writeChain(chain: Chain, directory: string): Promise<ChainFiles> {
  const paths: string[] = [];
  const parentDirs: string[] = [];
  for (const [depth, { image }] of chain.entries()) {
    const folder = join(directory, String(depth));
    const path = join(folder, depth === 0 ? 'child.vhd' : 'parent.vhd');
    await mkdir(folder, { recursive: true });
    await writeFile(path, image);
    paths.push(path);
    parentDirs.push(folder);
  }
  return { paths, parentDirs };
}

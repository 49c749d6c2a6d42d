import { realpath } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { examine } from '../disk/recognise.ts';
import { parentReferenceFor } from '../open-parent-reference.ts';
import type { Storage } from '../storage/storage.ts';
import { followLinks } from './output-file.ts';
import { planRelink } from './relink-plan.ts';

/** A copy of a differencing image, and where it goes. */
export interface ChildCopy {
  /** The copy, complete but for its name. */
  readonly storage: Storage;
  /** Path, behind symbolic links, of the image that it is a copy of: from its directory the names lead. */
  readonly source: string;
  /** Path that it gets. */
  readonly output: string;
  /** Path of the parent. */
  readonly parentPath: string;
}

/**
 * Has a copy name its parent from where it will lie; in the directory of the image nothing changes, since the names are
 * right there as they are. Identifier and time stamp stay those that the child knows of its parent: a parent that was
 * written to since is still told from one that was not.
 */
export async function nameParentFrom({ storage, source, output, parentPath }: ChildCopy): Promise<void> {
  if (await isSameDirectory(source, output)) return;
  const target = await followLinks(output);
  const examination = await examine(storage);
  const { footer, header, virtualSize } = examination;
  if (footer === undefined || header === undefined || virtualSize === undefined) {
    throw new Error('the copy of a sound image is sound');
  }
  const { parentUniqueId: uniqueId, parentTimestamp: timestamp } = header;
  const reference = await parentReferenceFor(target, parentPath, { uniqueId, timestamp });
  const { writes } = await planRelink({ ...examination, storage, footer, header, virtualSize }, reference);
  for (const { offset, after } of writes) await storage.write(after, offset);
}

/**
 * What to say of a copy whose names of its parent stay as they are: in another directory than that of the image they lead
 * elsewhere.
 * @param source path of the image, behind symbolic links
 * @param why what kept it from naming the parent from there, half a sentence
 * @returns nothing where it lies in the directory of the image
 */
export async function unnamedWarnings(source: string, output: string, why: string): Promise<string[]> {
  if (await isSameDirectory(source, output)) return [];
  return [`the copy names its parent as from the directory of the image, and perhaps does not find it: ${why}`];
}

async function isSameDirectory(source: string, output: string): Promise<boolean> {
  const target = await followLinks(output);
  const [from, to] = await Promise.all([source, target].map((path) => realpath(dirname(resolve(path)))));
  return from === to;
}

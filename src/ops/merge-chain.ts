import { readdir, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type Disk, type Extent, type ExtentOptions, readOnlyDiskError, resolveRange } from '../disk/disk.ts';
import { restoreFixedEnd } from '../disk/grow-image.ts';
import { openVhdStorage } from '../disk/open-storage.ts';
import { examine, type SoundExamination } from '../disk/recognise.ts';
import { VhdError } from '../errors.ts';
import { describeFinding } from '../format/rules.ts';
import { shellPath } from '../format/shell.ts';
import { formatUuid } from '../format/uuid.ts';
import { closeLinks, type ResolvedLink, resolveChain } from '../open-chain.ts';
import { checkJournal, journalPath, readJournal } from '../open-journal.ts';
import { rawDisk } from '../open-raw.ts';
import { openWritableFile } from '../open-source.ts';
import { FileStorage } from '../storage/file.ts';
import type { MergeOptions } from './merge-options.ts';

/** An image of the chain that can be opened as a VHD. */
export interface MergeLink extends ResolvedLink {
  readonly examination: SoundExamination;
}

/** The images that a merge is about, all open for reading. */
export interface MergeChain {
  /** The child, then the links between it and the target. */
  readonly above: readonly [MergeLink, ...MergeLink[]];
  /** The ancestor that gets everything. */
  readonly target: MergeLink;
  /** What the target is a child of, up to the base; empty if it has no parent. */
  readonly below: readonly ResolvedLink[];
}

/**
 * Finds the chain of the child, and the ancestor in it.
 * @throws VhdError `ERR_VHD_UNSUPPORTED` if the image has no parent, or that is a raw disk; `ERR_VHD_PARENT_MISSING` if `into`
 *   is none of its ancestors; `ERR_VHD_JOURNAL`, and everything that opening the chain throws
 */
export async function openMergeChain(childPath: string, options: MergeOptions): Promise<MergeChain> {
  await checkJournal(childPath);
  const links = await resolveRestored(childPath, options);
  try {
    const position = await positionOf(links, childPath, options.into);
    const sound = links.slice(0, position + 1).map((link) => soundLink(link, childPath));
    const [child, ...rest] = sound;
    const target = rest.pop();
    if (child === undefined || target === undefined) throw noParentError(childPath, links[0]);
    return { above: [child, ...rest], target, below: links.slice(position + 1) };
  } catch (error) {
    await closeLinks(links);
    throw error;
  }
}

/** What is to be said of parents that have changed since their children were made, as far as time stamps tell. */
export function changedParents(links: readonly ResolvedLink[]): string[] {
  return links.flatMap(({ path, findings }) => {
    const found = findings.filter(({ rule, severity }) => rule === 'parent.timestamp' && severity === 'warning');
    return found.map((item) => `${path}: ${describeFinding(item)}`);
  });
}

/** Closes all of them. */
export async function closeMergeChain({ above, target, below }: MergeChain): Promise<void> {
  await closeLinks([...above, target, ...below]);
}

async function resolveRestored(childPath: string, options: MergeOptions): Promise<readonly ResolvedLink[]> {
  const { parentDirs, followParents, strictParent, maxChainLength, allowRawParent, lock } = options;
  const chainOptions = { parentDirs, followParents, strictParent, maxChainLength, allowRawParent, lock };
  try {
    return await resolveChain(childPath, chainOptions);
  } catch (error) {
    if (!(error instanceof VhdError) || !(await restoreEnds(childPath, options))) throw error;
    return resolveChain(childPath, chainOptions);
  }
}

/**
 * Looks for a fixed image that a merge of this child was making longer when the power failed: it can be left without its
 * footer, and is no image then that a chain could be found through. True if there was one, and it has its footer again.
 */
async function restoreEnds(childPath: string, options: MergeOptions): Promise<boolean> {
  const { lock, onWarning, dryRun } = options;
  if (dryRun === true) return false;
  const storage = await FileStorage.open(childPath);
  const { footer } = await examine(storage).finally(() => storage.close());
  if (footer === undefined) return false;
  let isRestored = false;
  for (const image of await possibleTargets(childPath, options)) {
    const journal = await readJournal(image).catch(() => undefined);
    if (journal?.verb !== 'merge' || journal.childUuid !== formatUuid(footer.uniqueId)) continue;
    const target = await openWritableFile(image, { lock, onWarning });
    try {
      const isSame = (found: { uniqueId: Uint8Array }): boolean => formatUuid(found.uniqueId) === journal.uuid;
      if (await restoreFixedEnd(target, journal.fileSize, isSame)) isRestored = true;
    } finally {
      await target.close();
    }
  }
  return isRestored;
}

/** Images that a merge of this child may have been begun into, as far as they are not to be found through the chain. */
export async function possibleTargets(
  childPath: string,
  { into, parentDirs = [] }: Pick<MergeOptions, 'into' | 'parentDirs'>,
): Promise<readonly string[]> {
  if (into !== undefined) return [into];
  const ending = journalPath('');
  const found: string[] = [];
  for (const directory of new Set([dirname(childPath), ...parentDirs])) {
    const names = await readdir(directory).catch(() => []);
    const journals = names.filter((name) => name.endsWith(ending));
    found.push(...journals.map((name) => join(directory, name.slice(0, -ending.length))));
  }
  return found;
}

async function positionOf(
  links: readonly ResolvedLink[],
  childPath: string,
  into: string | undefined,
): Promise<number> {
  if (into === undefined) return 1;
  const wanted = await stat(into);
  for (const [position, { path }] of links.entries()) {
    const found = await stat(path);
    if (found.ino !== wanted.ino || found.dev !== wanted.dev) continue;
    if (position > 0) return position;
    throw new VhdError('ERR_VHD_SAME_FILE', 'an image cannot be merged into itself', { storage: into });
  }
  if (links.length === 1) throw noParentError(childPath, links[0]);
  const ancestors = links.slice(1).map(({ path }) => shellPath(path));
  const shown = ancestors.length > 4 ? [...ancestors.slice(0, 3), `${ancestors.length - 3} more`] : ancestors;
  throw new VhdError('ERR_VHD_PARENT_MISSING', 'it is no ancestor of the child', {
    storage: into,
    expected: shown.join(', '),
    found: into,
    remedy: `vhd merge ${shellPath(childPath)} --into ${ancestors[0] ?? ''}`,
  });
}

function noParentError(childPath: string, link: ResolvedLink | undefined): VhdError {
  const found = `a ${link?.examination.type ?? 'raw'} disk`;
  return new VhdError(
    'ERR_VHD_UNSUPPORTED',
    `it has no parent to be merged into: expected a differencing disk, found ${found}`,
    {
      storage: childPath,
      expected: 'a differencing disk',
      found,
      remedy: 'name a child of it: vhd tree DIR shows which images there are',
    },
  );
}

function soundLink(link: ResolvedLink, childPath: string): MergeLink {
  const { examination, isRaw, path } = link;
  const { footer, type, virtualSize } = examination;
  if (!isRaw && footer !== undefined && type !== undefined && virtualSize !== undefined) {
    return { ...link, examination: { ...examination, footer, type, virtualSize } };
  }
  throw new VhdError('ERR_VHD_UNSUPPORTED', 'it is a raw disk, and what is merged into becomes, or stays, a VHD', {
    storage: path,
    expected: 'a VHD',
    found: 'a raw disk',
    remedy: `vhd convert ${shellPath(childPath)} NEW.vhd --allow-raw-parent`,
  });
}

/**
 * Opens links over a disk, from the last to the first; the disk closes all of them. When it rejects, all are closed.
 * @param links child first; none: the disk itself
 * @param base what the last of them has as parent; undefined: it has none
 */
export async function openLinks(
  links: readonly ResolvedLink[],
  base: Disk | undefined,
  { bitmap }: Pick<MergeOptions, 'bitmap'>,
): Promise<Disk | undefined> {
  const left = [...links];
  let disk = base;
  try {
    for (let link = left.pop(); link !== undefined; link = left.pop()) {
      disk = link.isRaw
        ? await rawDisk(link.storage, {})
        : await openVhdStorage(link.storage, { bitmap, parent: disk });
    }
  } catch (error) {
    await closeLinks(left);
    throw error;
  }
  return disk;
}

/**
 * Stands for the target below the links above it. What those do not decide is none of the merge's business: extents say that
 * it is decided below, and bytes are never more than what lies between two stretches that are read by one call.
 */
export class UnreadDisk implements Disk {
  readonly size: number;
  readonly readOnly = true;
  readonly #name: string;

  /** `size`: that of the target before it grows; behind it the links above see zeros. */
  constructor(name: string, size: number) {
    this.#name = name;
    this.size = size;
  }

  async read(target: Uint8Array): Promise<void> {
    target.fill(0);
  }

  async write(): Promise<void> {
    throw readOnlyDiskError(this.#name);
  }

  async discard(): Promise<void> {
    throw readOnlyDiskError(this.#name);
  }

  async *extents(options: ExtentOptions = {}): AsyncGenerator<Extent> {
    const { start, end } = resolveRange('extents', options, this.size);
    if (end > start) yield { start, length: end - start, kind: 'data', depth: 0 };
  }

  async flush(): Promise<void> {
    return undefined;
  }

  async close(): Promise<void> {
    return undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    return undefined;
  }
}

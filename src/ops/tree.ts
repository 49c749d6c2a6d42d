import { stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { checkOptionNames, VhdError } from '../errors.ts';
import type { Finding } from '../format/rules.ts';
import { journalFindings } from '../open-journal.ts';
import { identityOf } from '../open-parent-places.ts';
import { type IndexedImage, indexChains, type ParentLink, type ParentState } from './chain-index.ts';

/** How chains are looked for. */
export interface TreeOptions {
  /** Further directories with parents; what is in them is listed only if something listed is based on it. */
  readonly parentDirs?: readonly string[] | undefined;
  /** Ends it. */
  readonly signal?: AbortSignal | undefined;
}

/** An image and its place among the others. */
export interface TreeImage extends Omit<IndexedImage, 'file' | 'identity' | 'isListed' | 'names'> {
  /** Links between it and the first image of its chain that is here; 0 for that. */
  readonly depth: number;
  /** How its parent was found, or why it was not. */
  readonly parentState: ParentState;
  /** Path of its parent; null if it has none here. */
  readonly parentPath: string | null;
  /** The likeliest name that it has for its parent; null if it has none. */
  readonly parentName: string | null;
  /** Paths of all images that could be its parent, where there are several. */
  readonly parentCandidates: readonly string[];
  /** An operation that was begun on it and not finished, with the command that finishes it; null if there is none. */
  readonly journal: Finding | null;
  /** Blocks that have a place in the file, from 0 to 1 of all; null for fixed images. */
  readonly ownedShare: number | null;
}

/** The chains in a directory. */
export interface TreeReport {
  /** What was looked at. */
  readonly path: string;
  /** Every image, each behind its parent: chain after chain, forks in the order of their paths; broken ones last. */
  readonly images: readonly TreeImage[];
  /** Images whose parent is missing, ambiguous, or leads back to them. */
  readonly missingParents: number;
  /** Images that cannot be read. */
  readonly brokenImages: number;
  /** Bytes that all of them take on their medium. */
  readonly fileAllocatedBytes: number;
}

/**
 * Tells the chains in a directory and all directories in it, or of an image the tree that it belongs to in its own directory.
 * Reads the ends, the header, the names and the table of every file that is named like a VHD; a parent is known by its
 * identifier, and of several that have it, by the names its child has for it.
 * @throws errors of the system for the path itself
 */
export async function readTree(path: string, options: TreeOptions = {}): Promise<TreeReport> {
  checkOptionNames('readTree', options, ['parentDirs', 'signal']);
  const { parentDirs = [], signal } = options;
  const stats = await stat(path, { bigint: true });
  const isDirectory = stats.isDirectory();
  const directory = isDirectory ? path : dirname(path);
  const links = await indexChains(directory, { recursive: isDirectory, parentDirs, signal });
  const isAsked = ({ isListed, identity }: IndexedImage): boolean =>
    isListed && (isDirectory || identity === identityOf(stats));
  const asked = links.filter(({ image }) => isAsked(image));
  if (!isDirectory && asked.length === 0) throw namedOtherwise(path);
  const images: TreeImage[] = [];
  for (const { link, depth } of inOrder(links, asked, !isDirectory)) {
    signal?.throwIfAborted();
    images.push(treeImage(link, depth, await journalOf(link.image.path)));
  }
  return {
    path,
    images,
    missingParents: images.filter(({ parentState }) => MISSING.includes(parentState)).length,
    brokenImages: images.filter(({ problem }) => problem !== null).length,
    fileAllocatedBytes: images.reduce((sum, image) => sum + (image.fileAllocatedBytes ?? image.fileSize), 0),
  };
}

/** The states of an image that cannot be opened for want of a parent. */
const MISSING: readonly ParentState[] = ['ambiguous', 'missing', 'loop'];

function namedOtherwise(path: string): VhdError {
  const expected = '.vhd, .avhd, .vpc or .vud';
  return new VhdError('ERR_VHD_UNSUPPORTED', `it is not named like a link of a chain: expected a name in ${expected}`, {
    ...{ storage: path, expected, remedy: 'vhd info shows what it is' },
  });
}

interface PlacedLink {
  readonly link: ParentLink;
  readonly depth: number;
}

/**
 * Parents before their children; without recursion, because chains may be long.
 * @param asked the images that are listed, with all that they are based on
 * @param withRelatives true: with all that is based on the same images, too
 */
function inOrder(links: readonly ParentLink[], asked: readonly ParentLink[], withRelatives: boolean): PlacedLink[] {
  const shown = withAncestors(links, asked);
  const children = new Map<IndexedImage | undefined, ParentLink[]>();
  for (const link of links) {
    const siblings = children.get(link.parent);
    if (siblings === undefined) children.set(link.parent, [link]);
    else siblings.push(link);
  }
  const roots = (children.get(undefined) ?? []).filter(({ image }) => shown.has(image));
  const isBroken = ({ image }: ParentLink): boolean => image.problem !== null;
  const ordered = [...roots.filter((root) => !isBroken(root)), ...roots.filter(isBroken)];
  const placed: PlacedLink[] = [];
  const left = ordered.reverse().map((link) => ({ link, depth: 0 }));
  for (let next = left.pop(); next !== undefined; next = left.pop()) {
    const { link, depth } = next;
    placed.push(next);
    const below = (children.get(link.image) ?? []).filter(({ image }) => withRelatives || shown.has(image));
    for (const child of below.reverse()) left.push({ link: child, depth: depth + 1 });
  }
  return placed;
}

function withAncestors(links: readonly ParentLink[], asked: readonly ParentLink[]): Set<IndexedImage> {
  const parents = new Map(links.map(({ image, parent }) => [image, parent]));
  const found = new Set<IndexedImage>();
  for (const { image } of asked) {
    for (let next: IndexedImage | undefined = image; next !== undefined && !found.has(next); next = parents.get(next)) {
      found.add(next);
    }
  }
  return found;
}

/** What is to be told of its journal; nothing where the image has gone meanwhile, or is hidden. */
async function journalOf(path: string): Promise<Finding | null> {
  const [journal = null] = await journalFindings(path).catch(() => []);
  return journal;
}

function treeImage(
  { image, state, parent, rawParent, candidates }: ParentLink,
  depth: number,
  journal: Finding | null,
): TreeImage {
  const { file: _file, identity: _identity, isListed: _isListed, names, ...facts } = image;
  const { allocatedBlocks, blockCount } = facts;
  const isShared = allocatedBlocks !== null && blockCount !== null && blockCount > 0;
  return {
    ...facts,
    depth,
    parentState: state,
    parentPath: parent?.path ?? rawParent ?? null,
    parentName: names[0]?.text ?? null,
    parentCandidates: candidates.length > 1 ? candidates.map(({ path }) => path) : [],
    journal,
    ownedShare: isShared ? allocatedBlocks / blockCount : null,
  };
}

import { checkBooleans, checkOptionNames } from '../errors.ts';
import { readJournal } from '../open-journal.ts';
import type { FileOptions } from '../open-source.ts';
import { type IndexedImage, indexChains, type ParentLink } from './chain-index.ts';
import { relink, relinkUnlooped } from './relink.ts';

/** How the images of a directory are relinked. */
export interface RelinkAllOptions extends FileOptions {
  /** Further directories with parents. */
  readonly parentDirs?: readonly string[] | undefined;
  /** Write nothing, only tell what would be. Default false. */
  readonly dryRun?: boolean | undefined;
  /** Seconds since 1970 for the journals. Default: now. */
  readonly now?: number | undefined;
  /** Ends it between two images. */
  readonly signal?: AbortSignal | undefined;
}

/** What became of one image: `right`: its names lead to its parent; `relinked` (of a dry run: it would be); the others failed. */
export type RelinkOutcome = 'right' | 'relinked' | 'missing' | 'ambiguous' | 'loop' | 'failed';

/** One differencing image. */
export interface RelinkedImage {
  /** Its path. */
  readonly path: string;
  /** What became of it. */
  readonly outcome: RelinkOutcome;
  /** Path of its parent; null if that is not known. */
  readonly parent: string | null;
  /** Identifier of the parent that it names, the 16 bytes in file order; null if it cannot be read. */
  readonly parentUuid: string | null;
  /** The likeliest name that it had for its parent; null if it had none. */
  readonly previousName: string | null;
  /** All that could be its parent, where there are several. */
  readonly candidates: readonly string[];
  /** Why nothing could be done, one sentence; null if it was, or did not have to be. */
  readonly problem: string | null;
  /** The directory that `parentDirs` must have for it to be opened; only of what was relinked to another directory. */
  readonly parentDir?: string;
  /** What the user should know, one sentence each. */
  readonly warnings: readonly string[];
}

/** What became of the images of a directory. */
export interface RelinkAllResult {
  /** The directory. */
  readonly path: string;
  /** Its differencing images, in the order of their paths. */
  readonly images: readonly RelinkedImage[];
  /** How many were, or would be, relinked. */
  readonly relinked: number;
  /** How many were right. */
  readonly right: number;
  /** How many could not be relinked. */
  readonly failed: number;
}

/**
 * Relinks every differencing image in a directory, and in those in it, whose names do not lead to its parent any more, to the
 * image there (or in `parentDirs`) that has the identifier it names. Where several have it, none is chosen. Finishes what was
 * begun before. What fails for one image is told of that one.
 * @throws errors of the system for the directory
 */
export async function relinkAll(directory: string, options: RelinkAllOptions = {}): Promise<RelinkAllResult> {
  checkOptionNames('relinkAll', options, ['parentDirs', 'dryRun', 'now', 'signal', 'lock', 'onWarning']);
  checkBooleans(options, ['dryRun', 'lock']);
  const { parentDirs = [], signal } = options;
  const index = (): Promise<ParentLink[]> => indexChains(directory, { recursive: true, parentDirs, signal });
  let links = await index();
  const images: RelinkedImage[] = [];
  const begun = await finishBegun(links, options);
  images.push(...begun);
  // A header that was torn says nothing before.
  if (begun.length > 0) links = await index();
  const isTold = ({ path }: IndexedImage): boolean => begun.some((image) => image.path === path);
  for (const link of links) {
    signal?.throwIfAborted();
    const isChild = link.image.isListed && link.image.parentUuid !== null && link.state !== 'raw';
    if (isChild && !isTold(link.image)) images.push(await relinkOne(link, options));
  }
  const count = (...outcomes: RelinkOutcome[]): number =>
    images.filter((image) => outcomes.includes(image.outcome)).length;
  return {
    path: directory,
    images: images.sort((first, second) => (first.path < second.path ? -1 : 1)),
    relinked: count('relinked'),
    right: count('right'),
    failed: count('missing', 'ambiguous', 'loop', 'failed'),
  };
}

/** Finishes every relink that a call began which was killed. */
async function finishBegun(links: readonly ParentLink[], options: RelinkAllOptions): Promise<RelinkedImage[]> {
  const { parentDirs: _parentDirs, dryRun, signal, ...how } = options;
  const finished: RelinkedImage[] = [];
  for (const { image } of links) {
    signal?.throwIfAborted();
    const journal = image.isListed ? await readJournal(image.path).catch(() => undefined) : undefined;
    if (journal?.verb !== 'relink' || dryRun === true) continue;
    const told = { ...toldOf(image), candidates: [], parent: null, warnings: [] };
    try {
      const { parentUuid } = await relink(image.path, how);
      finished.push({ ...told, parentUuid, outcome: 'relinked', problem: null });
    } catch (error) {
      finished.push({ ...told, outcome: 'failed', problem: messageOf(error) });
    }
  }
  return finished;
}

async function relinkOne(link: ParentLink, options: RelinkAllOptions): Promise<RelinkedImage> {
  const { image, state, parent, candidates } = link;
  const told = { ...toldOf(image), parent: parent?.path ?? null, candidates: [], warnings: [] };
  if (state === 'named') return { ...told, outcome: 'right', problem: null };
  if (state !== 'moved' || parent === undefined) {
    const outcome = state === 'ambiguous' || state === 'loop' ? state : 'missing';
    const paths = candidates.length > 1 ? candidates.map(({ path }) => path) : [];
    return { ...told, outcome, candidates: paths, problem: PROBLEMS[outcome] };
  }
  const { parentDirs: _parentDirs, ...how } = options;
  try {
    const { parentDir, warnings } = await relinkUnlooped(image.path, { ...how, parent: parent.path });
    return { ...told, outcome: 'relinked', problem: null, warnings, ...(parentDir === undefined ? {} : { parentDir }) };
  } catch (error) {
    options.signal?.throwIfAborted();
    return { ...told, outcome: 'failed', problem: messageOf(error) };
  }
}

const PROBLEMS = {
  missing: 'no image with the identifier of its parent was found',
  ambiguous: 'several images have the identifier of its parent',
  loop: 'it is among its own parents',
} as const;

function toldOf({
  path,
  parentUuid,
  names,
}: IndexedImage): Pick<RelinkedImage, 'path' | 'parentUuid' | 'previousName'> {
  return { path, parentUuid, previousName: names[0]?.text ?? null };
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

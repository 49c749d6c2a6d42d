import { realpath, stat } from 'node:fs/promises';
import type { Disk } from './disk/disk.ts';
import { openVhdStorage } from './disk/open-storage.ts';
import { type Examination, examine } from './disk/recognise.ts';
import { VhdError } from './errors.ts';
import type { Footer } from './format/footer.ts';
import { describeFinding, type Finding } from './format/rules.ts';
import { shortest } from './open-error-paths.ts';
import { type FoundParent, findParent, type Orphan } from './open-find-parent.ts';
import { checkJournal } from './open-journal.ts';
import { checkParent } from './open-parent-fit.ts';
import { type ChainOptions, checkParentOptions } from './open-parent-options.ts';
import { HERE } from './open-parent-paths.ts';
import { identityOf, ParentPlaces } from './open-parent-places.ts';
import { rawDisk } from './open-raw.ts';
import { openFile } from './open-source.ts';
import { FileStorage } from './storage/file.ts';
import { FileWatch } from './storage/file-watch.ts';
import type { Storage } from './storage/storage.ts';

/** Images in a chain, where nobody says otherwise. */
const MAX_CHAIN_LENGTH = 1024;

/** One image of a chain, its file open. */
export interface ResolvedLink {
  /** Path of the file; the name of the storage where it has none. */
  readonly path: string;
  /** Where it is open; a parent's for reading only. */
  readonly storage: Storage;
  /** What its ends and its header say. */
  readonly examination: Examination;
  /** True for a base that is the bytes of a disk and nothing else. */
  readonly isRaw: boolean;
  /** What is odd about how it names its parent, and how that one fits. Offsets are in its own file. */
  readonly findings: readonly Finding[];
}

/** As much of a chain as was found. */
export interface WalkedChain {
  /** The images, child first. */
  readonly links: readonly ResolvedLink[];
  /** Why there is no parent for the last; undefined if it needs none. */
  readonly error?: Error;
}

/** The image a chain begins with. */
export interface ChainStart {
  /** Where it is open; stays the caller's. */
  readonly storage: Storage;
  /** Its path; undefined for what is no file with a name. */
  readonly path: string | undefined;
  /** What its ends and its header say. */
  readonly examination: Examination;
}

/**
 * Finds every image of a chain, from a path to the base, and opens each once, for reading and locked for that unless `lock`
 * is false. An image without a parent is a chain of one.
 * @returns child first, base last; their storages are the caller's to close
 * @throws VhdError what is wrong with an image, or with how it names its parent; nothing is open then
 */
export async function resolveChain(path: string, options: ChainOptions = {}): Promise<readonly ResolvedLink[]> {
  checkParentOptions(options);
  const storage = await openFile(path, { lock: options.lock });
  const examination = await examine(storage).catch(async (error: unknown) => {
    await storage.close();
    throw error;
  });
  const { links, error } = await walkChain({ storage, path, examination }, options);
  const refusal = error ?? links.find(({ isRaw, examination }) => !isRaw && examination.refusal)?.examination.refusal;
  if (refusal === undefined) return links;
  await Promise.all([storage.close(), closeLinks(links)]);
  throw refusal;
}

/** Closes all links. */
export async function closeLinks(links: readonly ResolvedLink[]): Promise<void> {
  await Promise.all(links.map(({ storage }) => storage.close()));
}

/** Finds the images of a chain as far as they are there; the links behind the first are the caller's to close. */
export async function walkChain(start: ChainStart, options: ChainOptions): Promise<WalkedChain> {
  const walk = new ChainWalk(start, options);
  try {
    await walk.run();
    return { links: walk.links };
  } catch (error) {
    return { links: walk.links, error: asError(error) };
  }
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}

class ChainWalk {
  readonly links: ResolvedLink[] = [];
  readonly #start: ChainStart;
  readonly #options: ChainOptions;
  readonly #places: ParentPlaces;
  readonly #chain = new Map<string, Uint8Array | undefined>();
  #directories: readonly string[] = [];
  #parentDirs: readonly string[] | undefined;

  constructor(start: ChainStart, options: ChainOptions) {
    this.#start = start;
    this.#options = options;
    this.#places = new ParentPlaces(options.followParents === true);
  }

  async run(): Promise<void> {
    const { storage, path, examination } = this.#start;
    this.links.push({ path: path ?? storage.name, storage, examination, isRaw: false, findings: [] });
    for (let child = this.links[0]; child !== undefined; child = this.links[this.links.length - 1]) {
      const { header, type, refusal } = child.examination;
      if (child.isRaw || type !== 'differencing' || header === undefined || refusal !== undefined) return;
      await this.#addParent(child, { ...child.examination, header });
    }
  }

  async #addParent(child: ResolvedLink, examination: Orphan['examination']): Promise<void> {
    const { maxChainLength = MAX_CHAIN_LENGTH, allowRawParent = false, lock } = this.#options;
    if (this.links.length >= maxChainLength) throw limitError(child.path, maxChainLength);
    if (this.links.length === 1) await this.#enter();
    const orphan = { storage: child.storage, examination, directories: this.#directories };
    const parentDirs = await this.#allowedDirs();
    const shown = (file: string): string => this.#shown(file);
    const search = { places: this.#places, parentDirs, chain: this.#chain, allowRawParent, shown };
    const parent = await findParent(orphan, search);
    try {
      const uuidsAbove = this.links.map((link) => uuidOf(link.examination)).filter((uuid) => uuid !== undefined);
      await checkJournal(parent.file, { uuidsAbove });
      if (lock !== false) await parent.storage.lock('read');
      const findings = [...parent.findings, ...(await checkParent(child.path, examination, parent, this.#options))];
      this.links[this.links.length - 1] = { ...child, findings };
      await this.#push(parent);
    } catch (error) {
      await parent.storage.close();
      throw error;
    }
  }

  async #push({ file, identity, storage, examination, isRaw }: FoundParent): Promise<void> {
    this.#chain.set(identity, uuidOf(examination));
    this.#directories = [await this.#places.allow(HERE.dirname(file))];
    this.links.push({ path: storage.name, storage, examination, isRaw, findings: [] });
  }

  /** The child's directory is the one it was named in and, behind a link, the one it lies in. */
  async #enter(): Promise<void> {
    const { path } = this.#start;
    const [child] = this.links;
    if (path === undefined || child === undefined) return;
    const file = await realpath(path);
    this.#chain.set(identityOf(await stat(file, { bigint: true })), uuidOf(child.examination));
    const directories = [HERE.dirname(HERE.resolve(path)), HERE.dirname(file)];
    const real = await Promise.all(directories.map((directory) => this.#places.allow(directory)));
    this.#directories = [...new Set(real)];
  }

  async #allowedDirs(): Promise<readonly string[]> {
    const { parentDirs = [] } = this.#options;
    this.#parentDirs ??= await Promise.all(parentDirs.map((directory) => this.#places.allow(directory)));
    return this.#parentDirs;
  }

  /** Who named the child from where they are is told of its parents in the same way. */
  #shown(file: string): string {
    const { path } = this.#start;
    return path === undefined || HERE.isAbsolute(path) ? file : shortest(file);
  }
}

function uuidOf({ footer }: { readonly footer: Footer | undefined }): Uint8Array | undefined {
  return footer?.uniqueId;
}

function limitError(path: string, maxChainLength: number): VhdError {
  const expected = `a chain of at most ${maxChainLength} ${maxChainLength === 1 ? 'image' : 'images'}`;
  return new VhdError(
    'ERR_VHD_LIMIT',
    `the chain is too long: expected ${expected}, found a parent of the last of them`,
    {
      storage: path,
      expected,
      found: 'one more',
      remedy: 'flatten it with vhd convert, or raise maxChainLength',
    },
  );
}

/** The parents of an image, open. */
export interface OpenedParents {
  /** The parent of the image, which closes its own. */
  readonly parent: Disk;
  /** The paths of all of them, the nearest first. */
  readonly paths: readonly string[];
  /** What they are open on, in the same order. */
  readonly storages: readonly Storage[];
  /** What the user of the image should know of the chain. */
  readonly findings: readonly Finding[];
  /** Rejects with `ERR_VHD_SOURCE_CHANGED` if a file of a parent is not what it was; as in `OpenedDisk`. */
  readonly checkUnchanged: (cause?: unknown) => Promise<void>;
}

/** How the parents of an image are opened. */
export interface OpenParentsOptions extends ChainOptions {
  /** As for the image itself. */
  readonly bitmap?: 'strict' | 'honour' | 'ignore' | undefined;
}

/**
 * Opens all parents of an image, from the base up; undefined if it has none, or is damaged in a way that opening it tells.
 * @throws VhdError what is wrong with a parent, or with finding it; none is open then
 */
export async function openParents(start: ChainStart, options: OpenParentsOptions): Promise<OpenedParents | undefined> {
  const { parents, error } = await tryParents(start, options);
  if (error !== undefined) throw error;
  return parents;
}

/** A chain as far as it could be opened. */
export interface TriedParents {
  /** The images that were found, child first; the files of parents are open only as long as `parents` are. */
  readonly links: readonly ResolvedLink[];
  /** The parents, all of them; undefined if there are none, or if something is wrong with one. */
  readonly parents?: OpenedParents | undefined;
  /** What is wrong. */
  readonly error?: Error;
}

/** The same, telling what is wrong and how far it came. */
export async function tryParents(start: ChainStart, options: OpenParentsOptions): Promise<TriedParents> {
  const { links, error } = await walkChain(start, options);
  const [child, ...parents] = links;
  if (error !== undefined) {
    await closeLinks(parents);
    return { links, error };
  }
  if (child === undefined || parents.length === 0) return { links };
  const watches: FileWatch[] = [];
  try {
    const parent = await openFromBase(parents, options, watches);
    const checkUnchanged = async (cause?: unknown): Promise<void> => {
      for (const watch of watches) await watch.check(cause);
    };
    const findings = [...child.findings, ...parents.flatMap(findingsAbout)];
    const paths = parents.map(({ path }) => path);
    const storages = parents.map(({ storage }) => storage);
    return { links, parents: { parent, paths, storages, findings, checkUnchanged } };
  } catch (failure) {
    return { links, error: asError(failure) };
  }
}

async function openFromBase(
  parents: readonly ResolvedLink[],
  { bitmap }: OpenParentsOptions,
  watches: FileWatch[],
): Promise<Disk> {
  const left = [...parents];
  let disk: Disk | undefined;
  try {
    for (let link = left.pop(); link !== undefined; link = left.pop()) {
      disk = await openLink(link, disk, bitmap, watches);
    }
  } catch (error) {
    // What failed to open closed what lies below it.
    await closeLinks(left);
    throw error;
  }
  if (disk === undefined) throw new Error('there is a parent to open');
  return disk;
}

async function openLink(
  { storage, isRaw }: ResolvedLink,
  parent: Disk | undefined,
  bitmap: OpenParentsOptions['bitmap'],
  watches: FileWatch[],
): Promise<Disk> {
  try {
    if (storage instanceof FileStorage) watches.push(await FileWatch.start(storage));
    if (isRaw) return await rawDisk(storage, {});
  } catch (error) {
    await Promise.all([storage.close(), parent?.close()]);
    throw error;
  }
  return openVhdStorage(storage, { bitmap, parent });
}

/** What is to be known of a parent, told of the child: its own notes matter to nobody. */
function findingsAbout({ path, isRaw, examination, findings }: ResolvedLink): Finding[] {
  const own = isRaw ? [] : examination.findings;
  return [...own, ...findings]
    .filter(({ severity }) => severity !== 'note')
    .map(({ rule, severity, ...item }) => {
      return { rule, severity, message: `${path}: ${describeFinding({ rule, severity, ...item })}` };
    });
}

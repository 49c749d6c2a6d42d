import { realpath, stat } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { type ParentName, readParentNames } from '../disk/parent-names.ts';
import type { Examination } from '../disk/recognise.ts';
import { entryCountFor } from '../format/layout.ts';
import { BAT_ENTRY_BYTES, type VhdType } from '../format/spec.ts';
import { formatUuid, formatUuidMixedEndian } from '../format/uuid.ts';
import { isAllOnes } from '../format/zeros.ts';
import { HERE, parentPaths } from '../open-parent-paths.ts';
import type { Storage } from '../storage/storage.ts';
import { type ScannedImage, scanImages } from './scan-images.ts';

/** What a few sectors and the table of an image tell. */
export interface IndexedImage {
  /** Its path: the directory as it was given, and its name. */
  readonly path: string;
  /** Its path, absolute, behind links of directories. */
  readonly file: string;
  /** Tells the file from others, whatever names it has. */
  readonly identity: string;
  /** True if it lies where images are looked at; false: only where parents are looked for. */
  readonly isListed: boolean;
  /** Type; null if it is no readable image. */
  readonly type: VhdType | null;
  /** Virtual size in bytes. */
  readonly virtualSize: number | null;
  /** Bytes of the file, holes included. */
  readonly fileSize: number;
  /** Bytes the file takes on its medium; null where the system does not tell. */
  readonly fileAllocatedBytes: number | null;
  /** Blocks that have a place in the file; null for fixed images. */
  readonly allocatedBlocks: number | null;
  /** Blocks of the virtual disk; null for fixed images. */
  readonly blockCount: number | null;
  /** Identifier, the 16 bytes in file order. */
  readonly uuid: string | null;
  /** Identifier as Windows shows it. */
  readonly uuidMixedEndian: string | null;
  /** Identifier of the parent that a differencing image names. */
  readonly parentUuid: string | null;
  /** What it calls its parent, the likeliest name first. */
  readonly names: readonly ParentName[];
  /** Why it cannot be read; null if it can. */
  readonly problem: string | null;
}

/**
 * How the parent of an image was found: `none` needed; `raw`: a raw disk is where its names lead, and nothing identifies it; `named`: where its names lead; `moved`: by its identifier alone, its
 * names lead elsewhere; `ambiguous`: several have that identifier, and it names none of them; `missing`; `loop`: it would be
 * among its own parents.
 */
export type ParentState = 'none' | 'raw' | 'named' | 'moved' | 'ambiguous' | 'missing' | 'loop';

/** An image and its parent. */
export interface ParentLink {
  /** The image. */
  readonly image: IndexedImage;
  /** How its parent was found. */
  readonly state: ParentState;
  /** Its parent, if there is one to be told. */
  readonly parent: IndexedImage | undefined;
  /** Path of its parent where that is a raw disk, absolute. */
  readonly rawParent?: string | undefined;
  /** All that could be its parent. */
  readonly candidates: readonly IndexedImage[];
}

/** Where images are looked for. */
export interface IndexOptions {
  /** Look at the directories in it too. */
  readonly recursive: boolean;
  /** Further directories with parents; those in them are not gone into. */
  readonly parentDirs: readonly string[];
  /** Ends it. */
  readonly signal?: AbortSignal | undefined;
}

/** Looks at all images of a directory and finds the parent of each among them; in the order of their paths. */
export async function indexChains(directory: string, options: IndexOptions): Promise<ParentLink[]> {
  const { recursive, parentDirs, signal } = options;
  const index = new ChainIndex();
  await index.add(directory, { recursive, signal }, true);
  for (const parentDir of parentDirs) await index.add(parentDir, { signal }, false);
  return index.link();
}

const NO_UUID = formatUuid(new Uint8Array(16));

class ChainIndex {
  /** One of each file, however many names it has. */
  readonly #images = new Map<string, IndexedImage>();
  /** The identity behind every name, which is absolute. */
  readonly #identities = new Map<string, string>();
  readonly #byUuid = new Map<string, IndexedImage[]>();

  async add(
    directory: string,
    options: { readonly recursive?: boolean; readonly signal: AbortSignal | undefined },
    isListed: boolean,
  ): Promise<void> {
    const real = await realpath(directory);
    const facts = new Map<string, Facts>();
    const look = async (storage: Storage, examination: Examination): Promise<void> => {
      facts.set(storage.name, await factsOf(storage, examination));
    };
    for await (const scanned of scanImages(directory, { ...options, look })) {
      const file = join(real, relative(directory, scanned.path));
      this.#put({ ...imageOf(scanned, facts.get(scanned.path)), file, isListed });
      facts.delete(scanned.path);
    }
  }

  #put(image: IndexedImage): void {
    const { identity } = image;
    this.#identities.set(image.file, identity);
    const known = this.#images.get(identity);
    // Of several names the one that is listed, and of those the first: which it is must not depend on the file system.
    if (known !== undefined && (known.isListed || !image.isListed) && known.path <= image.path) return;
    this.#images.set(identity, known?.isListed === true ? { ...image, isListed: true } : image);
  }

  async link(): Promise<ParentLink[]> {
    const images = [...this.#images.values()].sort((first, second) => (first.path < second.path ? -1 : 1));
    for (const image of images) {
      if (image.uuid === null || image.type === null) continue;
      const same = this.#byUuid.get(image.uuid);
      if (same === undefined) this.#byUuid.set(image.uuid, [image]);
      else same.push(image);
    }
    const links: ParentLink[] = [];
    for (const image of images) links.push(await this.#linkOf(image));
    return withoutLoops(links);
  }

  async #linkOf(image: IndexedImage): Promise<ParentLink> {
    if (image.parentUuid === null) return { image, state: 'none', parent: undefined, candidates: [] };
    const candidates = (this.#byUuid.get(image.parentUuid) ?? []).filter((candidate) => candidate !== image);
    const paths = parentPaths(image.names, { childDirs: [dirname(image.file)], parentDirs: [] }, HERE)
      .filter(({ problem }) => problem === undefined)
      .map(({ path }) => path);
    const named = this.#named(paths, candidates);
    if (named !== undefined) return { image, state: 'named', parent: named, candidates };
    const link = { image, parent: undefined, candidates };
    // blktap: a parent without an identifier is a raw disk, which is not among the images.
    const rawParent = image.parentUuid === NO_UUID ? await firstFile(paths) : undefined;
    if (rawParent !== undefined) return { ...link, state: 'raw', rawParent };
    const [only, ...others] = candidates;
    if (only === undefined) return { ...link, state: 'missing' };
    return others.length > 0 ? { ...link, state: 'ambiguous' } : { ...link, state: 'moved', parent: only };
  }

  /** The first of some paths that leads to one of some images. */
  #named(paths: readonly string[], candidates: readonly IndexedImage[]): IndexedImage | undefined {
    for (const path of paths) {
      const image = this.#images.get(this.#identities.get(path) ?? '');
      if (image !== undefined && candidates.includes(image)) return image;
    }
    return undefined;
  }
}

async function firstFile(paths: readonly string[]): Promise<string | undefined> {
  for (const path of paths) if (await isFile(path)) return path;
  return undefined;
}

async function isFile(path: string): Promise<boolean> {
  return stat(path).then(
    (stats) => stats.isFile(),
    () => false,
  );
}

/** Cuts the chains that lead back into themselves. */
function withoutLoops(links: readonly ParentLink[]): ParentLink[] {
  const byImage = new Map(links.map((link) => [link.image, link]));
  const isSound = new Set<IndexedImage>();
  const looping = new Set<IndexedImage>();
  for (const link of links) {
    const way = new Set<IndexedImage>();
    let next: ParentLink | undefined = link;
    while (next !== undefined && !isSound.has(next.image) && !way.has(next.image)) {
      way.add(next.image);
      next = next.parent === undefined ? undefined : byImage.get(next.parent);
    }
    // What leads into a loop is not in it: only from where the way came back on itself.
    const ring = next !== undefined && way.has(next.image) ? [...way].slice([...way].indexOf(next.image)) : [];
    for (const image of ring) looping.add(image);
    for (const image of way) isSound.add(image);
  }
  return links.map((link) => (looping.has(link.image) ? { ...link, state: 'loop', parent: undefined } : link));
}

interface Facts {
  readonly names: readonly ParentName[];
  readonly allocatedBlocks: number | null;
}

async function factsOf(storage: Storage, examination: Examination): Promise<Facts> {
  const { type, header, refusal } = examination;
  const isRead = refusal === undefined && header !== undefined;
  const names = type === 'differencing' && isRead ? (await readParentNames(storage, examination)).names : [];
  return { names, allocatedBlocks: isRead ? await countAllocated(storage, examination, header) : null };
}

const PIECE_BYTES = 64 * 1024;

/** Counts the entries that are used, holding a small part of the table at a time. */
async function countAllocated(
  storage: Storage,
  { virtualSize = 0 }: Examination,
  { tableOffset, blockSize }: NonNullable<Examination['header']>,
): Promise<number> {
  const byteLength = entryCountFor(virtualSize, blockSize) * BAT_ENTRY_BYTES;
  const piece = new Uint8Array(Math.min(PIECE_BYTES, byteLength));
  let count = 0;
  for (let done = 0; done < byteLength; done += piece.length) {
    const bytes = piece.subarray(0, Math.min(piece.length, byteLength - done));
    await storage.read(bytes, tableOffset + done);
    if (isAllOnes(bytes)) continue;
    for (let offset = 0; offset < bytes.length; offset += BAT_ENTRY_BYTES) {
      if (!isAllOnes(bytes.subarray(offset, offset + BAT_ENTRY_BYTES))) count++;
    }
  }
  return count;
}

type Described = Omit<IndexedImage, 'file' | 'isListed'>;

function imageOf({ examination, problem, ...file }: ScannedImage, facts: Facts | undefined): Described {
  const known = { ...file, ...NOTHING_KNOWN, ...identifiersOf(examination), problem };
  if (examination === undefined) return known;
  const { type, header, refusal, virtualSize } = examination;
  if (refusal !== undefined || type === undefined || virtualSize === undefined) {
    return { ...known, problem: refusal?.message ?? 'it is no VHD' };
  }
  const readable = { ...known, ...facts, type, virtualSize, problem: null };
  if (header === undefined) return readable;
  const parentUuid = type === 'differencing' ? formatUuid(header.parentUniqueId) : null;
  return { ...readable, parentUuid, blockCount: entryCountFor(virtualSize, header.blockSize) };
}

const NOTHING_KNOWN = {
  ...{ type: null, virtualSize: null, allocatedBlocks: null, blockCount: null, parentUuid: null, names: [] },
} as const;

function identifiersOf(examination: Examination | undefined): Pick<IndexedImage, 'uuid' | 'uuidMixedEndian'> {
  const uniqueId = examination?.footer?.uniqueId;
  if (uniqueId === undefined) return { uuid: null, uuidMixedEndian: null };
  return { uuid: formatUuid(uniqueId), uuidMixedEndian: formatUuidMixedEndian(uniqueId) };
}

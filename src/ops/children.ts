import { realpath, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { readParentNames } from '../disk/parent-names.ts';
import { type Examination, examine } from '../disk/recognise.ts';
import { checkOptionNames, VhdError } from '../errors.ts';
import { quote } from '../format/bytes.ts';
import { decodeParentName } from '../format/dynamic-header.ts';
import { DISK_TYPE } from '../format/spec.ts';
import { formatUuid } from '../format/uuid.ts';
import { identityOf } from '../open-parent-places.ts';
import { FileStorage } from '../storage/file.ts';
import type { Storage } from '../storage/storage.ts';
import { type ScannedImage, scanImages } from './scan-images.ts';

const NO_UUID = formatUuid(new Uint8Array(16));

/** A differencing image that has another one as its parent. */
export interface FoundChild {
  /** Its path, in the directory of the image. */
  readonly path: string;
  /** Its identifier, the 16 bytes in file order. */
  readonly uuid: string;
  /** The name of its parent as its header gives it, or else a locator; often a full path of another machine. May be empty. */
  readonly parentName: string;
  /** True if one of its names for its parent ends in the name of the image, or it has none. False: it may be a copy's. */
  readonly namesThisImage: boolean;
}

/** How children are looked for. */
export interface FindChildrenOptions {
  /** Ends it. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * The differencing images in the directory of an image that have it as their parent by its identifier. Reads a few sectors
 * of every file there that is named like a VHD, and of up to 10,000 others the first bytes; what is broken, or may not be
 * read, is passed over.
 * @throws errors of the system for the image and its directory
 */
export async function findChildren(imagePath: string, options: FindChildrenOptions = {}): Promise<FoundChild[]> {
  checkOptionNames('findChildren', options, ['signal']);
  return (await lookForChildren(imagePath, options)).children;
}

/** Files with names of no images that are looked into. */
const MAX_OTHERS = 10_000;

interface LookedAround {
  readonly children: FoundChild[];
  /** Files that are named like images and could not be looked at. */
  readonly hidden: readonly ScannedImage[];
}

async function lookForChildren(imagePath: string, options: FindChildrenOptions): Promise<LookedAround> {
  const path = await realpath(imagePath);
  const self = await stat(path, { bigint: true });
  if (!self.isFile()) return { children: [], hidden: [] };
  const parent: Parent = { uuid: await identifierOf(path), name: basename(path) };
  // Told as the image was, as far as those words lead to its directory.
  const isThere = (await realpath(dirname(imagePath))) === dirname(path);
  const found = new Map<string, FoundChild>();
  const children = new Map<string, Omit<FoundChild, 'path'>>();
  const look = async (storage: Storage, examination: Examination): Promise<void> => {
    const child = await childOf(storage, examination, parent);
    if (child !== undefined) children.set(storage.name, child);
  };
  const hidden: ScannedImage[] = [];
  const directory = isThere ? dirname(imagePath) : dirname(path);
  for await (const image of scanImages(directory, { ...options, maxOthers: MAX_OTHERS, look })) {
    const child = children.get(image.path);
    children.delete(image.path);
    const isSelf = image.identity === identityOf(self);
    // One file under two names is one child.
    if (child !== undefined && !isSelf) found.set(image.identity, { path: image.path, ...child });
    if (image.isHidden && !isSelf) hidden.push(image);
  }
  return { children: [...found.values()].sort((first, second) => (first.path < second.path ? -1 : 1)), hidden };
}

interface Parent {
  /** Undefined for what is no VHD. */
  readonly uuid: string | undefined;
  readonly name: string;
}

async function identifierOf(path: string): Promise<string | undefined> {
  const storage = await FileStorage.open(path);
  try {
    const { footer } = await examine(storage);
    return footer === undefined ? undefined : formatUuid(footer.uniqueId);
  } finally {
    await storage.close();
  }
}

async function childOf(
  storage: Storage,
  examination: Examination,
  parent: Parent,
): Promise<Omit<FoundChild, 'path'> | undefined> {
  const { footer, header } = examination;
  const isDifferencing = footer?.diskType === DISK_TYPE.differencing && header !== undefined;
  // blktap: a parent without an identifier is a raw disk, known by its name alone.
  if (!isDifferencing || formatUuid(header.parentUniqueId) !== (parent.uuid ?? NO_UUID)) return undefined;
  const { names } = await readParentNames(storage, examination);
  const isNamed = names.some(({ text }) => lastPartOf(text).toLowerCase() === parent.name.toLowerCase());
  if (parent.uuid === undefined && !isNamed) return undefined;
  const parentName = decodeParentName(header) || (names[0]?.text ?? '');
  return { uuid: formatUuid(footer.uniqueId), parentName, namesThisImage: isNamed || names.length === 0 };
}

/** What follows the last separator of either kind. */
function lastPartOf(path: string): string {
  return path.slice(Math.max(path.lastIndexOf('/'), path.lastIndexOf('\\')) + 1);
}

/** When children are no reason to refuse. */
export interface BreakingChildren {
  /** True: they are to be broken. */
  readonly allow?: boolean | undefined;
  /** Paths of children that do not count. */
  readonly except?: readonly string[] | undefined;
  /** What to do about children, in the words of `remedy` of an error. Default: about writing to it. */
  readonly remedy?: string | undefined;
  /** Ends the search. */
  readonly signal?: AbortSignal | undefined;
}

const MAX_NAMED = 3;
const WRITE_ELSEWHERE = 'write to a child of it (vhd snapshot makes one), or --allow-breaking-children';

/**
 * Refuses to change an image that others beside it have as their parent: they would read other bytes, or not at all. The
 * children of a copy do not count, where the image that they name is there too. Files that are named like images and cannot
 * be looked at may be children. Nothing is said of a path that leads to no file.
 * @throws VhdError `ERR_VHD_HAS_CHILDREN` naming them
 */
export async function refuseBreakingChildren(imagePath: string, options: BreakingChildren = {}): Promise<void> {
  const { allow, except = [], remedy, signal } = options;
  if (allow === true || !(await isFile(imagePath))) return;
  const exceptions = await Promise.all(except.map((path) => realpath(path).catch(() => path)));
  const isException = async ({ path }: { readonly path: string }): Promise<boolean> =>
    exceptions.includes(await realpath(path).catch(() => path));
  const around = await lookForChildren(imagePath, { signal });
  const children: FoundChild[] = [];
  for (const child of around.children) {
    if (await isException(child)) continue;
    if (child.namesThisImage || !(await isChildOfCopy(imagePath, child))) children.push(child);
  }
  if (children.length > 0) throw childrenError(imagePath, children, remedy);
  for (const file of around.hidden) if (!(await isException(file))) throw hiddenError(imagePath, file);
}

function childrenError(imagePath: string, children: readonly FoundChild[], remedy = WRITE_ELSEWHERE): VhdError {
  const names = children.slice(0, MAX_NAMED).map((child) => quote(child.path));
  const others = children.length > MAX_NAMED ? ` and ${children.length - MAX_NAMED} more` : '';
  const told = names.join(', ') + others;
  const who =
    children.length === 1 ? 'another image has it as its parent' : `${children.length} images have it as parent`;
  return new VhdError('ERR_VHD_HAS_CHILDREN', `${who} and would be broken: ${told}`, {
    storage: imagePath,
    expected: 'no children',
    found: told,
    remedy,
  });
}

function hiddenError(imagePath: string, { path, problem }: ScannedImage): VhdError {
  const message = `${quote(path)} may have it as its parent, and cannot be looked at: ${problem ?? ''}`;
  return new VhdError('ERR_VHD_HAS_CHILDREN', message, {
    storage: imagePath,
    expected: 'no children',
    found: path,
    remedy: `let it be read, or if it is no child of this image: --allow-breaking-children`,
  });
}

/** True if the image that a child names is beside it, is another one, and has the same identifier. */
async function isChildOfCopy(imagePath: string, { parentName }: FoundChild): Promise<boolean> {
  const named = join(dirname(await realpath(imagePath)), lastPartOf(parentName));
  const other = await stat(named, { bigint: true }).catch(() => undefined);
  if (other === undefined || identityOf(other) === identityOf(await stat(imagePath, { bigint: true }))) return false;
  const uuids = await Promise.all([identifierOf(imagePath), identifierOf(named).catch(() => undefined)]);
  return uuids[0] !== undefined && uuids[0] === uuids[1];
}

async function isFile(path: string): Promise<boolean> {
  return stat(path).then(
    (stats) => stats.isFile(),
    () => false,
  );
}

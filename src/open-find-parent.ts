import { readParentNames } from './disk/parent-names.ts';
import { type Examination, examine } from './disk/recognise.ts';
import { VhdError } from './errors.ts';
import { quote } from './format/bytes.ts';
import { type DynamicHeader, decodeParentName } from './format/dynamic-header.ts';
import type { Finding } from './format/rules.ts';
import { shellPath } from './format/shell.ts';
import { formatUuid } from './format/uuid.ts';
import { shortest } from './open-error-paths.ts';
import { HERE, type ParentPath, parentPaths } from './open-parent-paths.ts';
import type { LocatedFile, NotLocated, ParentPlaces } from './open-parent-places.ts';
import { FileStorage } from './storage/file.ts';
import type { Storage } from './storage/storage.ts';

/** A differencing image whose parent is looked for. */
export interface Orphan {
  /** Where it is open. */
  readonly storage: Storage;
  /** What it is. */
  readonly examination: Examination & { readonly header: DynamicHeader };
  /** Its directories, behind all links; none for a storage that is no file. */
  readonly directories: readonly string[];
}

/** What the search goes by. */
export interface Search {
  /** Where parents may lie. */
  readonly places: ParentPlaces;
  /** The caller's further directories, behind all links. */
  readonly parentDirs: readonly string[];
  /** Identities of the files that are in the chain already, and the identifiers of those images. */
  readonly chain: ReadonlyMap<string, Uint8Array | undefined>;
  /** True if a raw parent is taken. */
  readonly allowRawParent: boolean;
  /** How the path of a file is told, and opened. */
  readonly shown: (file: string) => string;
}

/** The parent, open and not locked. */
export interface FoundParent extends LocatedFile {
  /** Where it is open; to be closed by who asked. */
  readonly storage: FileStorage;
  /** What it is. */
  readonly examination: Examination;
  /** True if it is the bytes of a disk and nothing else. */
  readonly isRaw: boolean;
  /** What is odd about the names that led to it. */
  readonly findings: readonly Finding[];
}

/** A path that was tried, and why the parent is not there. */
interface Attempt extends ParentPath {
  /** One half of a sentence. */
  readonly problem: string;
  /** What this says of why there is no parent; undefined if only that it is not there. */
  readonly verdict?: Verdict | undefined;
}

type Verdict =
  | { readonly kind: 'loop' | 'uuid' | 'raw' }
  | { readonly kind: 'outside'; readonly directory: string }
  | { readonly kind: 'error'; readonly error: unknown };

/**
 * Looks for the parent of a differencing image: every path its names can mean, until a file there has the identifier that
 * the image knows its parent by. No file is opened that is no regular one, that lies where nothing may be looked at, or that
 * is in the chain already.
 * @throws VhdError `ERR_VHD_PARENT_MISSING`, `ERR_VHD_PARENT_UUID`, `ERR_VHD_PARENT_OUTSIDE`, `ERR_VHD_PARENT_LOOP`; each
 *   with every path that was tried. Errors of the system pass unwrapped where a parent may be that cannot be looked at
 */
export async function findParent(orphan: Orphan, search: Search): Promise<FoundParent> {
  const { storage, examination, directories } = orphan;
  const { names, findings } = await readParentNames(storage, examination);
  const attempts: Attempt[] = [];
  for (const candidate of parentPaths(names, { childDirs: directories, parentDirs: search.parentDirs }, HERE)) {
    const found = await tryPath(candidate, orphan, search);
    if ('storage' in found) return { ...found, findings };
    attempts.push({ ...candidate, ...found });
  }
  const error = notFound(orphan, attempts);
  const isGone =
    error instanceof VhdError && (error.code === 'ERR_VHD_PARENT_MISSING' || error.code === 'ERR_VHD_PARENT_UUID');
  throw isGone ? await withWayThere(error, orphan, search) : error;
}

/** The parent may be under another name where its child is, or where the caller has parents: then the error says which. */
async function withWayThere(error: VhdError, orphan: Orphan, search: Search): Promise<VhdError> {
  const { storage, examination, directories } = orphan;
  const { parentUniqueId } = examination.header;
  if (isNull(parentUniqueId) || directories.length === 0) return error;
  // Loaded when it is needed: most chains are whole.
  const { findByIdentifier } = await import('./open-find-renamed.ts');
  const places = [...new Set([...directories, ...search.parentDirs])];
  const found = await findByIdentifier(places, parentUniqueId, new Set(search.chain.keys()));
  if (found === undefined) return error;
  const { code, message, expected, found: tried } = error;
  const remedy = `vhd relink ${shellPath(storage.name)} --parent ${shellPath(search.shown(found))}   (has that identifier)`;
  return new VhdError(code, message, { storage: storage.name, expected, found: tried, remedy });
}

type Refused = Pick<Attempt, 'problem' | 'verdict'>;

async function tryPath(
  { path, problem }: ParentPath,
  { examination }: Orphan,
  search: Search,
): Promise<Omit<FoundParent, 'findings'> | Refused> {
  if (problem !== undefined) return { problem };
  const { parentUniqueId } = examination.header;
  const located = await search.places.locate(path);
  if (!('file' in located)) return notLocated(located);
  if (search.chain.has(located.identity)) return inChain(search.chain.get(located.identity), parentUniqueId);
  let storage: FileStorage;
  try {
    storage = await FileStorage.open(search.shown(located.file));
  } catch (error) {
    return { problem: `it cannot be opened (${codeOf(error)})`, verdict: { kind: 'error', error } };
  }
  try {
    const found = await examine(storage);
    const isRaw = found.footer === undefined && isNull(parentUniqueId) && isNoVhd(found);
    const refused = isRaw ? refuseRaw(search) : refuseOther(found, parentUniqueId);
    if (refused === undefined) return { ...located, storage, examination: found, isRaw };
    await storage.close();
    return refused;
  } catch (error) {
    await storage.close();
    return { problem: `it cannot be read (${codeOf(error)})`, verdict: { kind: 'error', error } };
  }
}

function notLocated({ problem, outside, error }: NotLocated): Refused {
  if (outside !== undefined) return { problem, verdict: { kind: 'outside', directory: HERE.dirname(outside) } };
  return error === undefined ? { problem } : { problem, verdict: { kind: 'error', error } };
}

function inChain(uniqueId: Uint8Array | undefined, wanted: Uint8Array): Refused {
  const isWanted = uniqueId !== undefined && isSame(uniqueId, wanted);
  const problem = 'it is in this chain already';
  return { problem, verdict: { kind: isWanted ? 'loop' : 'uuid' } };
}

function isNoVhd({ refusal }: Examination): boolean {
  return refusal?.code === 'ERR_VHD_NOT_VHD';
}

function refuseRaw({ allowRawParent }: Search): Refused | undefined {
  return allowRawParent ? undefined : { problem: 'a raw disk', verdict: { kind: 'raw' } };
}

/** Refuses what is not the parent. What is damaged besides is told by who opens it. */
function refuseOther(found: Examination, wanted: Uint8Array): Refused | undefined {
  const { footer, refusal } = found;
  if (footer === undefined) {
    const problem = refusal?.message ?? 'no VHD';
    return isNoVhd(found) ? { problem } : { problem, verdict: { kind: 'error', error: refusal } };
  }
  if (isSame(footer.uniqueId, wanted)) return undefined;
  return { problem: `another image, with identifier ${formatUuid(footer.uniqueId)}`, verdict: { kind: 'uuid' } };
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : String(error);
}

function isSame(first: Uint8Array, second: Uint8Array): boolean {
  return first.length === second.length && first.every((byte, index) => byte === second[index]);
}

function isNull(uniqueId: Uint8Array): boolean {
  return uniqueId.every((byte) => byte === 0);
}

/** The error for a parent that is nowhere: a loop is certain, else the name that was tried first decides what is told. */
function notFound({ storage, examination }: Orphan, attempts: readonly Attempt[]): unknown {
  const verdicts = attempts.map(({ verdict }) => verdict).filter((verdict) => verdict !== undefined);
  const verdict = verdicts.find(({ kind }) => kind === 'loop') ?? verdicts[0];
  if (verdict?.kind === 'error') return verdict.error;
  const { header } = examination;
  const expected = isNull(header.parentUniqueId)
    ? 'a raw disk, which has no identifier'
    : `an image with identifier ${formatUuid(header.parentUniqueId)}`;
  const found = told(attempts);
  const { code, what, remedy } = explain(verdict, attempts, header);
  const message = `${what}: expected ${expected}, found ${found}`;
  return new VhdError(code, message, { storage: storage.name, expected, found, remedy });
}

interface Explained {
  readonly code: 'ERR_VHD_PARENT_MISSING' | 'ERR_VHD_PARENT_UUID' | 'ERR_VHD_PARENT_OUTSIDE' | 'ERR_VHD_PARENT_LOOP';
  readonly what: string;
  readonly remedy: string;
}

function explain(
  verdict: Exclude<Verdict, { readonly kind: 'error' }> | undefined,
  attempts: readonly Attempt[],
  header: DynamicHeader,
): Explained {
  const elsewhere = 'add --parent-dir DIR with the directory it is in';
  switch (verdict?.kind) {
    case 'loop': {
      const what = 'the only image that has the identifier of its parent is in this chain already';
      return { code: 'ERR_VHD_PARENT_LOOP', what, remedy: elsewhere };
    }
    case 'uuid': {
      const what = 'what bears the name of its parent is another image';
      return { code: 'ERR_VHD_PARENT_UUID', what, remedy: `${elsewhere}, or get back the image it was made of` };
    }
    case 'raw': {
      const what = 'its parent is a raw disk, and nothing tells whether it is the right one';
      return { code: 'ERR_VHD_PARENT_UUID', what, remedy: 'if it is, add --allow-raw-parent' };
    }
    case 'outside': {
      const what = 'its parent may lie outside its directory, where names in an image are not followed';
      const remedy = `add --parent-dir ${shellPath(shortest(verdict.directory))}   (or --follow-parents, if you trust the image)`;
      return { code: 'ERR_VHD_PARENT_OUTSIDE', what, remedy };
    }
    default: {
      const name = decodeParentName(header);
      const called = name === '' ? 'its parent' : `its parent ${quote(shortened(name))}`;
      const what = `${called} is ${attempts.length === 0 ? 'not named in a way that leads anywhere' : 'not found'}`;
      return { code: 'ERR_VHD_PARENT_MISSING', what, remedy: elsewhere };
    }
  }
}

function told(attempts: readonly Attempt[]): string {
  if (attempts.length === 0) return 'no name';
  const label = (source: Attempt['source']): string => (source === 'name' ? 'name field' : source);
  return attempts
    .map(({ source, path, problem }) => `${quote(shortened(path))} (${label(source)}): ${problem}`)
    .join('; ');
}

/** Names out of an image can have 32767 characters. */
function shortened(text: string): string {
  return text.length <= 500 ? text : `${text.slice(0, 240)} … ${text.slice(-240)}`;
}

import { viewOf } from './bytes.ts';
import type { ParentLocator } from './parent-locator.ts';

/** What a differencing image says about its parent: how to know it, and where to look for it. */
export interface ParentReference {
  /** The 16 identifier bytes of the parent's footer, in file order: what parents are matched by. */
  readonly uniqueId: Uint8Array;
  /** Time stamp of the parent's footer, seconds since 2000-01-01 UTC. */
  readonly timestamp: number;
  /** What goes into the name field: Windows 10 writes the parent's full path. See {@link encodeParentName}. */
  readonly name: string;
  /** The names of the parent for the locators, at most eight, in the order of their entries. */
  readonly locators: readonly ParentLocatorName[];
}

/** One form of the parent's name. */
export interface ParentLocatorName extends Pick<ParentLocator, 'platformCode'> {
  /** The name as it stands in the file, without a terminator; see {@link encodeLocatorName}. */
  readonly bytes: Uint8Array;
}

/** Bytes of the name field of the dynamic header. */
const NAME_FIELD_BYTES = 512;
/** UTF-16 units the field takes; the last one stays a NUL, which some readers want. */
const NAME_FIELD_UNITS = NAME_FIELD_BYTES / 2 - 1;

/**
 * The name field of the dynamic header: 512 bytes of UTF-16BE, zero-padded. A path that does not fit is cut to its last
 * part, which is what readers look for beside the child; the locators have the whole path. A last part that does not fit
 * either (no file system here allows one) is cut at a whole character.
 */
export function encodeParentName(name: string): Uint8Array {
  const bytes = new Uint8Array(NAME_FIELD_BYTES);
  const view = viewOf(bytes);
  const fitting = fittingName(name);
  for (let index = 0; index < fitting.length; index++) view.setUint16(index * 2, fitting.charCodeAt(index));
  return bytes;
}

function fittingName(name: string): string {
  if (name.length <= NAME_FIELD_UNITS) return name;
  const lastPart = name.slice(Math.max(name.lastIndexOf('/'), name.lastIndexOf('\\')) + 1);
  if (lastPart.length <= NAME_FIELD_UNITS) return lastPart;
  const cut = lastPart.slice(0, NAME_FIELD_UNITS);
  return /[\ud800-\udbff]$/.test(cut) ? cut.slice(0, -1) : cut;
}

/**
 * The bytes of a locator's name, without a terminator.
 * @param platformCode `W2ru` and `W2ku` are UTF-16LE, unpaired surrogates kept as they are (specification, "Parent Locator
 *   Entry"); `MacX` is the file URL of a path, percent-encoded UTF-8 without a terminator. The others are no longer written.
 * @param name the path: as it is to stand there for the Windows forms, with slashes for `MacX`
 * @throws RangeError for another platform code, or if a `MacX` name has unpaired surrogates, which a URL cannot hold
 */
export function encodeLocatorName(platformCode: string, name: string): Uint8Array {
  if (platformCode === 'MacX') return new TextEncoder().encode(macUrl(name));
  if (platformCode !== 'W2ru' && platformCode !== 'W2ku') {
    throw new RangeError(`encodeLocatorName: expected W2ru, W2ku or MacX, found '${platformCode}'`);
  }
  const bytes = new Uint8Array(name.length * 2);
  const view = viewOf(bytes);
  for (let index = 0; index < name.length; index++) view.setUint16(index * 2, name.charCodeAt(index), true);
  return bytes;
}

/**
 * The file URL of a path with slashes: `file://localhost/dir/p.vhd` for an absolute one, as in the specification,
 * `file://server/share/p.vhd` for `//server/share/p.vhd`, and `file://./dir/p.vhd` for a relative one: no URL by the book,
 * but what blktap writes and reads.
 * @throws RangeError if the path has unpaired surrogates
 */
function macUrl(path: string): string {
  if (/[\ud800-\udfff]/u.test(path)) {
    throw new RangeError('encodeLocatorName: a name with unpaired surrogates has no file URL');
  }
  // A colon is legal in a path of a URL, and a drive is known by it.
  const encoded = path.split('/').map((part) => encodeURIComponent(part).replaceAll('%3A', ':'));
  const isAbsolute = path.startsWith('/');
  if (path.startsWith('//')) return `file:${encoded.join('/')}`;
  return `file://${isAbsolute ? 'localhost' : ''}${encoded.join('/')}`;
}

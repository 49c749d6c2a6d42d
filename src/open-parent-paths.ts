import { type PlatformPath, posix, win32 } from 'node:path';
import type { ParentName, ParentNameSource } from './disk/parent-names.ts';
import { pathsOfFileUrl } from './format/locator-name.ts';

/** Where a parent may be, and who says so. */
export interface ParentPath {
  /** Which name led here; `directory` for a directory that the caller gave. */
  readonly source: ParentNameSource | 'directory';
  /** The path, absolute and without `.` and `..`; as it stands in the image where it leads nowhere on this system. */
  readonly path: string;
  /** Why it leads nowhere on this system; undefined if it may. */
  readonly problem?: string | undefined;
}

/** Where names are looked up. */
export interface SearchedDirs {
  /** Directories of the child, absolute: what relative names begin from. More than one if a link leads to the child. */
  readonly childDirs: readonly string[];
  /** Further directories to look for the file names in, absolute. */
  readonly parentDirs: readonly string[];
}

/** How paths are written on this system. */
export const HERE: PlatformPath = process.platform === 'win32' ? win32 : posix;

/**
 * Every path that the parent of an image may have, in the order to be tried: what the names say, from the child's
 * directory on; then the bare file names in the child's directory and in the further ones. Nothing is looked up.
 * @param path how paths are written: names of the other kind of system are understood as far as they can be
 */
export function parentPaths(names: readonly ParentName[], places: SearchedDirs, path: PlatformPath): ParentPath[] {
  const found: ParentPath[] = names.flatMap((name) => pathsOf(name, places.childDirs, path));
  // The name field is what other readers go by here, so its file name comes first.
  const byField = [...names].sort((a, b) => Number(b.source === 'name') - Number(a.source === 'name'));
  const bare = byField.flatMap((name) => fileNamesOf(name, path).map((text) => ({ source: name.source, text })));
  const within = (dirs: readonly string[], source?: 'directory'): ParentPath[] =>
    dirs.flatMap((dir) => bare.map((name) => ({ source: source ?? name.source, path: path.join(dir, name.text) })));
  const all = [...found, ...within(places.childDirs), ...within(places.parentDirs, 'directory')];
  return all.filter((item, index) => all.findIndex((other) => other.path === item.path) === index);
}

function pathsOf({ source, text }: ParentName, childDirs: readonly string[], path: PlatformPath): ParentPath[] {
  const { texts, problem } = textsOf(source, text);
  if (problem !== undefined) return [{ source, path: text, problem }];
  return texts.flatMap((given) => {
    const foreign = foreignProblem(given, path);
    if (foreign !== undefined) return [{ source, path: given, problem: foreign }];
    return spellings(given, path).flatMap((name) =>
      childDirs.map((dir) => ({ source, path: path.resolve(dir, name) })),
    );
  });
}

/** A name as paths: it is one, or a URL of one. */
function textsOf(
  source: ParentNameSource,
  text: string,
): { readonly texts: readonly string[]; readonly problem?: string | undefined } {
  if (source !== 'MacX' || !/^file:/i.test(text)) return { texts: [text] };
  const { paths, problem } = pathsOfFileUrl(text);
  return { texts: paths, problem };
}

/** Why a path means nothing on this kind of system; undefined if it does. */
function foreignProblem(text: string, path: PlatformPath): string | undefined {
  if (/\p{Cs}/u.test(text)) return 'no file can have this name';
  if (path.sep === '\\') return foreignToWindows(text);
  // A name with a colon is a file name like any other here, but `C:\` begins no path that anybody wrote here.
  return /^[a-z]:[\\/]/i.test(text) || text.startsWith('\\\\') ? 'a path of Windows' : undefined;
}

function foreignToWindows(text: string): string | undefined {
  if (/^[\\/]{2}\.[\\/]/.test(text)) return 'a device';
  if (/^\/(?!\/)/.test(text)) return 'a path of another system';
  const rest = text.replace(/^[\\/]{2}\?[\\/]/, '').replace(/^[a-z]:(?=[\\/])/i, '');
  // What is left of a drive without a root, or a stream of a file.
  return rest.includes(':') ? 'no path of a file' : undefined;
}

/** How a name may be meant: both slashes divide it, except that a path of this system may have a backslash in a name. */
function spellings(text: string, path: PlatformPath): string[] {
  if (path.sep === '\\') return [text.replace(/^[\\/]{2}\?[\\/](?=[a-z]:)/i, '')];
  const divided = text.replaceAll('\\', '/');
  return text.startsWith('/') && divided !== text ? [text, divided] : [divided];
}

/** The last part of a name: what the file is called, wherever it is. */
function fileNamesOf({ source, text }: ParentName, path: PlatformPath): string[] {
  const lastParts = textsOf(source, text).texts.map((given) => given.split(/[\\/]/).findLast((part) => part !== ''));
  return lastParts.filter((part): part is string => part !== undefined && isFileName(part, path));
}

function isFileName(part: string, path: PlatformPath): boolean {
  if (part === '.' || part === '..' || /\p{Cs}/u.test(part)) return false;
  return path.sep === '/' || !part.includes(':');
}

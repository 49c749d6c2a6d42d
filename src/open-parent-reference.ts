import { realpath } from 'node:fs/promises';
import { type PlatformPath, posix, win32 } from 'node:path';
import type { Footer } from './format/footer.ts';
import { encodeLocatorName, type ParentLocatorName, type ParentReference } from './format/parent-reference.ts';

/**
 * What a child is to say about its parent: the parent's path from the child's directory and from the root, each in the
 * forms of Windows and of the Macintosh (which blktap reads too), and the full path in the name field.
 * Directories are followed to where they really are, since `..` leads up from there; neither image need exist.
 * @param childPath the child
 * @param parentPath the parent
 * @param parentFooter identifier and time stamp of the parent
 */
export async function parentReferenceFor(
  childPath: string,
  parentPath: string,
  parentFooter: Pick<Footer, 'uniqueId' | 'timestamp'>,
): Promise<ParentReference> {
  const path = process.platform === 'win32' ? win32 : posix;
  const [child, parent] = await Promise.all([realPathOf(childPath, path), realPathOf(parentPath, path)]);
  return parentReferenceBetween(child, parent, parentFooter, path);
}

/** The absolute path of a file whose directory is followed through links; the file itself is named as it was given. */
async function realPathOf(file: string, path: PlatformPath): Promise<string> {
  const whole = path.resolve(file);
  try {
    return path.join(await realpath(path.dirname(whole)), path.basename(whole));
  } catch {
    // Whatever is wrong with the directory is told by who opens the file.
    return whole;
  }
}

/** As {@link parentReferenceFor}, from two absolute paths of a host, nothing looked up. */
export function parentReferenceBetween(
  child: string,
  parent: string,
  parentFooter: Pick<Footer, 'uniqueId' | 'timestamp'>,
  path: PlatformPath,
): ParentReference {
  const isWindows = path.sep === '\\';
  const toSlashes = (text: string): string => (isWindows ? text.replaceAll('\\', '/') : text);
  const found = path.relative(path.dirname(child), parent);
  // From one drive to another there is no way but the absolute one.
  const relative = path.isAbsolute(found) ? undefined : fromHere(toSlashes(found));
  const absolute = toSlashes(parent);
  const locators = [
    { platformCode: 'W2ku', bytes: encodeLocatorName('W2ku', parent) },
    ...windowsRelative(relative),
    ...macName(relative),
    ...macName(/^[A-Za-z]:/.test(absolute) && isWindows ? `/${absolute}` : absolute),
  ];
  const { uniqueId, timestamp } = parentFooter;
  return { uniqueId: uniqueId.slice(), timestamp, name: parent, locators };
}

/** Relative names begin with a dot: the specification wants it, Windows and blktap write it. */
function fromHere(relative: string): string {
  return relative.startsWith('../') ? relative : `./${relative}`;
}

function windowsRelative(relative: string | undefined): ParentLocatorName[] {
  // A backslash in a file name would be read as one between directories: another file, if any.
  if (relative?.includes('\\') !== false) return [];
  return [{ platformCode: 'W2ru', bytes: encodeLocatorName('W2ru', relative.replaceAll('/', '\\')) }];
}

function macName(name: string | undefined): ParentLocatorName[] {
  if (name === undefined || /[\ud800-\udfff]/u.test(name)) return [];
  return [{ platformCode: 'MacX', bytes: encodeLocatorName('MacX', name) }];
}

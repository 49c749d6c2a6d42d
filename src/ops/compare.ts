import { checkOneOf, checkOptionNames, VhdError } from '../errors.ts';
import { OPEN_DISK_OPTIONS, type OpenDiskOptions, type OpenedDisk, openDisk } from '../open.ts';
import type { ImageSource } from '../open-source.ts';
import { FileStorage } from '../storage/file.ts';
import { COMPARE_DISKS_OPTIONS, checkCompareOptions, compareSides } from './compare-disks.ts';
import type { CompareDisksOptions, ComparedImage, Comparison } from './compare-report.ts';
import type { ComparedSide } from './compare-stretches.ts';
import { readWatched } from './source-change.ts';

/** How two images are opened and compared. What is said of opening is said of both. */
export interface CompareOptions
  extends CompareDisksOptions,
    Omit<OpenDiskOptions, 'writable' | 'durability' | 'parent'> {
  /** What the first image is, where it is not the same as the second; see `from`. */
  readonly fromA?: 'raw' | 'vhd' | undefined;
  /** What the second image is. */
  readonly fromB?: 'raw' | 'vhd' | undefined;
}

const NOT_TAKEN: readonly string[] = ['writable', 'durability', 'parent'];
const COMPARE_OPTIONS: readonly string[] = [
  ...[...COMPARE_DISKS_OPTIONS, 'fromA', 'fromB'],
  ...OPEN_DISK_OPTIONS.filter((name) => !NOT_TAKEN.includes(name)),
];

/**
 * Compares what is on the virtual disks of two images, whatever their types: raw, fixed, dynamic or a chain. What both have no
 * data in is not read, nor what both have in the same place of the same file, such as a common parent.
 * @param a path, `file:` URL, `FileHandle` or storage; a storage is closed in the end
 * @throws VhdError as `openDisk` about either of them; `ERR_VHD_SOURCE_CHANGED` if one was changed meanwhile; what reading
 *   a damaged image gives: of bytes that cannot be told nobody can say that they are equal
 */
export async function compare(a: ImageSource, b: ImageSource, options: CompareOptions = {}): Promise<Comparison> {
  checkOptionNames('compare', options, COMPARE_OPTIONS);
  const { how, ofA, ofB } = splitOptions(options);
  checkCompareOptions(how);
  checkOneOf('fromA', options.fromA, ['raw', 'vhd']);
  checkOneOf('fromB', options.fromB, ['raw', 'vhd']);
  const pair = await openPair({ source: a, options: ofA }, { source: b, options: ofB });
  try {
    return await compareOpened(pair, how);
  } finally {
    await closePair(pair);
  }
}

interface SplitOptions {
  readonly how: CompareDisksOptions;
  readonly ofA: OpenDiskOptions;
  readonly ofB: OpenDiskOptions;
}

function splitOptions({ fromA, fromB, ...options }: CompareOptions): SplitOptions {
  const { ignoreTail, first, maxRanges, onRange, onProgress, signal, ...opening } = options;
  const how = { ignoreTail, first, maxRanges, onRange, onProgress, signal };
  const from = opening.from;
  return { how, ofA: { ...opening, from: fromA ?? from }, ofB: { ...opening, from: fromB ?? from } };
}

/** An image to be opened. */
export interface ImageToCompare {
  /** Where it is. */
  readonly source: ImageSource;
  /** How it is opened. */
  readonly options: OpenDiskOptions;
}

/** Two images, open for reading. */
export interface ComparedPair {
  /** The first. */
  readonly a: OpenedImage;
  /** The second. */
  readonly b: OpenedImage;
}

interface OpenedImage extends OpenedDisk {
  /** Its path; the name of the storage where it has none. */
  readonly path: string;
}

/** Opens both of them, or none. */
export async function openPair(a: ImageToCompare, b: ImageToCompare): Promise<ComparedPair> {
  const first = await openImage(a, 'a');
  try {
    return { a: first, b: await openImage(b, 'b') };
  } catch (error) {
    // What could not be opened is what there is to tell.
    await first.disk.close().catch(() => undefined);
    throw error;
  }
}

async function openImage({ source, options }: ImageToCompare, side: 'a' | 'b'): Promise<OpenedImage> {
  const opened = await openDisk(source, options).catch((error: unknown) => {
    throw error instanceof VhdError ? aboutSide(error, side) : error;
  });
  return { ...opened, path: opened.storages[0]?.name ?? '' };
}

/** What is to be said about one of the two must not be said about the other as well. */
function aboutSide(error: VhdError, side: 'a' | 'b'): VhdError {
  const { code, message, storage, offset, rule, expected, found, cause } = error;
  const ofCode = code === 'ERR_VHD_NOT_VHD' ? 'if it is a raw disk, say --from raw' : undefined;
  const remedy = (error.remedy ?? ofCode)?.replaceAll(/(?<![\w-])--from (?=raw|vhd)/g, `--from-${side} `);
  if (remedy === error.remedy) return error;
  return new VhdError(code, message, { storage, offset, rule, expected, found, cause, remedy });
}

/** Closes both, also if that fails for one. */
export async function closePair({ a, b }: ComparedPair): Promise<void> {
  try {
    await a.disk.close();
  } finally {
    await b.disk.close();
  }
}

/** Compares two open images, and makes sure that they are still what they were. */
export async function compareOpened(pair: ComparedPair, options: CompareDisksOptions): Promise<Comparison> {
  const [a, b] = [await sideOf(pair.a), await sideOf(pair.b)];
  return readWatched(pair.a, () =>
    readWatched(pair.b, async () => {
      const comparison = await compareSides(a, b, options);
      await pair.a.checkUnchanged();
      await pair.b.checkUnchanged();
      const { equal, ...rest } = comparison;
      return { equal, a: imageOf(pair.a), b: imageOf(pair.b), ...rest };
    }),
  );
}

function imageOf({ path, type, disk }: OpenedImage): ComparedImage {
  return { path, type, virtualSize: disk.size };
}

async function sideOf({ disk, type, storages }: OpenedDisk): Promise<ComparedSide> {
  const files = storages.map(async (storage) => (storage instanceof FileStorage ? storage.identity() : undefined));
  return { disk, files: await Promise.all(files), isFlat: type === 'raw' || type === 'fixed' };
}

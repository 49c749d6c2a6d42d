import { checkOneOf, checkOptionNames, VhdError } from '../errors.ts';
import { formatUuid } from '../format/uuid.ts';
import { readOnlyError, type Storage } from '../storage/storage.ts';
import { BitmapCache } from './bitmap-cache.ts';
import { BITMAP_POLICIES, type BitmapPolicy } from './bitmap-rule.ts';
import { DifferencingDisk, type ParentChain } from './differencing.ts';
import type { Disk } from './disk.ts';
import { FlatDisk } from './flat.ts';
import { type FoundBlocks, openBlocks } from './open-blocks.ts';
import { type Examination, type ExamineOptions, examine, type SoundExamination } from './recognise.ts';
import { SparseDisk } from './sparse.ts';
import { whyUnchangeable } from './unchangeable.ts';
import { VhdDisk } from './vhd-disk.ts';
import {
  type BackingDisk,
  checkWriteOptions,
  GATHER_LIMITS,
  type GatherLimits,
  WRITE_OPTIONS,
  WriteBackDisk,
  type WriteOptions,
} from './write-back.ts';

/** How an image in a storage is opened. */
export interface OpenStorageOptions extends ExamineOptions, WriteOptions {
  /** Open for reading and writing; default false. */
  readonly writable?: boolean | undefined;
  /**
   * What a clear bitmap bit over bytes that are not zero means; default `strict`, an error, or `honour` for images by
   * blktap, which leaves old contents of the volume there.
   */
  readonly bitmap?: BitmapPolicy | undefined;
  /**
   * What a differencing image is a child of, open for reading (or for writing, by somebody who knows what the child owns).
   * Held against the identifier that the child names if it is a VHD. The child closes it with itself; so does a failure
   * to open.
   */
  readonly parent?: Disk | undefined;
}

/** The option names of {@link OpenStorageOptions}. */
export const OPEN_STORAGE_OPTIONS: readonly string[] = [
  'writable',
  'footer',
  'sizeFrom',
  'bitmap',
  'parent',
  ...WRITE_OPTIONS,
];

/**
 * Checks options before anything is opened.
 * @throws TypeError on an unknown option or an unknown word
 */
export function checkOpenOptions(where: string, options: OpenStorageOptions, moreNames: readonly string[] = []): void {
  checkOptionNames(where, options, [...OPEN_STORAGE_OPTIONS, ...moreNames]);
  checkOneOf('footer', options.footer, ['start', 'end']);
  checkOneOf('sizeFrom', options.sizeFrom, ['footer', 'chs']);
  checkOneOf('bitmap', options.bitmap, BITMAP_POLICIES);
  checkWriteOptions(options);
  // What lies behind the CHS size would count as free space.
  if (options.writable === true && options.sizeFrom === 'chs') {
    throw new TypeError(`${where}: sizeFrom 'chs' is for reading only`);
  }
}

/**
 * Opens the VHD in a storage; the disk closes the storage with itself, and so does a failure to open.
 * @throws VhdError with the code that says what is wrong with the image
 * @throws TypeError on an unknown option
 */
export async function openVhdStorage(storage: Storage, options: OpenStorageOptions = {}): Promise<VhdDisk> {
  return openGathering(storage, options, GATHER_LIMITS);
}

/** The same with other limits of what is gathered. */
export async function openGathering(
  storage: Storage,
  options: OpenStorageOptions,
  limits: GatherLimits,
): Promise<VhdDisk> {
  try {
    checkOpenOptions('openVhdStorage', options);
    const examination = await examine(storage, options);
    checkOpenable(examination);
    checkParent(examination, options.parent);
    const readOnly = options.writable !== true;
    if (!readOnly) checkWritable(examination, storage);
    if (examination.type !== 'fixed') return await openWithBlocks(storage, examination, options, limits);
    const disk = new FlatDisk(storage, examination.virtualSize, readOnly);
    return readAlong(new VhdDisk(examination, gathering(disk, options, limits)), disk);
  } catch (error) {
    await storage.close();
    await options.parent?.close();
    throw error;
  }
}

/**
 * Opens a dynamic or differencing image for reading whose table is loaded already, so that it is in memory only once. The disk
 * closes the storage and the parent with itself.
 * @throws VhdError `ERR_VHD_PARENT_MISSING`, `ERR_VHD_PARENT_UUID`
 */
export async function openFound(
  storage: Storage,
  examination: SoundExamination,
  found: FoundBlocks,
  options: Pick<OpenStorageOptions, 'bitmap' | 'parent'>,
): Promise<VhdDisk> {
  try {
    checkParent(examination, options.parent);
    return await openWithBlocks(storage, examination, { ...options, writable: false, found }, GATHER_LIMITS);
  } catch (error) {
    await storage.close();
    await options.parent?.close();
    throw error;
  }
}

/** The disks behind images opened for reading, which children read along with themselves. */
const disksBehind = new WeakMap<Disk, FlatDisk | SparseDisk | DifferencingDisk>();

async function openWithBlocks(
  storage: Storage,
  examination: SoundExamination,
  options: OpenStorageOptions & { readonly found?: FoundBlocks },
  limits: GatherLimits,
): Promise<VhdDisk> {
  const { footer, virtualSize } = examination;
  const { found } = options;
  const writable = options.writable === true;
  const parent = options.parent === undefined ? undefined : chainOf(options.parent);
  const bits = parent === undefined ? 'all-ones' : 'exact';
  const bitmapCache = parent?.bitmapCache ?? new BitmapCache();
  const { store, findings } = await openBlocks(storage, examination, { writable, bits, bitmapCache, found });
  // A whole block gains nothing by waiting: it leaves with its bitmap in one write.
  const gatherBelow = Math.min(limits.gatherBelow, store.layout.blockSize);
  const opened = (disk: SparseDisk | DifferencingDisk): VhdDisk => {
    const written = gathering(disk, options, { ...limits, gatherBelow });
    return readAlong(new VhdDisk({ ...examination, findings }, written, disk, options.parent), disk);
  };
  if (parent !== undefined) return opened(new DifferencingDisk(store, virtualSize, parent, !writable));
  const policy = options.bitmap ?? (footer.creatorApplication.startsWith('tap') ? 'honour' : 'strict');
  return opened(new SparseDisk(store, virtualSize, { readOnly: !writable, policy }));
}

function readAlong(vhd: VhdDisk, disk: FlatDisk | SparseDisk | DifferencingDisk): VhdDisk {
  if (disk.readOnly) disksBehind.set(vhd, disk);
  return vhd;
}

function chainOf(parent: Disk): ParentChain {
  const disk = disksBehind.get(parent);
  if (disk instanceof DifferencingDisk) return disk.asParent(parent);
  return { links: [], base: disk ?? parent, bitmapCache: new BitmapCache(), parent };
}

/** A differencing image has a parent, the one that it names, and no other image has one. */
function checkParent({ name, type, header }: SoundExamination, parent: Disk | undefined): void {
  if (type !== 'differencing') {
    if (parent === undefined) return;
    throw new TypeError(`parent: ${name} is a ${type} image, which has none`);
  }
  const uuid = header?.parentUniqueId ?? new Uint8Array(16);
  const expected = `the image with the identifier ${formatUuid(uuid)}`;
  if (parent === undefined) {
    const message = 'this is a differencing disk, and its parent, which has what it does not hold, is not given';
    throw new VhdError('ERR_VHD_PARENT_MISSING', message, { storage: name, expected, found: 'none' });
  }
  if (!(parent instanceof VhdDisk)) return;
  const found = parent.footer.uniqueId;
  if (found.every((byte, index) => byte === uuid[index])) return;
  throw new VhdError('ERR_VHD_PARENT_UUID', 'what is given as its parent is another image', {
    storage: name,
    expected,
    found: `${parent.name} with ${formatUuid(found)}`,
  });
}

function checkOpenable(examination: Examination): asserts examination is SoundExamination {
  if (examination.refusal !== undefined) throw examination.refusal;
}

/** Refuses to write to an image that another program has open, or that must not change. */
function checkWritable(examination: SoundExamination, storage: Storage): void {
  if (!storage.capabilities.writable) throw readOnlyError(storage.name);
  if (examination.type !== 'fixed' && storage.capabilities.growable === false) throw cannotGrowError(storage.name);
  const unchangeable = whyUnchangeable(examination);
  if (unchangeable === undefined) return;
  throw new VhdError('ERR_VHD_IN_USE', `it must not be written to: ${unchangeable.why}`, {
    storage: storage.name,
    remedy: 'convert it into a new image and write to that',
  });
}

/** A block device: opening for writing may have to move the footer, and new blocks want room behind it. */
function cannotGrowError(name: string): VhdError {
  return new VhdError(
    'ERR_VHD_UNSUPPORTED',
    'a dynamic image on a block device can be read, but not written to: it could not grow',
    { storage: name, remedy: 'convert it into a file, write to that, and put it back' },
  );
}

function gathering(disk: BackingDisk, options: OpenStorageOptions, limits: GatherLimits): Disk {
  return disk.readOnly ? disk : new WriteBackDisk(disk, options, limits);
}

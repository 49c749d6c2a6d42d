import { checkOneOf, checkOptionNames, VhdError } from '../errors.ts';
import { childLayout } from '../format/child-front.ts';
import { encodeFooter } from '../format/footer.ts';
import { encodeFront, frontByteLength } from '../format/front.ts';
import type { Geometry } from '../format/geometry.ts';
import { blockLayout, blockStride, entryCountFor, footerOffsetFor, nextBlockOffset } from '../format/layout.ts';
import { newFooter, timestampFor } from '../format/new-footer.ts';
import { DEFAULT_BLOCK_SIZE, MAX_DYNAMIC_SIZE, SECTOR_BYTES, UNUSED_BAT_ENTRY, type VhdType } from '../format/spec.ts';
import { parseUuid, randomToUuid } from '../format/uuid.ts';
import type { Storage } from '../storage/storage.ts';
import { writeZeros } from './flat.ts';
import {
  blockSizeForChild,
  CHILD_OPTIONS,
  type ChildOptions,
  checkChildOptions,
  sizeOfParent,
  writeEmptyChild,
} from './new-child.ts';
import { openVhdStorage } from './open-storage.ts';
import type { VhdDisk } from './vhd-disk.ts';
import { checkWriteOptions, WRITE_OPTIONS, type WriteOptions } from './write-back.ts';

/** Who made an image, and when; everything that would otherwise differ from run to run can be given. */
export interface ImageIdentity {
  /** Identifier: 16 bytes in file order, or text in that order. Default: random. */
  readonly uuid?: Uint8Array | string | undefined;
  /** Time stamp. Default: now. */
  readonly timestamp?: Date | undefined;
  /** Creator application, one to four ASCII characters. Default `win `. */
  readonly creator?: string | undefined;
  /** CHS geometry. Default: that of the specification. */
  readonly geometry?: Geometry | undefined;
}

/** What a new image is to be. */
export interface CreateStorageOptions extends ImageIdentity, ChildOptions, WriteOptions {
  /** Virtual size in bytes, a multiple of 512. Needed, except with a parent: default then the size of that. */
  readonly size?: number | undefined;
  /** Default `dynamic`, and `differencing` with a parent. */
  readonly type?: VhdType | undefined;
  /**
   * Bytes of a block of a dynamic or differencing image: 524288 or 2097152. Default 2097152, with a parent whose blocks
   * have 524288 bytes those.
   */
  readonly blockSize?: number | undefined;
  /** Write the zeros of a fixed image instead of leaving a hole. Default false. */
  readonly preallocate?: boolean | undefined;
  /** Stops it. */
  readonly signal?: AbortSignal | undefined;
}

/** The option names of {@link ImageIdentity}. */
export const IDENTITY_OPTIONS: readonly string[] = ['uuid', 'timestamp', 'creator', 'geometry'];
/** The option names of {@link CreateStorageOptions}. */
export const CREATE_STORAGE_OPTIONS: readonly string[] = [
  ...IDENTITY_OPTIONS,
  'size',
  'type',
  'blockSize',
  'preallocate',
  'signal',
  ...CHILD_OPTIONS,
  ...WRITE_OPTIONS,
];

/** The footer fields that `identity` stands for. */
export function identityFields(identity: ImageIdentity): {
  uniqueId: Uint8Array;
  timestamp: number;
  creatorApplication: string | undefined;
  geometry: Geometry | undefined;
} {
  checkTimestamp(identity.timestamp);
  checkGeometry(identity.geometry);
  return {
    uniqueId: uuidBytes(identity.uuid),
    timestamp: timestampFor(identity.timestamp?.getTime() ?? Date.now()),
    creatorApplication: identity.creator === undefined ? undefined : creatorField(identity.creator),
    geometry: identity.geometry,
  };
}

function checkTimestamp(timestamp: unknown): void {
  if (timestamp === undefined) return;
  if (timestamp instanceof Date && !Number.isNaN(timestamp.getTime())) return;
  throw new TypeError('timestamp: expected a valid Date');
}

function checkGeometry(geometry: Geometry | undefined): void {
  if (geometry === undefined) return;
  const limits = [
    ['cylinders', 65535],
    ['heads', 255],
    ['sectorsPerTrack', 255],
  ] as const;
  for (const [name, limit] of limits) {
    const value: unknown = geometry[name];
    if (Number.isInteger(value) && (value as number) >= 0 && (value as number) <= limit) continue;
    throw new RangeError(`geometry.${name}: expected a whole number from 0 to ${limit}, found ${String(value)}`);
  }
}

function uuidBytes(uuid: Uint8Array | string | undefined): Uint8Array {
  if (uuid === undefined) return randomToUuid(crypto.getRandomValues(new Uint8Array(16)));
  const bytes = typeof uuid === 'string' ? parseUuid(uuid) : uuid;
  if (bytes.length !== 16) throw new RangeError(`uuid: expected 16 bytes, found ${bytes.length}`);
  return bytes;
}

function creatorField(creator: string): string {
  if (!/^[\x20-\x7e]{1,4}$/.test(creator)) {
    throw new RangeError(`creator: expected one to four ASCII characters, found '${creator}'`);
  }
  return creator.padEnd(4, ' ');
}

/**
 * Checks that an image of a type can have a size, before anything is written.
 * @param frontBytes bytes in front of the first block, where they are not those of a dynamic image
 * @throws RangeError if the size is no positive multiple of 512, or the block size is none that is offered
 * @throws VhdError `ERR_VHD_LIMIT` if the size is more than the type can hold
 */
export function checkImageSize(
  size: number,
  type: VhdType,
  blockSize: number,
  frontBytes: number = frontByteLength(size, blockSize),
): void {
  if (!Number.isSafeInteger(size) || size <= 0 || size % SECTOR_BYTES !== 0) {
    throw new RangeError(`size: expected a positive multiple of 512 bytes, found ${size}`);
  }
  if (type === 'fixed') return;
  if (blockSize !== 512 * 1024 && blockSize !== DEFAULT_BLOCK_SIZE) {
    throw new RangeError(`blockSize: expected 524288 or 2097152, found ${blockSize}`);
  }
  if (size <= MAX_DYNAMIC_SIZE && lastBlockSector(size, blockSize, frontBytes) < UNUSED_BAT_ENTRY) return;
  const limit = largestDynamicSize(blockSize, frontBytes - frontByteLength(size, blockSize));
  throw new VhdError(
    'ERR_VHD_LIMIT',
    `a ${type} disk with blocks of ${blockSize} bytes holds at most ${limit} bytes: its table has 32 bits for the sector of a block`,
    {
      expected: `at most ${limit} bytes`,
      found: `${size} bytes`,
      remedy: roomierThan(type, blockSize),
    },
  );
}

function roomierThan(type: VhdType, blockSize: number): string {
  const instead = type === 'differencing' ? 'a full copy in a fixed disk' : 'a fixed disk';
  return blockSize < DEFAULT_BLOCK_SIZE ? `use blocks of 2M, or ${instead}` : `use ${instead}`;
}

function lastBlockSector(size: number, blockSize: number, frontBytes: number): number {
  const layout = blockLayout(blockSize, 'aligned');
  const entryCount = entryCountFor(size, blockSize);
  const first = nextBlockOffset(layout, frontBytes);
  return (first + (entryCount - 1) * blockStride(layout)) / SECTOR_BYTES;
}

/** @param extraBytes bytes in front of the first block that a dynamic image does not have */
function largestDynamicSize(blockSize: number, extraBytes: number): number {
  let entryCount = Math.floor(MAX_DYNAMIC_SIZE / blockSize);
  const size = entryCount * blockSize;
  const frontBytes = frontByteLength(size, blockSize) + extraBytes;
  const excess = lastBlockSector(size, blockSize, frontBytes) - (UNUSED_BAT_ENTRY - 1);
  if (excess > 0) entryCount -= Math.ceil(excess / (blockStride(blockLayout(blockSize, 'aligned')) / SECTOR_BYTES));
  return entryCount * blockSize;
}

/** An image that is to be made, every default filled in. */
interface NewImage {
  /** The encoded footer. */
  readonly footer: Uint8Array;
  readonly type: VhdType;
  readonly size: number;
  readonly blockSize: number;
}

/**
 * Checks everything about a new image before anything is written.
 * @throws TypeError, RangeError and VhdError as {@link createVhdStorage}
 */
export function checkCreateOptions(where: string, options: CreateStorageOptions): NewImage {
  checkOptionNames(where, options, CREATE_STORAGE_OPTIONS);
  checkOneOf('type', options.type, ['fixed', 'dynamic', 'differencing']);
  checkWriteOptions(options);
  checkChildOptions(options);
  const { parent, parentReference } = options;
  const type = options.type ?? (parent === undefined ? 'dynamic' : 'differencing');
  const size = options.size ?? (parent === undefined ? Number.NaN : sizeOfParent(parent));
  const blockSize = options.blockSize ?? (parent === undefined ? DEFAULT_BLOCK_SIZE : blockSizeForChild(parent));
  const frontBytes = parentReference && childLayout(size || SECTOR_BYTES, blockSize, parentReference).byteLength;
  checkImageSize(size, type, blockSize, frontBytes);
  const footer = encodeFooter(newFooter({ type, size, ...identityFields(options) }));
  return { footer, type, size, blockSize };
}

/**
 * Makes an image in an empty storage and opens it for writing; it is durable when this resolves.
 * Dynamic images get the layout of Windows 8 and later, differencing ones that of Windows 10: data on 4 KiB.
 * @throws RangeError if a size or a field cannot be
 * @throws VhdError `ERR_VHD_LIMIT` if the size is more than the type can hold; `ERR_VHD_UNSUPPORTED` on a block device
 * @throws TypeError on an unknown option, or a parent without its reference
 */
export async function createVhdStorage(storage: Storage, options: CreateStorageOptions): Promise<VhdDisk> {
  try {
    const image = checkCreateOptions('createVhdStorage', options);
    if (storage.capabilities.growable === false) throw neverEmptyError(storage.name);
    await writeEmptyImage(storage, image, options);
    await storage.flush();
  } catch (error) {
    await storage.close();
    await options.parent?.close();
    throw error;
  }
  const { parent, durability, onWarning } = options;
  return openVhdStorage(storage, { writable: true, parent, durability, onWarning });
}

async function writeEmptyImage(storage: Storage, image: NewImage, options: CreateStorageOptions): Promise<void> {
  const { footer, type, size, blockSize } = image;
  const { parentReference: parent, preallocate, signal } = options;
  if (parent !== undefined) return writeEmptyChild(storage, { footer, size, blockSize, parent });
  if (type === 'dynamic') return writeEmptyDynamic(storage, footer, size, blockSize);
  if (preallocate === true) await writeZeros(storage, 0, size, signal);
  await storage.write(footer, size);
}

/** Old contents of a device would be the contents of the new disk. */
function neverEmptyError(name: string): VhdError {
  return new VhdError('ERR_VHD_UNSUPPORTED', 'an image cannot be made on a block device: it is never empty', {
    storage: name,
    remedy: 'make it in a file; vhd convert FILE DEVICE --to raw --force writes a disk to a device',
  });
}

async function writeEmptyDynamic(storage: Storage, footer: Uint8Array, size: number, blockSize: number): Promise<void> {
  const front = encodeFront(footer, size, blockSize);
  await storage.write(front, 0);
  await storage.write(footer, footerOffsetFor(blockLayout(blockSize, 'aligned'), front.length));
}

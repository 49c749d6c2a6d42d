import { openVhdStorage } from '../disk/open-storage.ts';
import { examine, type SoundExamination } from '../disk/recognise.ts';
import { refuseUndecidedEnd } from '../disk/refuse-undecided-end.ts';
import { whyUnchangeable } from '../disk/unchangeable.ts';
import type { VhdDisk } from '../disk/vhd-disk.ts';
import { VhdError } from '../errors.ts';
import { formatBytes } from '../format/byte-count.ts';
import { frontByteLength } from '../format/front.ts';
import { blockLayout, blockStride, entryCountFor, nextBlockOffset } from '../format/layout.ts';
import { shellPath } from '../format/shell.ts';
import { MAX_DYNAMIC_SIZE, SECTOR_BYTES, UNUSED_BAT_ENTRY } from '../format/spec.ts';
import { type OpenedParents, openParents } from '../open-chain.ts';
import { borrowed } from '../storage/borrowed.ts';
import type { OpenImage, WatchedImage } from './open-image.ts';
import type { ResizeOptions } from './resize-options.ts';

/**
 * What an image says of itself, if it can get another size.
 * @throws VhdError what is wrong with it; `ERR_VHD_IN_USE` if it has to stay as it is, `ERR_VHD_UNSUPPORTED` on a device;
 *   `ERR_VHD_FOOTERS_DISAGREE` if its end is lost and other bytes stand behind its blocks
 */
export async function soundImage(
  { storage, shown }: OpenImage,
  { output }: Pick<ResizeOptions, 'output'>,
): Promise<SoundExamination> {
  const image = await examine(storage);
  const { footer, type, virtualSize, refusal } = image;
  if (refusal !== undefined) throw refusedFor(refusal, shown);
  if (footer === undefined || type === undefined || virtualSize === undefined) {
    throw new Error('what can be opened has a footer');
  }
  const sound = { ...image, footer, type, virtualSize };
  if (output !== undefined) return sound;
  if (storage.capabilities.growable === false) {
    throw new VhdError('ERR_VHD_UNSUPPORTED', 'an image on a block device cannot be resized: expected a file', {
      ...{ storage: shown, expected: 'a file', found: 'a block device' },
      remedy: 'write a new image into a file with -o NEW',
    });
  }
  const unchangeable = whyUnchangeable(sound);
  if (unchangeable !== undefined) {
    throw new VhdError('ERR_VHD_IN_USE', `it must stay as it is: ${unchangeable.why}`, {
      storage: shown,
      remedy: 'write a new image with -o NEW, which leaves this one as it is',
    });
  }
  await refuseUndecidedEnd(storage, sound, shown);
  return sound;
}

/** A raw disk has no way to be taken for one here. */
function refusedFor(refusal: VhdError, shown: string): VhdError {
  const { code, message, storage, offset, rule, expected, found } = refusal;
  if (code !== 'ERR_VHD_NOT_VHD') return refusal;
  const remedy = `vhd id ${shellPath(shown)} says what it is; of a raw disk make a VHD first: vhd convert ${shellPath(shown)} NEW.vhd --from raw`;
  return new VhdError(code, message, { storage, offset, rule, expected, found, remedy, cause: refusal });
}

/**
 * Checks that the type of an image can hold a size, before anything is read or written.
 * @throws VhdError `ERR_VHD_LIMIT`
 */
export function checkLimit({ type, header, virtualSize }: SoundExamination, size: number, shown: string): void {
  if (size <= virtualSize) return;
  if (!Number.isSafeInteger(size)) {
    throw new VhdError('ERR_VHD_LIMIT', 'a disk has less than 2^53 bytes (8192 TiB)', {
      ...{ storage: shown, expected: `at most ${Number.MAX_SAFE_INTEGER} bytes`, found: `${size} bytes` },
      remedy: 'choose a smaller size',
    });
  }
  if (header === undefined) return;
  const { blockSize } = header;
  const layout = blockLayout(blockSize, 'aligned');
  const first = nextBlockOffset(layout, frontByteLength(size, blockSize));
  const lastSector = (first + (entryCountFor(size, blockSize) - 1) * blockStride(layout)) / SECTOR_BYTES;
  if (size <= MAX_DYNAMIC_SIZE && lastSector < UNUSED_BAT_ENTRY) return;
  const limit = formatBytes(MAX_DYNAMIC_SIZE);
  const what = `a ${type} disk with blocks of ${blockSize} bytes cannot have ${size} bytes`;
  throw new VhdError('ERR_VHD_LIMIT', `${what}: its table has 32 bits for the sector of a block`, {
    ...{ storage: shown, expected: `at most ${MAX_DYNAMIC_SIZE} bytes (${limit})`, found: `${size} bytes` },
    remedy: `make it fixed first: vhd convert ${shellPath(shown)} NEW.vhd --to fixed, then vhd resize NEW.vhd ${size}`,
  });
}

/** An image, open for reading over its parents; its file stays open when the disk is closed. */
export interface OpenedImage {
  readonly disk: VhdDisk;
  /** Paths of its parents, the nearest first. */
  readonly parentPaths: readonly string[];
  /** Rejects with `ERR_VHD_SOURCE_CHANGED` if it, or a parent, is not what it was when it was opened. */
  readonly checkUnchanged: () => Promise<void>;
}

/** Opens an image that is open already, with its parents. */
export async function openResized(
  image: WatchedImage,
  examination: SoundExamination,
  options: ResizeOptions,
): Promise<OpenedImage> {
  const parents = await parentsOf(image, examination, options);
  const { parent, paths = [], findings = [] } = parents ?? {};
  const disk = await openVhdStorage(borrowed(image.storage), { bitmap: options.bitmap, parent });
  disk.addFindings(findings);
  const checkUnchanged = async (): Promise<void> => {
    await image.watch.check();
    await parents?.checkUnchanged();
  };
  return { disk, parentPaths: paths, checkUnchanged };
}

/** Opens the parents of an image; undefined if it has none. */
export async function parentsOf(
  { storage, path }: OpenImage,
  examination: SoundExamination,
  options: ResizeOptions,
): Promise<OpenedParents | undefined> {
  if (examination.type !== 'differencing') return undefined;
  const { parentDirs, followParents, strictParent, maxChainLength, allowRawParent, lock, bitmap } = options;
  const chain = { parentDirs, followParents, strictParent, maxChainLength, allowRawParent, lock, bitmap };
  return openParents({ storage, path, examination }, chain);
}

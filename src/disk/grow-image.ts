import { encodeFooter, type Footer, isFooter } from '../format/footer.ts';
import { FOOTER_BYTES, SECTOR_BYTES } from '../format/spec.ts';
import type { Storage } from '../storage/storage.ts';
import { writeZeros } from './flat.ts';
import { planBlocksGrowth } from './grow-blocks.ts';
import { type Growth, type GrowthPlan, type GrowthStep, resizedFooter } from './grow-plan.ts';
import { readFooter, type SoundExamination } from './recognise.ts';

/**
 * Finds out how an image becomes larger; writes nothing. What it gains reads as zeros, in a differencing image as its
 * parent has it. Identifier and time stamp stay, so that its children still know it. The original size becomes the new
 * one too: libvhdi takes that for the size.
 * @throws VhdError `ERR_VHD_LIMIT` if its type cannot hold the size, `ERR_VHD_UNSUPPORTED` if something lies in the way that
 *   cannot be moved
 */
export async function planGrowth(storage: Storage, image: SoundExamination, growth: Growth): Promise<GrowthPlan> {
  if (growth.size <= image.virtualSize || growth.size % SECTOR_BYTES !== 0) {
    throw new RangeError(`planGrowth: expected whole sectors, more than ${image.virtualSize}, found ${growth.size}`);
  }
  return image.type === 'fixed' ? planFixedGrowth(image, growth) : planBlocksGrowth(storage, image, growth);
}

/**
 * Carries a plan out, durably. A crash at any moment leaves an image of the old size or of the new one, with the right
 * bytes. The one exception is a loss of power while a fixed image gets longer, which can leave zeros in place of the
 * footer: `restoreFixedEnd` is for that.
 */
export async function growImage(storage: Storage, { steps }: Pick<GrowthPlan, 'steps'>): Promise<void> {
  for (const { zeros = [], writes } of steps) {
    for (const { start, end } of zeros) await writeZeros(storage, start, end - start);
    for (const { bytes, position } of writes) await storage.write(bytes, position);
    await storage.flush();
  }
}

/**
 * A footer of the old size goes to the new end first: the disk ends before it, so that nothing changes for who reads, and
 * behind the disk there is room. There everything becomes zeros, the footer of before too, while nobody sees it. Then the
 * footer of the new size takes the place of the one at the end; a sector is written whole or not at all.
 */
function planFixedGrowth(image: SoundExamination, { size, fileSizeBefore = image.fileSize }: Growth): GrowthPlan {
  const { footer, virtualSize, fileSize } = image;
  const end = image.endFooterOffset ?? fileSize;
  // A file that is longer than its disk keeps what is behind.
  const footerOffset = Math.max(size, end);
  const isWhole = end === footerOffset && fileSize - end === FOOTER_BYTES;
  const dirtyEnd = Math.min(size, Math.max(fileSizeBefore, end < size ? fileSize : 0));
  const zeros = [{ start: virtualSize, end: Math.max(virtualSize, dirtyEnd) }];
  const steps: GrowthStep[] = [
    { writes: isWhole ? [] : [{ position: footerOffset, bytes: encodeFooter(footer) }] },
    { zeros, writes: [] },
    { writes: [{ position: footerOffset, bytes: resizedFooter(footer, size) }] },
  ];
  return { fromSize: virtualSize, size, fileSize: footerOffset + FOOTER_BYTES, addedBytes: FOOTER_BYTES, steps };
}

/**
 * Takes back what a loss of power can leave of a fixed image that was getting longer: zeros at its end. The footer of
 * before is where it was. True if that is so, and the file is as long as before.
 * @param fileSize bytes of the file before
 * @param isSame tells whether a footer is the image's
 */
export async function restoreFixedEnd(
  storage: Storage,
  fileSize: number,
  isSame: (footer: Footer) => boolean,
): Promise<boolean> {
  const byteLength = await storage.size();
  if (byteLength <= fileSize || fileSize < FOOTER_BYTES) return false;
  const last =
    byteLength < 2 * FOOTER_BYTES ? undefined : await readFooter(storage, byteLength - FOOTER_BYTES, FOOTER_BYTES);
  if (last !== undefined && isFooter(last.decoded)) return false;
  const before = await readFooter(storage, fileSize - FOOTER_BYTES, FOOTER_BYTES);
  if (!isFooter(before.decoded) || !isSame(before.decoded.value)) return false;
  await storage.truncate(fileSize);
  await storage.flush();
  return true;
}

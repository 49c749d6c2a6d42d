import type { Disk } from '../disk/disk.ts';
import { planGrowth } from '../disk/grow-image.ts';
import type { GrowthStep } from '../disk/grow-plan.ts';
import { openVhdStorage } from '../disk/open-storage.ts';
import type { Patch } from '../disk/overlay.ts';
import type { FileRange } from '../disk/placement.ts';
import { examine, type SoundExamination } from '../disk/recognise.ts';
import { planShrink } from '../disk/shrink-image.ts';
import { VhdError } from '../errors.ts';
import { encodeFooter } from '../format/footer.ts';
import { newFooter } from '../format/new-footer.ts';
import { isSizeSeen } from '../format/readers-qemu.ts';
import { SECTOR_BYTES } from '../format/spec.ts';
import { dataRuns } from '../format/zeros.ts';
import { borrowed } from '../storage/borrowed.ts';
import type { Storage } from '../storage/storage.ts';
import { Draft } from './repair-draft.ts';

/** An image that is to get another size. */
export interface DraftInput {
  /** Its file, of which nothing is written; stays open. */
  readonly storage: Storage;
  /** Virtual size in bytes afterwards. */
  readonly size: number;
  /** Bytes of the disk that become others; all inside the smaller of both sizes, or the new one where it grows. */
  readonly patches: readonly Patch[];
  /** As for opening it. */
  readonly bitmap?: 'strict' | 'honour' | 'ignore' | undefined;
  /** Opens its parent, which is closed by whoever asked; undefined if it has none. */
  readonly openParent: () => Promise<Disk | undefined>;
}

/** An image as it would be with another size. */
export interface ResizedDraft {
  /** Its file. */
  readonly draft: Draft;
  /** Blocks that lost their place. */
  readonly freedBlocks: number;
  /** True if its table is somewhere else. */
  readonly isTableMoved: boolean;
  /** The creator that the footers named before, where that is another now; undefined if it stays. */
  readonly creatorBefore: string | undefined;
}

const PIECE_BYTES = 1024 * 1024;

/**
 * Changes an image in memory to another size, all of it: where its blocks are, its headers and footers, and what has to
 * follow on the disk. What it gains reads as zeros, also where a parent is larger and has data there.
 * @throws VhdError what opening it for writing throws, `planGrowth` and `planShrink`; `ERR_VHD_LIMIT` if more changes than
 *   a journal holds
 */
export async function draftResized(input: DraftInput): Promise<ResizedDraft> {
  const { storage, size } = input;
  const draft = await Draft.over(storage);
  const { header, virtualSize } = await soundImage(draft);
  const freedBlocks = size > virtualSize ? await grow(draft, input, virtualSize) : await shrink(draft, input);
  const creatorBefore = await trustSize(draft);
  const after = await soundImage(draft);
  return { draft, freedBlocks, isTableMoved: after.header?.tableOffset !== header?.tableOffset, creatorBefore };
}

/**
 * Makes the footers name a creator whose size qemu believes, where it would go by the geometry: that reaches no further
 * than the last whole cylinder, and what is behind would be out of sight. Returns the creator of before, if it was replaced.
 */
async function trustSize(draft: Draft): Promise<string | undefined> {
  const { footer, endFooterOffset, type } = await soundImage(draft);
  if (isSizeSeen(footer)) return undefined;
  const { uniqueId, timestamp, currentSize: size, geometry } = footer;
  const { creatorApplication, creatorVersion, creatorHostOs } = newFooter({
    ...{ type, size, uniqueId, timestamp, geometry },
  });
  const bytes = encodeFooter({ ...footer, creatorApplication, creatorVersion, creatorHostOs });
  if (type !== 'fixed') await draft.write(bytes, 0);
  if (endFooterOffset !== undefined) await draft.write(bytes, endFooterOffset);
  return footer.creatorApplication;
}

async function grow(draft: Draft, input: DraftInput, fromSize: number): Promise<number> {
  const { size, patches } = input;
  // Refuses what may not be written to, and makes its footers whole.
  await changeDisk(draft, input, () => Promise.resolve());
  const { steps } = await planGrowth(draft, await soundImage(draft), { size });
  for (const step of steps) await apply(draft, step);
  await changeDisk(draft, input, async (disk, parent) => {
    if (parent !== undefined) await coverParent(disk, parent, fromSize);
    await write(disk, patches);
  });
  return 0;
}

async function shrink(draft: Draft, input: DraftInput): Promise<number> {
  const { size, patches } = input;
  // Refuses what may not be written to, and makes its footers whole.
  await changeDisk(draft, input, () => Promise.resolve());
  const plan = await planShrink(draft, await soundImage(draft), size);
  await apply(draft, plan);
  await draft.truncate(plan.fileSize);
  // Blocks for what moves to the new end find room where others were.
  if (patches.length > 0) await changeDisk(draft, input, (disk) => write(disk, patches));
  return plan.freedBlocks;
}

async function soundImage(storage: Storage): Promise<SoundExamination> {
  const image = await examine(storage);
  const { footer, type, virtualSize, refusal } = image;
  if (refusal !== undefined) throw refusal;
  if (footer === undefined || type === undefined || virtualSize === undefined) {
    throw new Error('what can be opened has a footer');
  }
  return { ...image, footer, type, virtualSize };
}

async function changeDisk(
  draft: Draft,
  { bitmap, openParent }: DraftInput,
  change: (disk: Disk, parent: Disk | undefined) => Promise<void>,
): Promise<void> {
  const parent = await openParent();
  const disk = await openVhdStorage(borrowed(draft), { writable: true, bitmap, parent });
  try {
    try {
      await change(disk, parent);
      await disk.flush();
    } finally {
      await disk.close();
    }
  } catch (error) {
    throw limitBehind(error);
  }
}

/** A draft that is full fails a write of its disk, which then tells of that: the limit is what is to be told. */
function limitBehind(error: unknown): unknown {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    if (cause instanceof VhdError && cause.code === 'ERR_VHD_LIMIT') return cause;
  }
  return error;
}

async function write(disk: Disk, patches: readonly Patch[]): Promise<void> {
  for (const { bytes, position } of patches) await disk.write(bytes, position);
}

/** What a larger parent has behind the end of before would come to light: zeros over it. */
async function coverParent(disk: Disk, parent: Disk, fromSize: number): Promise<void> {
  const end = Math.min(disk.size, parent.size);
  if (fromSize >= end) return;
  for await (const { start, length, kind } of parent.extents({ start: fromSize, length: end - fromSize })) {
    if (kind === 'data') await disk.discard(start, length);
  }
}

async function apply(draft: Draft, { zeros = [], writes }: GrowthStep): Promise<void> {
  for (const range of zeros) await zeroOut(draft, range);
  for (const { bytes, position } of writes) await draft.write(bytes, position);
}

/** Zeros where there are others: a draft holds every sector that is written to it. */
async function zeroOut(draft: Draft, { start, end }: FileRange): Promise<void> {
  const limit = Math.min(end, await draft.size());
  let position = start;
  while (position < limit) {
    const stored = await draft.findData(position, limit - position);
    if (stored === undefined) return;
    const bytes = new Uint8Array(Math.min(PIECE_BYTES, stored.length, limit - stored.start));
    await draft.read(bytes, stored.start);
    for (const run of dataRuns(bytes, SECTOR_BYTES, stored.start)) {
      await draft.write(new Uint8Array(run.length), stored.start + run.start);
    }
    position = stored.start + bytes.length;
  }
}

import type { Disk } from '../disk/disk.ts';
import { growImage } from '../disk/grow-image.ts';
import { openVhdStorage } from '../disk/open-storage.ts';
import type { VhdType } from '../format/spec.ts';
import { borrowed } from '../storage/borrowed.ts';
import type { Storage } from '../storage/storage.ts';
import { type CopyTarget, copyDisk, HOLE_GRAIN_BYTES } from './copy.ts';
import type { MergeOptions, MergeResult } from './merge-options.ts';
import type { CopyPlan } from './merge-plan.ts';
import { ProgressMeter } from './progress.ts';

/** What is merged, and into what. */
export interface MergeCopy {
  /** What is to be done. */
  readonly plan: CopyPlan;
  /** The target's file; stays open. */
  readonly storage: Storage;
  /** The child over the links between, over nothing that can be read. */
  readonly source: Disk;
  /** What the target is a child of; closed with it. Undefined if it has no parent. */
  readonly below: Disk | undefined;
  /** Type of the target. */
  readonly type: VhdType;
}

/**
 * Makes the target larger where it is to be, and writes into it what the links above it decide: durably when this resolves.
 * May be cut short at any moment, and is done again from its beginning then.
 */
export async function carryOutMerge(
  { plan, storage, source, below, type }: MergeCopy,
  options: MergeOptions,
): Promise<Pick<MergeResult, 'copiedBytes' | 'skippedBytes'>> {
  const { bitmap, onProgress, onWarning, signal } = options;
  if (plan.growth !== undefined) await growImage(storage, plan.growth);
  // The file stays open, and locked, until the journal is gone.
  const disk = await openVhdStorage(borrowed(storage), { writable: true, bitmap, parent: below, onWarning });
  const meter = new ProgressMeter('merge', plan.mergedBytes, onProgress);
  try {
    const target = type === 'fixed' ? keepingHoles(disk) : disk;
    const grainBytes = disk.blockSize ?? HOLE_GRAIN_BYTES;
    await copyDisk(source, target, { meter, grainBytes, belowDepth: plan.depth, signal });
    await disk.flush();
  } catch (error) {
    await disk.close().catch(() => undefined);
    throw error;
  }
  await disk.close();
  return { copiedBytes: meter.copiedBytes, skippedBytes: meter.skippedBytes };
}

/** Of a fixed image only what is stored becomes zeros: writing them over a hole would fill it. */
function keepingHoles(disk: Disk): CopyTarget {
  return {
    write: (source, position) => disk.write(source, position),
    discard: async (position, length) => {
      for await (const { kind, ...stored } of disk.extents({ start: position, length })) {
        if (kind === 'data') await disk.discard(stored.start, stored.length);
      }
    },
  };
}

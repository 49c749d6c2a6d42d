import { VhdError } from '../errors.ts';
import { describeFinding, finding } from '../format/rules.ts';
import { borrowed } from '../storage/borrowed.ts';
import type { Storage } from '../storage/storage.ts';
import type { BitmapPolicy } from './bitmap-rule.ts';
import { findKept } from './compact-empty.ts';
import { blocksInFileOrder } from './compact-order.ts';
import { type CompactPlan, planBlocks } from './compact-plan.ts';
import type { Disk } from './disk.ts';
import { type FoundBlocks, findBlocks } from './open-blocks.ts';
import { openVhdStorage } from './open-storage.ts';
import { placementFindings } from './placement.ts';
import type { SoundExamination } from './recognise.ts';

/** What is known besides the file. */
export interface CompactSources {
  /**
   * What a differencing image is a child of. Without, only blocks go that own no sector. Stays open.
   */
  readonly parent?: Disk | undefined;
  /** Of a dynamic image, what bytes under clear bits are; default as for reading it. */
  readonly bitmap?: BitmapPolicy | undefined;
  /** Flags by block index of those that hold nothing of use, as somebody knows who knows the file system. */
  readonly unused?: Uint8Array | undefined;
  /** Hears of every block that was looked at. */
  readonly onBlock?: ((blockBytes: number) => void) | undefined;
  /** Stops it. */
  readonly signal?: AbortSignal | undefined;
}

/** An image with blocks that is to be compacted, and how. */
export interface Compaction {
  /** Its blocks as they are. */
  readonly found: FoundBlocks;
  /** Where they go. */
  readonly plan: CompactPlan;
}

/**
 * Finds out which blocks of a dynamic or differencing image can go, and where the others go; writes nothing.
 * @throws VhdError `ERR_VHD_CORRUPT` if blocks lie where none may; `ERR_VHD_BITMAP`
 */
export async function planCompaction(
  storage: Storage,
  image: SoundExamination,
  sources: CompactSources,
): Promise<Compaction> {
  const { parent, bitmap, unused, onBlock, signal } = sources;
  const found = await findBlocks(storage, image);
  refuseMisplaced(storage.name, found);
  const order = blocksInFileOrder(found.table);
  const isExact = image.type === 'differencing';
  const disk = isExact ? parent : await openVhdStorage(borrowed(storage), { bitmap });
  try {
    const isKept = await findKept({ storage, found, order, disk, isExact, unused, onBlock, signal });
    return { found, plan: planBlocks(image, found, order, isKept) };
  } finally {
    if (!isExact) await disk?.close();
  }
}

function refuseMisplaced(name: string, { placement, context }: FoundBlocks): void {
  if (placement.bad.isEmpty) return;
  const [item = finding('bat.overlap')] = placementFindings(placement, context);
  throw new VhdError('ERR_VHD_CORRUPT', `it cannot be compacted: ${describeFinding(item)}`, { ...item, storage: name });
}

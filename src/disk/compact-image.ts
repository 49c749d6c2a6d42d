import { VhdError } from '../errors.ts';
import { describeFinding, finding } from '../format/rules.ts';
import type { Storage } from '../storage/storage.ts';
import { findKept } from './compact-empty.ts';
import { blocksInFileOrder } from './compact-order.ts';
import { type CompactPlan, planBlocks } from './compact-plan.ts';
import type { Disk } from './disk.ts';
import type { FoundBlocks } from './open-blocks.ts';
import { placementFindings } from './placement.ts';
import type { SoundExamination } from './recognise.ts';
import { refuseStrayEntries } from './stray-entries.ts';

/** What is known besides the file. */
export interface CompactSources {
  /**
   * Of a dynamic image its disk, open for reading; of a differencing one that of its parent, without which only blocks go
   * that own no sector. Stays open.
   */
  readonly disk: Disk | undefined;
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
 * Finds out which of the found blocks of a dynamic or differencing image can go, and where the others go; writes nothing.
 * @throws VhdError `ERR_VHD_CORRUPT` if blocks lie where none may; `ERR_VHD_UNSUPPORTED` if entries behind the end of the disk
 *   refer to blocks; `ERR_VHD_BITMAP`
 */
export async function planCompaction(
  storage: Storage,
  image: SoundExamination,
  found: FoundBlocks,
  sources: CompactSources,
): Promise<Compaction> {
  refuseMisplaced(storage.name, found);
  await refuseStrayEntries(storage, image, found.table);
  const order = blocksInFileOrder(found.table);
  const isKept = await findKept({ ...sources, storage, found, order, isExact: image.type === 'differencing' });
  return { found, plan: planBlocks(image, found, order, isKept) };
}

function refuseMisplaced(name: string, { placement, context }: FoundBlocks): void {
  if (placement.bad.isEmpty) return;
  const [item = finding('bat.overlap')] = placementFindings(placement, context);
  throw new VhdError('ERR_VHD_CORRUPT', `it cannot be compacted: ${describeFinding(item)}`, { ...item, storage: name });
}

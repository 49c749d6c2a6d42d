import { type BlockLayout } from '../format/layout.ts';
import { type PlacedBytes, type Storage, writeAdjacent, writeEach } from '../storage/storage.ts';
import { zeroPieces } from './flat.ts';
import type { BlockPlace } from './space.ts';

/** A gap up to this long is written along as zeros, so that bitmap and data leave in one call. */
const MAX_GAP_BYTES = 16 * 1024;
/** Pieces in one vectored write; systems take at least 1024. */
const MAX_PIECES = 256;

/** Bytes of one block. */
export interface BlockBytes {
  /** The block. */
  readonly blockIndex: number;
  /** First byte in the block's data. */
  readonly offsetInBlock: number;
  /** The bytes; they end in the same block. */
  readonly bytes: Uint8Array;
}

/** A new block, and what goes into it. */
export interface NewBlock {
  /** Where it goes. */
  readonly place: BlockPlace;
  /** Its bitmap. */
  readonly bitmap: Uint8Array;
  /** In the order of the disk. */
  readonly pieces: readonly BlockBytes[];
  /** True if whatever no piece covers must be zero: every bit of the bitmap is set. */
  readonly isRestZero: boolean;
}

/** The writes of a new block: bitmap, pieces, and zeros in between where something else may lie or that makes it one write. */
export function newBlockWrites({ bitmapBytes, blockSize }: BlockLayout, block: NewBlock): PlacedBytes[] {
  const { place, bitmap, pieces } = block;
  const isZeroed = block.isRestZero && !place.isVirgin;
  const dataOffset = place.offset + bitmapBytes;
  const writes: PlacedBytes[] = [{ position: place.offset, bytes: bitmap }];
  let end = 0;
  const zeros = (to: number): void => {
    if (!isZeroed && (pieces.length > 1 || to - end > MAX_GAP_BYTES)) return;
    for (const bytes of zeroPieces(to - end)) {
      writes.push({ position: dataOffset + end, bytes });
      end += bytes.length;
    }
  };
  for (const { offsetInBlock, bytes } of pieces) {
    zeros(offsetInBlock);
    writes.push({ position: dataOffset + offsetInBlock, bytes });
    end = offsetInBlock + bytes.length;
  }
  if (isZeroed) zeros(blockSize);
  return writes;
}

/** The writes of pieces into a block that has a place. */
export function placedPieces(
  { bitmapBytes }: BlockLayout,
  blockOffset: number,
  pieces: readonly BlockBytes[],
): PlacedBytes[] {
  const dataOffset = blockOffset + bitmapBytes;
  return pieces.map(({ offsetInBlock, bytes }) => ({ position: dataOffset + offsetInBlock, bytes }));
}

/** Pieces, which are in the order of the disk, by the block they lie in. */
export function* groupByBlock(pieces: readonly BlockBytes[]): Generator<readonly BlockBytes[]> {
  for (let first = 0; first < pieces.length; ) {
    let next = first + 1;
    while (next < pieces.length && pieces[next]?.blockIndex === pieces[first]?.blockIndex) next++;
    yield next - first === pieces.length ? pieces : pieces.slice(first, next);
    first = next;
  }
}

/** Writes that touch from the first to the last leave as one, others as a batch. */
export async function sendWrites(storage: Storage, writes: readonly PlacedBytes[]): Promise<void> {
  const [first] = writes;
  if (first === undefined) return;
  if (!isAdjacent(writes)) return writeEach(storage, writes);
  for (let from = 0; from < writes.length; from += MAX_PIECES) {
    const batch = writes.slice(from, from + MAX_PIECES);
    await writeAdjacent(
      storage,
      batch.map(({ bytes }) => bytes),
      batch[0]?.position ?? first.position,
    );
  }
}

function isAdjacent(writes: readonly PlacedBytes[]): boolean {
  return writes.every(({ position }, index) => {
    const before = writes[index - 1];
    return before === undefined || before.position + before.bytes.length === position;
  });
}

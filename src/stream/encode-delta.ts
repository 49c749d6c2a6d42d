import { checkImageSize } from '../disk/create-storage.ts';
import { VhdError } from '../errors.ts';
import { type ChildFront, childLayout, encodeChildFront } from '../format/child-front.ts';
import { blockEnd, blockLayout, footerOffsetFor, nextBlockOffset, placedBlocks } from '../format/layout.ts';
import { FOOTER_BYTES, SECTOR_BYTES } from '../format/spec.ts';
import { type DeltaMeter, type DiskPair, deltaBlocks } from './delta-blocks.ts';

/** What the difference of two disks is to be encoded as. */
export interface EncodeDeltaOptions {
  /** Everything in front of the blocks. */
  readonly front: ChildFront;
  /** Stops planning and the stream. */
  readonly signal?: AbortSignal | undefined;
  /** Told of every byte while the image is planned. */
  readonly planMeter?: DeltaMeter | undefined;
  /** Told of every byte while it is streamed. */
  readonly meter?: DeltaMeter | undefined;
}

/** A planned stream: how long it is, and how it begins. */
export interface PlannedDelta {
  /** Its exact length in bytes. */
  readonly byteLength: number;
  /** Starts it. */
  readonly start: () => AsyncGenerator<Uint8Array>;
}

/**
 * Plans a differencing image that holds the sectors in which two disks differ. Of the plan only the numbers of its blocks
 * are kept, four bytes each; everything is held against each other once more while streaming, and a block that differs
 * now and did not then, or the other way round, is an error (`ERR_VHD_SOURCE_CHANGED`).
 * @throws VhdError `ERR_VHD_LIMIT` if a differencing image cannot hold the size
 */
export async function encodeDelta(pair: DiskPair, options: EncodeDeltaOptions): Promise<PlannedDelta> {
  const { front, signal, planMeter: meter } = options;
  const { size, blockSize } = front;
  const { byteLength: frontBytes } = childLayout(size, blockSize, front.parent);
  checkImageSize(size, 'differencing', blockSize, frontBytes);
  const planned: number[] = [];
  for await (const { blockIndex, release } of deltaBlocks(pair, {
    blockSize,
    signal,
    meter,
  })) {
    planned.push(blockIndex);
    release();
  }
  const layout = blockLayout(blockSize, 'aligned');
  let usedEnd = frontBytes;
  for (const [, sector] of placedBlocks(usedEnd, layout, planned)) usedEnd = blockEnd(layout, sector * SECTOR_BYTES);
  const byteLength = footerOffsetFor(layout, usedEnd) + FOOTER_BYTES;
  return { byteLength, start: () => deltaBytes(pair, options, planned) };
}

async function* deltaBytes(
  pair: DiskPair,
  { front, signal, meter }: EncodeDeltaOptions,
  planned: readonly number[],
): AsyncGenerator<Uint8Array> {
  const { blockSize, footer } = front;
  const layout = blockLayout(blockSize, 'aligned');
  const { byteLength: frontBytes } = childLayout(front.size, blockSize, front.parent);
  let position = 0;
  for (const part of encodeChildFront(front, placedBlocks(frontBytes, layout, planned))) {
    yield* zeros(part.position - position);
    yield part.bytes;
    position = part.position + part.bytes.length;
  }
  yield* zeros(frontBytes - position);
  position = frontBytes;
  let next = 0;
  // The memory of a block is not handed back: whoever takes the stream may hold on to it.
  for await (const { blockIndex, bitmap, data } of deltaBlocks(pair, {
    blockSize,
    signal,
    meter,
  })) {
    if (planned[next] !== blockIndex) throw changedError(Math.min(planned[next] ?? blockIndex, blockIndex) * blockSize);
    next++;
    const blockOffset = nextBlockOffset(layout, position);
    yield* zeros(blockOffset - position);
    yield bitmap;
    yield data;
    position = blockEnd(layout, blockOffset);
  }
  const missing = planned[next];
  if (missing !== undefined) throw changedError(missing * blockSize);
  yield* zeros(footerOffsetFor(layout, position) - position);
  yield footer;
}

function* zeros(byteLength: number): Generator<Uint8Array> {
  if (byteLength > 0) yield new Uint8Array(byteLength);
}

function changedError(position: number): VhdError {
  return new VhdError(
    'ERR_VHD_SOURCE_CHANGED',
    `a source changed while it was read: the block at byte ${position} is the same in both at one time and differs at another`,
    {
      offset: position,
      remedy: 'make copies or snapshots of both and encode those',
    },
  );
}

import { CREATE_STORAGE_OPTIONS, checkImageSize, type ImageIdentity, identityFields } from '../disk/create-storage.ts';
import type { Disk } from '../disk/disk.ts';
import { checkOneOf, checkOptionNames, VhdError } from '../errors.ts';
import { allOnesBitmap } from '../format/bitmap.ts';
import { encodeFooter } from '../format/footer.ts';
import { encodeFront, frontByteLength } from '../format/front.ts';
import { type BlockLayout, blockEnd, blockLayout, footerOffsetFor, nextBlockOffset } from '../format/layout.ts';
import { newFooter } from '../format/new-footer.ts';
import { DEFAULT_BLOCK_SIZE, FOOTER_BYTES, SECTOR_BYTES } from '../format/spec.ts';
import { isAllZeros } from '../format/zeros.ts';
import { piecesOf, readAhead, storedPieces } from './read-ahead.ts';

/** What a disk is to be encoded as. */
export interface EncodeOptions extends ImageIdentity {
  /** Default `dynamic`. */
  readonly type?: 'fixed' | 'dynamic' | undefined;
  /** Block size of a dynamic image in bytes: 524288 or 2097152 (default). */
  readonly blockSize?: number | undefined;
  /** Stops planning and the stream. */
  readonly signal?: AbortSignal | undefined;
}

/** A VHD as a stream. */
export interface EncodedVhd {
  /** Its exact length in bytes, known before the first one. */
  readonly byteLength: number;
  /** The bytes of the image in order; can be read once. A Node stream of it: `Readable.from(stream)`. */
  readonly stream: AsyncIterable<Uint8Array>;
}

const ENCODE_OPTIONS = [
  ...CREATE_STORAGE_OPTIONS.filter((name) => name !== 'size' && name !== 'preallocate'),
  'signal',
];

/** The blocks of a disk that have to be in a dynamic image, in order. */
interface BlockPlan {
  readonly stored: readonly number[];
}

/**
 * Encodes a disk as the bytes of a VHD, to be sent where one cannot seek. A dynamic image is planned first: every block
 * that is stored in the source is read once to see whether it is zero, and the empty ones are looked at again while
 * streaming, so that a source that changes meanwhile is an error (`ERR_VHD_SOURCE_CHANGED`) and never a wrong image.
 * @throws RangeError if the disk's size is no multiple of 512
 * @throws VhdError `ERR_VHD_LIMIT` if the type cannot hold the size
 */
export async function encodeVhd(disk: Disk, options: EncodeOptions = {}): Promise<EncodedVhd> {
  checkOptionNames('encodeVhd', options, ENCODE_OPTIONS);
  const { type = 'dynamic', blockSize = DEFAULT_BLOCK_SIZE, signal } = options;
  checkOneOf('type', type, ['fixed', 'dynamic']);
  signal?.throwIfAborted();
  checkImageSize(disk.size, type, blockSize);
  const footer = encodeFooter(newFooter({ type, size: disk.size, ...identityFields(options) }));
  if (type === 'fixed') {
    return { byteLength: disk.size + FOOTER_BYTES, stream: fixedBytes(disk, footer, signal) };
  }
  const plan = await planBlocks(disk, blockSize, signal);
  const layout = blockLayout(blockSize, 'aligned');
  const { sectors, usedEnd } = placeBlocks(frontByteLength(disk.size, blockSize), layout, plan);
  const byteLength = footerOffsetFor(layout, usedEnd) + FOOTER_BYTES;
  return { byteLength, stream: dynamicBytes(disk, { footer, layout, plan, sectors, signal }) };
}

async function* fixedBytes(disk: Disk, footer: Uint8Array, signal?: AbortSignal): AsyncGenerator<Uint8Array> {
  for await (const { bytes } of readAhead(disk, piecesOf(0, disk.size), { signal })) yield bytes;
  yield footer;
}

/** Which blocks hold anything: stored in the source, and not all zeros. */
async function planBlocks(disk: Disk, blockSize: number, signal?: AbortSignal): Promise<BlockPlan> {
  const stored: number[] = [];
  let candidate = -1;
  let isStored = false;
  const settle = (): void => {
    if (isStored) stored.push(candidate);
  };
  for await (const piece of readAhead(disk, storedPieces(disk, {}, blockSize), { signal })) {
    const blockIndex = Math.floor(piece.start / blockSize);
    if (blockIndex !== candidate) {
      settle();
      candidate = blockIndex;
      isStored = false;
    }
    isStored ||= !isAllZeros(piece.bytes);
    piece.release();
  }
  settle();
  return { stored };
}

interface DynamicParts {
  readonly footer: Uint8Array;
  readonly layout: BlockLayout;
  readonly plan: BlockPlan;
  readonly sectors: readonly (readonly [blockIndex: number, sector: number])[];
  readonly signal: AbortSignal | undefined;
}

async function* dynamicBytes(disk: Disk, parts: DynamicParts): AsyncGenerator<Uint8Array> {
  const { footer, layout, plan, signal } = parts;
  const front = encodeFront(footer, disk.size, layout.blockSize, parts.sectors);
  yield front;
  let position = front.length;
  for await (const { block, bytes } of plannedBlocks(disk, layout.blockSize, plan, signal)) {
    if (!block.isStored) {
      if (!isAllZeros(bytes)) throw changedError(block.index * layout.blockSize);
      continue;
    }
    const blockOffset = nextBlockOffset(layout, position);
    if (blockOffset > position) yield new Uint8Array(blockOffset - position);
    yield allOnesBitmap(layout.bitmapBytes);
    yield bytes;
    // The last block of the disk may reach past its end: the file holds it whole.
    if (bytes.length < layout.blockSize) yield new Uint8Array(layout.blockSize - bytes.length);
    position = blockEnd(layout, blockOffset);
  }
  const footerOffset = footerOffsetFor(layout, position);
  if (footerOffset > position) yield new Uint8Array(footerOffset - position);
  yield footer;
}

/** Where the blocks of a plan go, one behind the other. */
function placeBlocks(
  frontBytes: number,
  layout: BlockLayout,
  plan: BlockPlan,
): { sectors: [number, number][]; usedEnd: number } {
  let usedEnd = frontBytes;
  const sectors = plan.stored.map((blockIndex): [number, number] => {
    const blockOffset = nextBlockOffset(layout, usedEnd);
    usedEnd = blockEnd(layout, blockOffset);
    return [blockIndex, blockOffset / SECTOR_BYTES];
  });
  return { sectors, usedEnd };
}

interface PlannedBlock {
  readonly index: number;
  readonly isStored: boolean;
}

/** Every block that the plan found stored, and every one that is stored now, with its bytes, in order. */
async function* plannedBlocks(
  disk: Disk,
  blockSize: number,
  plan: BlockPlan,
  signal?: AbortSignal,
): AsyncGenerator<{ block: PlannedBlock; bytes: Uint8Array }> {
  const stored = new Set(plan.stored);
  const indexes = new Set(plan.stored);
  for await (const piece of storedPieces(disk, {}, blockSize)) indexes.add(Math.floor(piece.start / blockSize));
  const ranges = [...indexes]
    .sort((first, second) => first - second)
    .map((index) => ({ start: index * blockSize, length: Math.min(blockSize, disk.size - index * blockSize) }));
  for await (const { start, bytes } of readAhead(disk, ranges, { signal })) {
    const index = start / blockSize;
    yield { block: { index, isStored: stored.has(index) }, bytes };
  }
}

function changedError(position: number): VhdError {
  return new VhdError(
    'ERR_VHD_SOURCE_CHANGED',
    `the source changed while it was read: the block at byte ${position} was empty and is not any more`,
    {
      offset: position,
      expected: 'zeros',
      found: 'other bytes',
      remedy: 'make a copy or a snapshot of the source and encode that',
    },
  );
}

import { checkImageSize, IDENTITY_OPTIONS, type ImageIdentity, identityFields } from '../disk/create-storage.ts';
import type { Disk } from '../disk/disk.ts';
import { blockSizeForChild, checkChildOptions } from '../disk/new-child.ts';
import { checkOneOf, checkOptionNames, VhdError } from '../errors.ts';
import { allOnesBitmap } from '../format/bitmap.ts';
import { encodeFooter } from '../format/footer.ts';
import { encodeFront, frontByteLength } from '../format/front.ts';
import {
  type BlockLayout,
  blockEnd,
  blockLayout,
  entryCountFor,
  footerOffsetFor,
  nextBlockOffset,
  placedBlocks,
} from '../format/layout.ts';
import { newFooter } from '../format/new-footer.ts';
import type { ParentReference } from '../format/parent-reference.ts';
import { DEFAULT_BLOCK_SIZE, FOOTER_BYTES, SECTOR_BYTES, type VhdType } from '../format/spec.ts';
import { isAllZeros } from '../format/zeros.ts';
import { onceOnly } from './once.ts';
import { piecesOf, type ReadRange, readAhead, storedPieces } from './read-ahead.ts';

/** What a disk is to be encoded as. */
export interface EncodeOptions extends ImageIdentity {
  /** Default `dynamic`, and `differencing` with `against`. */
  readonly type?: VhdType | undefined;
  /**
   * Bytes of a block of a dynamic or differencing image: 524288 or 2097152. Default 2097152, with `against` whose blocks
   * have 524288 bytes those.
   */
  readonly blockSize?: number | undefined;
  /**
   * Encode only the sectors in which the disk differs from this one: what reads as the parent of the image, which may have
   * another size; beyond its end it counts as zeros. With `parentReference`.
   */
  readonly against?: Disk | undefined;
  /** What a differencing image says about its parent: identifier and names. */
  readonly parentReference?: ParentReference | undefined;
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

const ENCODE_OPTIONS = [...IDENTITY_OPTIONS, 'type', 'blockSize', 'against', 'parentReference', 'signal'];

/**
 * Encodes a disk as the bytes of a VHD, to be sent where one cannot seek. A dynamic image is planned first: every block
 * that is stored in the source is read once to see whether it is zero, and the empty ones are looked at again while
 * streaming, so that a source that changes meanwhile is an error (`ERR_VHD_SOURCE_CHANGED`) and never a wrong image.
 * A differencing image is planned by reading both disks; what both are known to hold nothing of is not read.
 * @throws TypeError if one of `against` and `parentReference` is missing, or `type` says something else
 * @throws RangeError if the disk's size is no multiple of 512
 * @throws VhdError `ERR_VHD_LIMIT` if the type cannot hold the size
 */
export async function encodeVhd(disk: Disk, options: EncodeOptions = {}): Promise<EncodedVhd> {
  checkOptionNames('encodeVhd', options, ENCODE_OPTIONS);
  checkOneOf('type', options.type, ['fixed', 'dynamic', 'differencing']);
  const { against, parentReference, blockSize = DEFAULT_BLOCK_SIZE, signal } = options;
  checkChildOptions({ parent: against, parentReference, type: options.type });
  signal?.throwIfAborted();
  if (against !== undefined && parentReference !== undefined)
    return encodeAgainst(disk, against, parentReference, options);
  const { type = 'dynamic' } = options;
  checkImageSize(disk.size, type, blockSize);
  const footer = encodeFooter(newFooter({ type, size: disk.size, ...identityFields(options) }));
  if (type === 'fixed') {
    return encoded(disk.size + FOOTER_BYTES, () => fixedBytes(disk, footer, signal));
  }
  const stored = await planBlocks(disk, blockSize, signal);
  const layout = blockLayout(blockSize, 'aligned');
  let usedEnd = frontByteLength(disk.size, blockSize);
  for (const [, sector] of placedBlocks(usedEnd, layout, stored)) usedEnd = blockEnd(layout, sector * SECTOR_BYTES);
  const byteLength = footerOffsetFor(layout, usedEnd) + FOOTER_BYTES;
  return encoded(byteLength, () => dynamicBytes(disk, { footer, layout, stored, signal }));
}

async function encodeAgainst(
  disk: Disk,
  against: Disk,
  parent: ParentReference,
  options: EncodeOptions,
): Promise<EncodedVhd> {
  const { size } = disk;
  const { blockSize = blockSizeForChild(against), signal } = options;
  checkImageSize(size, 'differencing', blockSize);
  const footer = encodeFooter(newFooter({ type: 'differencing', size, ...identityFields(options) }));
  const { encodeDelta } = await import('./encode-delta.ts');
  const front = { footer, size, blockSize, parent };
  const { byteLength, start } = await encodeDelta({ disk, against }, { front, signal });
  return encoded(byteLength, start);
}

function encoded(byteLength: number, start: () => AsyncGenerator<Uint8Array>): EncodedVhd {
  return { byteLength, stream: { [Symbol.asyncIterator]: onceOnly('the stream of an encoded VHD')(start) } };
}

async function* fixedBytes(disk: Disk, footer: Uint8Array, signal?: AbortSignal): AsyncGenerator<Uint8Array> {
  for await (const { bytes } of readAhead(disk, piecesOf(0, disk.size), { signal })) yield bytes;
  yield footer;
}

/** The blocks that hold anything, in order: stored in the source, and not all zeros. */
async function planBlocks(disk: Disk, blockSize: number, signal?: AbortSignal): Promise<Uint32Array> {
  const stored = new Uint32Array(entryCountFor(disk.size, blockSize));
  let count = 0;
  for await (const piece of readAhead(disk, storedPieces(disk, {}, blockSize), { signal })) {
    const blockIndex = Math.floor(piece.start / blockSize);
    const isNew = count === 0 || stored[count - 1] !== blockIndex;
    if (isNew && !isAllZeros(piece.bytes)) stored[count++] = blockIndex;
    piece.release();
  }
  return stored.slice(0, count);
}

interface DynamicParts {
  readonly footer: Uint8Array;
  readonly layout: BlockLayout;
  /** The blocks that were planned. */
  readonly stored: Uint32Array;
  readonly signal: AbortSignal | undefined;
}

async function* dynamicBytes(disk: Disk, parts: DynamicParts): AsyncGenerator<Uint8Array> {
  const { footer, layout, stored, signal } = parts;
  const { blockSize } = layout;
  const frontBytes = frontByteLength(disk.size, blockSize);
  yield encodeFront(footer, disk.size, blockSize, placedBlocks(frontBytes, layout, stored));
  let position = frontBytes;
  for await (const { isPlanned, start, bytes } of readAhead(disk, wantedBlocks(disk, blockSize, stored), { signal })) {
    if (!isPlanned) {
      if (!isAllZeros(bytes)) throw changedError(start);
      continue;
    }
    const blockOffset = nextBlockOffset(layout, position);
    if (blockOffset > position) yield new Uint8Array(blockOffset - position);
    yield allOnesBitmap(layout.bitmapBytes);
    yield bytes;
    // The last block of the disk may reach past its end: the file holds it whole.
    if (bytes.length < blockSize) yield new Uint8Array(blockSize - bytes.length);
    position = blockEnd(layout, blockOffset);
  }
  const footerOffset = footerOffsetFor(layout, position);
  if (footerOffset > position) yield new Uint8Array(footerOffset - position);
  yield footer;
}

interface WantedBlock extends ReadRange {
  /** False: stored now, but empty or not there when the plan was made. */
  readonly isPlanned: boolean;
}

/** Every block that was planned, and every other one that is stored now, in order. */
async function* wantedBlocks(disk: Disk, blockSize: number, stored: Uint32Array): AsyncGenerator<WantedBlock> {
  const wanted = (blockIndex: number, isPlanned: boolean): WantedBlock => {
    const start = blockIndex * blockSize;
    return { start, length: Math.min(blockSize, disk.size - start), isPlanned };
  };
  let next = 0;
  let last = -1;
  for await (const piece of storedPieces(disk, {}, blockSize)) {
    const blockIndex = Math.floor(piece.start / blockSize);
    if (blockIndex === last) continue;
    last = blockIndex;
    for (; next < stored.length && (stored[next] ?? 0) < blockIndex; next++) yield wanted(stored[next] ?? 0, true);
    const isPlanned = stored[next] === blockIndex;
    if (isPlanned) next++;
    yield wanted(blockIndex, isPlanned);
  }
  for (; next < stored.length; next++) yield wanted(stored[next] ?? 0, true);
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

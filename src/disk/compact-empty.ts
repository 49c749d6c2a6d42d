import { decodeBitmap } from '../format/bitmap.ts';
import { SECTOR_BYTES } from '../format/spec.ts';
import { isAllZeros } from '../format/zeros.ts';
import { settleAll } from '../storage/settle.ts';
import type { Storage } from '../storage/storage.ts';
import { offsetAt } from './compact-order.ts';
import type { Disk } from './disk.ts';
import type { FoundBlocks } from './open-blocks.ts';

/** Blocks that are looked at side by side. */
const WORKERS = 4;
/** Most blocks that hold something show it in their first bytes. */
const FIRST_BYTES = 4096;
const PIECE_BYTES = 1024 * 1024;

/** What is needed to find out which blocks can go. */
export interface EmptinessContext {
  /** The file. */
  readonly storage: Storage;
  /** Its blocks. */
  readonly found: FoundBlocks;
  /** Their indexes as they lie in it. */
  readonly order: Uint32Array;
  /**
   * Of a dynamic image its disk, which knows what bytes under clear bits are; of a differencing one its parent, without
   * which only blocks go that own nothing.
   */
  readonly disk: Disk | undefined;
  /** True: bits say whether a sector is the image's or its parent's. */
  readonly isExact: boolean;
  /** Flags by block index of those that are said to hold nothing; undefined if nobody said so of any. */
  readonly unused?: Uint8Array | undefined;
  /** Hears of every block. */
  readonly onBlock?: ((blockBytes: number) => void) | undefined;
  /** Stops it. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Flags the blocks that have to stay, in file order. Gone can be: of a dynamic image what reads as zeros; of a differencing
 * one what owns no sector, or only sectors that its parent has byte for byte. A block is read until the first byte that
 * keeps it; holes of the file are not read.
 */
export async function findKept(context: EmptinessContext): Promise<Uint8Array> {
  const { order, found, signal, onBlock } = context;
  const isKept = new Uint8Array(order.length);
  let next = 0;
  const work = async (): Promise<void> => {
    const look = new BlockLook(context);
    try {
      while (next < isKept.length) {
        signal?.throwIfAborted();
        const index = next++;
        if (!(await look.isEmpty(order[index] ?? 0, offsetAt(found.table, order, index)))) isKept[index] = 1;
        onBlock?.(found.layout.blockSize);
      }
    } catch (error) {
      next = isKept.length;
      throw error;
    }
  };
  await settleAll(Array.from({ length: WORKERS }, work));
  return isKept;
}

/** Looks at one block after the other, with buffers of its own. */
class BlockLook {
  readonly #context: EmptinessContext;
  readonly #own: Uint8Array;
  readonly #parents: Uint8Array;

  constructor(context: EmptinessContext) {
    const { layout } = context.found;
    const byteLength = Math.min(PIECE_BYTES, layout.blockSize);
    this.#context = context;
    this.#own = new Uint8Array(byteLength);
    this.#parents = new Uint8Array(context.isExact ? byteLength : 0);
  }

  async isEmpty(blockIndex: number, blockOffset: number): Promise<boolean> {
    const { isExact, unused, found } = this.#context;
    const isUnused = unused?.[blockIndex] === 1;
    const { blockSize } = found.layout;
    const dataBytes = Math.min(blockSize, found.context.virtualSize - blockIndex * blockSize);
    if (isExact) return this.#ownsNothing(blockIndex, blockOffset, { dataBytes, isUnused });
    return isUnused || this.#isZero(blockIndex, blockOffset, dataBytes);
  }

  async #isZero(blockIndex: number, blockOffset: number, dataBytes: number): Promise<boolean> {
    const { disk, storage, found } = this.#context;
    const { blockSize, bitmapBytes } = found.layout;
    const dataStart = blockOffset + bitmapBytes;
    let pieceBytes = FIRST_BYTES;
    let position = 0;
    while (position < dataBytes) {
      const stored = await nextStored(storage, dataStart + position, dataBytes - position);
      if (stored === undefined) return true;
      position += Math.floor((stored - dataStart - position) / SECTOR_BYTES) * SECTOR_BYTES;
      const piece = this.#own.subarray(0, Math.min(pieceBytes, dataBytes - position));
      await disk?.read(piece, blockIndex * blockSize + position);
      if (disk === undefined || !isAllZeros(piece)) return false;
      position += piece.length;
      pieceBytes = PIECE_BYTES;
    }
    return true;
  }

  /** True if its parent has the same in every sector that the block owns; where nothing is in use zeros will do as well. */
  async #ownsNothing(
    blockIndex: number,
    blockOffset: number,
    { dataBytes, isUnused }: { readonly dataBytes: number; readonly isUnused: boolean },
  ): Promise<boolean> {
    const { storage, found, disk } = this.#context;
    const { blockSize, bitmapBytes } = found.layout;
    const bitmap = new Uint8Array(bitmapBytes);
    await storage.read(bitmap, blockOffset);
    const runs = decodeBitmap(bitmap, Math.ceil(dataBytes / SECTOR_BYTES)).filter(({ isSet }) => isSet);
    if (runs.length === 0) return true;
    if (disk === undefined) return false;
    let pieceBytes = FIRST_BYTES;
    for (const { sector, sectorCount } of runs) {
      let position = sector * SECTOR_BYTES;
      const end = Math.min(dataBytes, position + sectorCount * SECTOR_BYTES);
      while (position < end) {
        const length = Math.min(pieceBytes, end - position, this.#own.length);
        const [own, parents] = [this.#own.subarray(0, length), this.#parents.subarray(0, length)];
        await storage.read(own, blockOffset + bitmapBytes + position);
        await readParent(disk, parents, blockIndex * blockSize + position);
        if (!(isSame(own, parents) || (isUnused && isAllZeros(parents)))) return false;
        position += length;
        pieceBytes = PIECE_BYTES;
      }
    }
    return true;
  }
}

/** The first byte of a range of the file that may hold something; undefined if all of it is a hole. */
async function nextStored(storage: Storage, position: number, length: number): Promise<number | undefined> {
  return storage.findData === undefined ? position : (await storage.findData(position, length))?.start;
}

/** Behind the end of a smaller parent there are zeros. */
async function readParent(parent: Disk, target: Uint8Array, position: number): Promise<void> {
  const length = Math.max(0, Math.min(target.length, parent.size - position));
  if (length > 0) await parent.read(target.subarray(0, length), position);
  target.fill(0, length);
}

const nativeCompare: ((first: Uint8Array, second: Uint8Array) => number) | undefined =
  typeof Buffer === 'undefined' ? undefined : Buffer.compare.bind(Buffer);

function isSame(first: Uint8Array, second: Uint8Array): boolean {
  if (nativeCompare !== undefined) return nativeCompare(first, second) === 0;
  return first.every((byte, index) => byte === second[index]);
}

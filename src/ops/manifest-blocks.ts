import { createHash, type Hash } from 'node:crypto';
import { type BlockHash, HASH_BLOCK_BYTES } from './hash.ts';

const HASH_BYTES = 32;
/** Index of the block in four bytes, and its hash. */
const RECORD_BYTES = 4 + HASH_BYTES;
const CHUNK_RECORDS = 4096;
/** The first chunk begins so small and doubles up to the size of the others: a file may have many manifests of few blocks. */
const FIRST_RECORDS = 4;

/** Hashes of blocks in ascending order, to be gone through. An array is one too. */
export interface BlockList extends Iterable<BlockHash> {
  /** Blocks in it. */
  readonly length: number;
}

/** A {@link BlockList} that takes 36 bytes a block: the manifest of a full disk of 2040 GiB has a million. */
export class PackedBlocks implements BlockList {
  readonly #chunks: Buffer[] = [];
  #length = 0;

  get length(): number {
    return this.#length;
  }

  /** Adds a block that has been checked: its start is a multiple of 2 MiB below 2^53. */
  add({ start, sha256 }: BlockHash): void {
    const offset = (this.#length % CHUNK_RECORDS) * RECORD_BYTES;
    const chunk = this.#chunkWith(offset);
    chunk.writeUInt32LE(start / HASH_BLOCK_BYTES, offset);
    chunk.write(sha256, offset + 4, 'hex');
    this.#length++;
  }

  /** The last chunk, with room at an offset. */
  #chunkWith(offset: number): Buffer {
    const last = this.#chunks.at(-1);
    if (last !== undefined && offset > 0 && offset < last.length) return last;
    if (last === undefined || offset === 0) {
      const chunk = Buffer.alloc((last === undefined ? FIRST_RECORDS : CHUNK_RECORDS) * RECORD_BYTES);
      this.#chunks.push(chunk);
      return chunk;
    }
    const larger = Buffer.concat([last], 2 * last.length);
    this.#chunks[this.#chunks.length - 1] = larger;
    return larger;
  }

  *[Symbol.iterator](): Generator<BlockHash> {
    for (let index = 0; index < this.#length; index++) {
      const chunk = this.#chunks[Math.floor(index / CHUNK_RECORDS)];
      const offset = (index % CHUNK_RECORDS) * RECORD_BYTES;
      if (chunk === undefined) return;
      const start = chunk.readUInt32LE(offset) * HASH_BLOCK_BYTES;
      yield { start, sha256: chunk.toString('hex', offset + 4, offset + RECORD_BYTES) };
    }
  }

  /** As the list that a manifest has. */
  toJSON(): BlockHash[] {
    return [...this];
  }
}

/** What was expected of a value out of a file, and the value. */
export interface Mismatch {
  readonly expected: string;
  readonly found: unknown;
}

/** Checks the blocks of a manifest one by one, as they are read, and keeps the first that is wrong. */
export class BlockChecker {
  readonly blocks: PackedBlocks = new PackedBlocks();
  #end = 0;
  #mismatch: Mismatch | undefined;

  /** Takes the next item of the list: behind the one before it, none of them twice. */
  add(item: unknown): void {
    if (this.#mismatch !== undefined) return;
    const index = this.blocks.length;
    if (!isObject(item)) {
      this.#mismatch = { expected: `block ${index} to be an object`, found: item };
      return;
    }
    const { start, sha256 } = item;
    if (!isByteCount(start) || start % HASH_BLOCK_BYTES !== 0 || start < this.#end) {
      this.#mismatch = { expected: startOf(index, this.#end), found: start };
    } else if (typeof sha256 !== 'string' || !/^[0-9a-f]{64}$/.test(sha256)) {
      this.#mismatch = { expected: `sha256 of block ${index} to be 64 hex digits`, found: sha256 };
    } else {
      this.blocks.add({ start, sha256 });
      this.#end = start + HASH_BLOCK_BYTES;
    }
  }

  /** What is wrong with the list for a disk of `virtualSize` bytes; undefined if nothing is. */
  mismatchFor(virtualSize: number): Mismatch | undefined {
    let [index, end] = [0, 0];
    for (const { start } of this.#end > virtualSize ? this.blocks : []) {
      if (start >= virtualSize) return { expected: startOf(index, end), found: start };
      end = start + HASH_BLOCK_BYTES;
      index++;
    }
    return this.#mismatch;
  }
}

/** Zeros that are hashed in one go between two sums that are kept. */
const ZEROS: Uint8Array = new Uint8Array(8192);

/** The hashes of blocks of zeros, of any length: what is the same in all of them is hashed once. */
export class ZeroHashes {
  /** Sums over 0, 8192, 16384… zeros. */
  readonly #sums: Hash[] = [];

  /** The SHA-256, in hex, of so many zeros. */
  of(byteLength: number): string {
    const index = Math.floor(byteLength / ZEROS.length);
    let sum = this.#sums.at(-1) ?? createHash('sha256');
    if (this.#sums.length === 0) this.#sums.push(sum);
    while (this.#sums.length <= index) {
      sum = sum.copy().update(ZEROS);
      this.#sums.push(sum);
    }
    const rest = ZEROS.subarray(0, byteLength % ZEROS.length);
    return (this.#sums[index] ?? sum).copy().update(rest).digest('hex');
  }
}

function startOf(index: number, from: number): string {
  return `start of block ${index} to be a multiple of ${HASH_BLOCK_BYTES} from ${from} on`;
}

/** True for what is an object of JSON. */
export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** True for a number that can be one of bytes. */
export function isByteCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

// A file that is mostly holes, as the pieces that are there: real images are large, and what matters in them is small.
import { isAllZeros } from '../../src/format/zeros.ts';
import { MemoryStorage } from '../../src/storage/memory.ts';

/** Zeros in a row from which on they take no memory. */
const LEAST_HOLE_BYTES = 64 * 1024;

/**
 * As a file would have holes: whoever writes into an image that claims blocks of gigabytes fills one with zeros, which is for
 * the file to hold, not for the memory that is measured.
 */
class HoledStorage extends MemoryStorage {
  #end = 0;

  override async write(source: Uint8Array, position: number): Promise<void> {
    const end = position + source.length;
    const isHole = source.length >= LEAST_HOLE_BYTES && isAllZeros(source);
    if (isHole && end > this.#end) await this.truncate(end);
    if (isHole) return this.discard(position, source.length);
    this.#end = Math.max(this.#end, end);
    return super.write(source, position);
  }

  override async truncate(byteLength: number): Promise<void> {
    this.#end = byteLength;
    return super.truncate(byteLength);
  }
}

/** Bytes, and where they are. */
export interface Piece {
  readonly offset: number;
  readonly bytes: Uint8Array;
}

/** A file in pieces; what no piece holds is zeros. */
export class SparseBytes {
  #size: number;
  #pieces: Piece[];

  /** The pieces do not overlap, are in order, and are copied. */
  constructor(size: number, pieces: readonly Piece[]) {
    this.#size = size;
    this.#pieces = pieces.map(({ offset, bytes }) => ({ offset, bytes: Uint8Array.from(bytes) }));
  }

  /** One that holds all of an array. */
  static of(bytes: Uint8Array): SparseBytes {
    return new SparseBytes(bytes.length, [{ offset: 0, bytes }]);
  }

  /** Bytes of the file. */
  get size(): number {
    return this.#size;
  }

  /** What is there. */
  get pieces(): readonly Piece[] {
    return this.#pieces;
  }

  /** Another one with the same bytes. */
  copy(): SparseBytes {
    return new SparseBytes(this.#size, this.#pieces);
  }

  /** Bytes from an offset on, zeros where nothing is, as many as the file has. */
  read(offset: number, byteLength: number): Uint8Array {
    const target = new Uint8Array(Math.max(0, Math.min(byteLength, this.#size - offset)));
    for (const piece of this.#pieces) {
      const start = Math.max(offset, piece.offset);
      const end = Math.min(offset + target.length, piece.offset + piece.bytes.length);
      if (start < end) target.set(piece.bytes.subarray(start - piece.offset, end - piece.offset), start - offset);
    }
    return target;
  }

  /** Puts bytes over what is there; the file does not grow. */
  write(bytes: Uint8Array, offset: number): void {
    if (offset < 0 || offset >= this.#size) return;
    const end = Math.min(offset + bytes.length, this.#size);
    const before = this.#before(offset);
    const after = this.#behind(end);
    this.#pieces = [...before, { offset, bytes: bytes.slice(0, end - offset) }, ...after];
  }

  /** Cuts the file, or makes it longer. */
  truncate(size: number): void {
    this.#pieces = this.#before(size);
    this.#size = size;
  }

  /** Puts bytes in; what is behind them moves. */
  insert(bytes: Uint8Array, offset: number): void {
    const at = Math.min(offset, this.#size);
    const moved = this.#behind(at).map((piece) => ({ offset: piece.offset + bytes.length, bytes: piece.bytes }));
    this.#pieces = [...this.#before(at), { offset: at, bytes }, ...moved];
    this.#size += bytes.length;
  }

  /** Takes bytes out; what is behind them moves. */
  remove(offset: number, byteLength: number): void {
    const at = Math.min(offset, this.#size);
    const gone = Math.min(byteLength, this.#size - at);
    const moved = this.#behind(at + gone).map((piece) => ({ offset: piece.offset - gone, bytes: piece.bytes }));
    this.#pieces = [...this.#before(at), ...moved];
    this.#size -= gone;
  }

  /** A storage of its own that holds it. */
  async toStorage(name = 'fuzz.vhd'): Promise<MemoryStorage> {
    const storage = new HoledStorage(new Uint8Array(0), { name });
    for (const { offset, bytes } of this.#pieces) await storage.write(bytes, offset);
    await storage.truncate(this.#size);
    return storage;
  }

  /** All of it; for small ones. */
  toBytes(): Uint8Array {
    return this.read(0, this.#size);
  }

  #before(end: number): Piece[] {
    return this.#pieces
      .filter((piece) => piece.offset < end)
      .map(({ offset, bytes }) => ({ offset, bytes: bytes.subarray(0, end - offset) }));
  }

  #behind(start: number): Piece[] {
    return this.#pieces
      .filter((piece) => piece.offset + piece.bytes.length > start)
      .map(({ offset, bytes }) => ({
        offset: Math.max(offset, start),
        bytes: bytes.subarray(Math.max(0, start - offset)),
      }));
  }
}

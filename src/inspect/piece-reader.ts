import { VhdError, type VhdErrorCode } from '../errors.ts';
import type { ReadableDisk } from './partition-table.ts';

/** A piece of a disk that could not be read. */
export interface Damage {
  /** First byte on the disk. */
  readonly position: number;
  /** Bytes that were wanted. */
  readonly length: number;
  /** Why. */
  readonly error: VhdError;
}

/** These say something about the caller, not about the bytes that were asked for. */
const NO_DAMAGE: readonly VhdErrorCode[] = ['ERR_VHD_CLOSED', 'ERR_VHD_POISONED', 'ERR_VHD_SOURCE_CHANGED'];

/** Reads pieces of a stretch of a disk. What lies outside it or is damaged is undefined; the damage is kept. */
export class PieceReader {
  /** What could not be read so far. */
  readonly damage: Damage[] = [];
  /** First byte of the stretch on the disk. */
  readonly start: number;
  /** Bytes of the stretch. */
  readonly length: number;
  readonly #disk: ReadableDisk;

  /** A stretch, cut where the disk ends. */
  constructor(disk: ReadableDisk, start = 0, length: number = disk.size - start) {
    this.#disk = disk;
    this.start = start;
    this.length = Math.max(0, Math.min(length, disk.size - start));
  }

  /** A reader of a part of the stretch, with damage of its own. */
  part(offset: number, length: number): PieceReader {
    return new PieceReader(this.#disk, this.start + offset, length);
  }

  /** All of a piece, `offset` counted from the start of the stretch; errors of the system pass. */
  async read(offset: number, length: number): Promise<Uint8Array | undefined> {
    if (!Number.isSafeInteger(offset) || offset < 0 || offset + length > this.length) return undefined;
    const bytes = new Uint8Array(length);
    const position = this.start + offset;
    try {
      await this.#disk.read(bytes, position);
      return bytes;
    } catch (error) {
      if (!(error instanceof VhdError) || NO_DAMAGE.includes(error.code)) throw error;
      this.damage.push({ position, length, error });
      return undefined;
    }
  }

  /** As much of a piece as lies inside the stretch; undefined if it is damaged. */
  readUpTo(offset: number, length: number): Promise<Uint8Array | undefined> {
    return this.read(offset, Math.max(0, Math.min(length, this.length - offset)));
  }
}

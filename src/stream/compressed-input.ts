import { setImmediate } from 'node:timers/promises';
import { VhdError, type VhdErrorCode, type VhdErrorContext } from '../errors.ts';
import type { Compression } from '../format/compression.ts';
import { shellPath } from '../format/shell.ts';
import { isAllZeros } from '../format/zeros.ts';
import type { ByteReader } from './byte-reader.ts';

/** Bytes handed to a decoder at a time: what it finds wrong is at most so far from where it says. */
export const INPUT_BYTES = 64 * 1024;
/** Decoders that run in this thread let others have a turn after so long. */
const TURN_MILLISECONDS = 10;

/** What takes everything that the format can hold. */
const UNPACKING: Readonly<Record<Compression, string>> = {
  gzip: 'gzip -dc',
  zstd: 'zstd -dc --long=31',
  xz: 'xz -dc',
};

/** Compressed bytes on their way to a decoder, and what to say of them. */
export class CompressedInput {
  readonly reader: ByteReader;
  /** What it is. */
  readonly format: Compression;
  /** True if some of the content, as far as it was decoded, has no checksum. */
  lacksChecksum = false;
  readonly #name: string;
  #turnStartedAt = performance.now();

  /** `name` is the storage that errors name. */
  constructor(reader: ByteReader, format: Compression, name: string) {
    this.reader = reader;
    this.format = format;
    this.#name = name;
  }

  /** Lets timers, signals and other streams have their turn, if this one has lasted long enough. */
  async pause(): Promise<void> {
    if (performance.now() - this.#turnStartedAt < TURN_MILLISECONDS) return;
    await setImmediate();
    this.#turnStartedAt = performance.now();
  }

  /** The data ends before it is complete. */
  truncated(cause?: unknown): VhdError {
    const offset = this.reader.position;
    const message = `the ${this.format} data ends too early: expected more behind byte ${offset}, found its end`;
    return this.#error('ERR_VHD_TRUNCATED', message, {
      offset,
      expected: `more ${this.format} data`,
      found: 'the end',
      remedy: 'get the whole file: a copy or a download ended too early',
      cause,
    });
  }

  /** The data is damaged: `what` is a clause that says how, `offset` where it was noticed. */
  corrupt(offset: number, what: string, cause?: unknown): VhdError {
    const message = `the ${this.format} data is damaged: at about byte ${offset}, ${what}`;
    const expected = `undamaged ${this.format} data`;
    const remedy = `get a good copy of it; ${this.format} -t tells whether one is good`;
    return this.#error('ERR_VHD_CORRUPT', message, { offset, expected, found: what, remedy, cause });
  }

  /** Other bytes follow what is complete: dropping them, or the disk before them, would be a guess. */
  trailing(offset: number, cause?: unknown): VhdError {
    const message = `the ${this.format} data is followed by other bytes, at about byte ${offset}`;
    const remedy = 'get a good copy of it, or cut off what does not belong to it';
    const context = { offset, expected: `the end, or more ${this.format} data`, found: 'other bytes' };
    return this.#error('ERR_VHD_CORRUPT', message, { ...context, remedy, cause });
  }

  /** The data is fine and needs something that is not there: `what` says it. */
  unsupported(code: VhdErrorCode, what: string, expected: string, found: string): VhdError {
    const offset = this.reader.position;
    const path = this.#name === '-' ? 'FILE' : shellPath(this.#name);
    const remedy = `${UNPACKING[this.format]} ${path} | vhd convert - DISK.vhd`;
    return this.#error(code, `the ${this.format} data ${what}`, { offset, expected, found, remedy });
  }

  /** The first bytes are not those of the format that was stated. */
  notOfFormat(): VhdError {
    const message = `this is no ${this.format} data: expected its mark at the start, found other bytes`;
    const context = { offset: 0, expected: `the mark of ${this.format}`, found: 'other bytes' };
    const remedy = 'leave the format away to have it recognised';
    return this.#error('ERR_VHD_CORRUPT', message, { ...context, remedy });
  }

  #error(code: VhdErrorCode, message: string, context: VhdErrorContext): VhdError {
    return new VhdError(code, message, { storage: this.#name, ...context });
  }
}

/** Output of zeros, as most of a disk is: copies of it would fill the memory faster than it is collected. */
const SHARED_ZEROS = new Uint8Array(512 * 1024);

/** Bytes out of the memory of a decoder, which it will use again. Zeros are shared: they must not be written to. */
export function takeOut(memory: ArrayBuffer, start: number, byteLength: number): Uint8Array {
  const bytes = new Uint8Array(memory, start, byteLength);
  if (byteLength <= SHARED_ZEROS.length && isAllZeros(bytes)) return SHARED_ZEROS.subarray(0, byteLength);
  return bytes.slice();
}

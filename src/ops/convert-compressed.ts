import type { Writable } from 'node:stream';
import { VhdError } from '../errors.ts';
import { COMPRESSION_MAGIC_BYTES, COMPRESSIONS, type Compression, detectCompression } from '../format/compression.ts';
import { MAGIC_BYTES } from '../format/magic.ts';
import { shellPath } from '../format/shell.ts';
import { RAW_NAMES, VHD_NAMES } from '../open-recognise.ts';
import { ByteReader } from '../stream/byte-reader.ts';
import { CompressedInput } from '../stream/compressed-input.ts';
import { decompressInput, restOf } from '../stream/decompress.ts';
import { checkInside, endingInside, nameInside, refusingFooter, unpackCommand } from './compressed-inside.ts';
import type { FullConvertOptions, Outcome } from './convert-options.ts';
import { convertStream } from './convert-stream.ts';
import type { ProgressListener } from './progress.ts';
import { readWatched, WatchedFile } from './source-change.ts';
import { mayDecompressStream } from './source-compression.ts';

/** A file that holds a compressed disk. */
export interface CompressedFile {
  readonly path: string;
  readonly format: Compression;
}

/** Converts what a gzip, zstd or xz file holds, as if it came down a pipe. */
export async function convertCompressedFile(
  file: CompressedFile,
  target: string | Writable,
  options: FullConvertOptions,
): Promise<Outcome> {
  refuseForCompressed(file, target, options);
  const source = await WatchedFile.open(file.path);
  try {
    return await readWatched(source, () => convertOpened(source, file, target, options));
  } finally {
    await source.close();
  }
}

async function convertOpened(
  opened: WatchedFile,
  { path, format }: CompressedFile,
  target: string | Writable,
  options: FullConvertOptions,
): Promise<Outcome> {
  const { byteLength, checkUnchanged } = opened;
  const { signal, from, onProgress } = options;
  const source = opened.createReadStream();
  const unpacking = new Unpacking(source, { name: path, format, from, signal, checkUnchanged });
  try {
    // The name promises a VHD: what has no footer is no raw disk then.
    const promised = from === undefined && VHD_NAMES.includes(endingInside(path)) ? 'vhd' : from;
    const tell: ProgressListener | undefined =
      onProgress && ((progress) => onProgress({ ...progress, share: Math.min(1, opened.bytesRead / byteLength) }));
    return await convertUnpacked(unpacking, target, { ...options, from: promised, onProgress: tell });
  } finally {
    source.destroy();
  }
}

/** Converts what comes down a stream, decompressed if it is compressed. */
export async function convertAnyStream(
  source: AsyncIterable<Uint8Array>,
  target: string | Writable,
  options: FullConvertOptions,
): Promise<Outcome> {
  if (!mayDecompressStream(options)) return convertStream(source, target, options);
  const { compression, from, signal } = options;
  const format = COMPRESSIONS.find((known) => known === compression);
  return convertUnpacked(new Unpacking(source, { name: '-', format, from, signal }), target, options);
}

async function convertUnpacked(
  unpacking: Unpacking,
  target: string | Writable,
  options: FullConvertOptions,
): Promise<Outcome> {
  try {
    const outcome = await convertStream(unpacking, target, options);
    return { ...outcome, ...unpacking.report(outcome.warnings) };
  } catch (error) {
    throw unpacking.explain(error);
  }
}

/** What needs to know the disk before it is decompressed, or to go back in it. */
function refuseForCompressed(file: CompressedFile, target: string | Writable, options: FullConvertOptions): void {
  const asked = [
    [options.dryRun === true, 'a dry run'],
    [options.preallocate === true, 'preallocating'],
    [options.sizeFrom !== undefined, 'the size from another field'],
    [options.footer !== undefined, 'the choice of a footer'],
    [options.to === 'dynamic' && typeof target !== 'string', 'a dynamic image to a pipe'],
  ] as const;
  const [, what] = asked.find(([isAsked]) => isAsked) ?? [];
  if (what === undefined) return;
  const { path, format } = file;
  const remedy = `decompress it first: ${unpackCommand(path, format)} > ${shellPath(nameInside(path))}`;
  const message = `${what} needs a source that can be read twice, not a ${format} file`;
  throw new VhdError('ERR_VHD_STREAM', message, { storage: path, remedy });
}

interface UnpackingOptions {
  /** Path of the file, `-` for a stream. */
  readonly name: string;
  /** How it is compressed; undefined to find out. */
  readonly format: Compression | undefined;
  /** What it holds, where somebody said so. */
  readonly from: 'raw' | 'vhd' | undefined;
  readonly signal: AbortSignal | undefined;
  readonly checkUnchanged?: () => Promise<void>;
}

/** The bytes of a disk out of what may be compressed, and what there is to tell of it. */
class Unpacking implements AsyncIterable<Uint8Array> {
  readonly #source: AsyncIterable<Uint8Array>;
  readonly #options: UnpackingOptions;
  #format: Compression | undefined;
  #input: CompressedInput | undefined;
  #failure: unknown;

  constructor(source: AsyncIterable<Uint8Array>, options: UnpackingOptions) {
    this.#source = source;
    this.#options = options;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    const reader = new ByteReader(this.#source, this.#options.signal);
    try {
      yield* this.#unpack(reader);
    } catch (error) {
      this.#failure = error;
      throw error;
    } finally {
      await reader.cancel();
    }
  }

  /** What the report has beyond that of a stream. */
  report(warnings: readonly string[]): Pick<Outcome, 'sourceCompression' | 'warnings'> {
    const format = this.#format;
    if (format === undefined) return { warnings };
    const unchecked = `the ${format} data has no checksum: if it is damaged, nothing shows it`;
    const isUnchecked = this.#input?.lacksChecksum === true;
    return { sourceCompression: format, warnings: isUnchecked ? [...warnings, unchecked] : warnings };
  }

  /** An error of what was inside says so: its offsets are not those of the file. */
  explain(error: unknown): unknown {
    const isAboutInside = error instanceof VhdError && (error.storage === undefined || error.storage === '-');
    const format = this.#format;
    if (!isAboutInside || format === undefined || error === this.#failure || error.code === 'ERR_VHD_LIMIT') {
      return error;
    }
    const { code, message, offset, rule, expected, found, remedy, cause } = error;
    const context = { storage: this.#options.name, offset, rule, expected, found, remedy, cause };
    return new VhdError(code, `inside the ${format} data: ${message}`, context);
  }

  async *#unpack(reader: ByteReader): AsyncGenerator<Uint8Array> {
    const { name, format, checkUnchanged } = this.#options;
    this.#format = format ?? detectCompression(await reader.peek(COMPRESSION_MAGIC_BYTES));
    if (this.#format === undefined) {
      yield* restOf(reader);
      return;
    }
    this.#input = new CompressedInput(reader, this.#format, name);
    const bytes = this.#checked(decompressInput(this.#input), this.#format);
    yield* RAW_NAMES.includes(endingInside(name)) && this.#options.from === undefined
      ? refusingFooter(bytes, name)
      : bytes;
    await checkUnchanged?.();
  }

  async *#checked(bytes: AsyncGenerator<Uint8Array>, format: Compression): AsyncGenerator<Uint8Array> {
    const { name, from, signal } = this.#options;
    const reader = new ByteReader(bytes, signal);
    try {
      if (from === undefined) checkInside(await reader.peek(MAGIC_BYTES), name, format);
      yield* restOf(reader);
    } finally {
      await reader.cancel();
    }
  }
}

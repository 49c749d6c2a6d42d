import { checkOneOf, checkOptionNames } from '../errors.ts';
import { COMPRESSION_MAGIC_BYTES, COMPRESSIONS, type Compression, detectCompression } from '../format/compression.ts';
import { ByteReader } from './byte-reader.ts';
import { CompressedInput } from './compressed-input.ts';
import { gunzip } from './decompress-gzip.ts';
import { unxz } from './decompress-xz.ts';
import { unzstd } from './decompress-zstd.ts';

/** How a stream is decompressed. */
export interface DecompressOptions {
  /** What it is; default: recognised by its first bytes. */
  readonly format?: Compression | undefined;
  /** What errors call it; default `-`. */
  readonly name?: string | undefined;
  /** Stops it. */
  readonly signal?: AbortSignal | undefined;
}

const DECOMPRESS_OPTIONS = ['format', 'name', 'signal'];
const CHUNK_BYTES = 512 * 1024;
const DECODERS = { gzip: gunzip, zstd: unzstd, xz: unxz };

/**
 * The bytes that a gzip, zstd or xz stream holds; one that is none of them passes as it is. Every checksum and size that
 * the format has is verified: the end comes only if the data was complete and undamaged, and nothing else followed it.
 * Chunks of zeros are shared: they must not be written to. Holds less than 2 MiB and the window or dictionary of the data: at most 128 MiB for zstd, 64 MiB for xz.
 * @throws VhdError `ERR_VHD_TRUNCATED`, `ERR_VHD_CORRUPT` (also for other bytes behind the data), `ERR_VHD_LIMIT` (a
 *   larger window or dictionary), `ERR_VHD_UNSUPPORTED` (a dictionary of one's own; in xz filters and SHA-256);
 *   `offset` is that in the compressed bytes
 */
export function decompress(
  source: AsyncIterable<Uint8Array>,
  options: DecompressOptions = {},
): AsyncIterable<Uint8Array> {
  checkOptionNames('decompress', options, DECOMPRESS_OPTIONS);
  checkOneOf('format', options.format, COMPRESSIONS);
  return start(source, options);
}

async function* start(source: AsyncIterable<Uint8Array>, options: DecompressOptions): AsyncGenerator<Uint8Array> {
  const { signal, name = '-' } = options;
  const reader = new ByteReader(source, signal);
  try {
    const format = options.format ?? detectCompression(await reader.peek(COMPRESSION_MAGIC_BYTES));
    yield* format === undefined ? restOf(reader) : decompressInput(new CompressedInput(reader, format, name));
  } finally {
    await reader.cancel();
  }
}

/** The same for bytes that are being read already. Does not cancel the reader. */
export async function* decompressInput(input: CompressedInput): AsyncGenerator<Uint8Array> {
  const { reader, format } = input;
  if (detectCompression(await reader.peek(COMPRESSION_MAGIC_BYTES)) !== format) throw input.notOfFormat();
  yield* DECODERS[format](input);
}

/** What a reader has still to give. */
export async function* restOf(reader: ByteReader): AsyncGenerator<Uint8Array> {
  for (;;) {
    const bytes = await reader.next(CHUNK_BYTES);
    if (bytes === undefined) return;
    yield bytes;
  }
}

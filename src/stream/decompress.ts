import { checkOneOf, checkOptionNames } from '../errors.ts';
import { detectForeign } from '../format/magic.ts';
import { ByteReader } from './byte-reader.ts';
import { CompressedInput, type Compression } from './compressed-input.ts';
import { gunzip } from './decompress-gzip.ts';
import { unxz } from './decompress-xz.ts';
import { unzstd } from './decompress-zstd.ts';

/** The formats that are decompressed. */
export const COMPRESSIONS: readonly Compression[] = ['gzip', 'zstd', 'xz'];

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
/** Bytes from the start that tell a format. */
export const COMPRESSION_MAGIC_BYTES = 6;
const CHUNK_BYTES = 512 * 1024;
/** All but the first byte, which is 0x50 to 0x5F, of the mark of a skippable frame (RFC 8878, 3.1.2). */
const ZSTD_SKIPPABLE = [0x2a, 0x4d, 0x18];
const DECODERS = { gzip: gunzip, zstd: unzstd, xz: unxz };

/** Tells gzip, zstd and xz by their first bytes (6 are enough); undefined for everything else. */
export function detectCompression(head: Uint8Array): Compression | undefined {
  // A skippable frame may come first, as pzstd writes it.
  if (ZSTD_SKIPPABLE.every((byte, index) => head[index + 1] === byte) && (head[0] ?? 0) >> 4 === 5) return 'zstd';
  const kind = detectForeign(head.subarray(0, COMPRESSION_MAGIC_BYTES))?.kind;
  return COMPRESSIONS.find((compression) => compression === kind);
}

/**
 * The bytes that a gzip, zstd or xz stream holds; one that is none of them passes as it is. Every checksum and size that
 * the format has is verified: the end comes only if the data was complete and undamaged, and nothing else followed it.
 * Holds less than 2 MiB and the window or dictionary of the data: at most 128 MiB for zstd, 64 MiB for xz.
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
    const found = detectCompression(await reader.peek(COMPRESSION_MAGIC_BYTES));
    const format = options.format ?? found;
    yield* format === undefined ? restOf(reader) : decoded(new CompressedInput(reader, format, name), format, found);
  } finally {
    await reader.cancel();
  }
}

function decoded(input: CompressedInput, format: Compression, found?: Compression): AsyncGenerator<Uint8Array> {
  if (format !== found) throw input.notOfFormat();
  return DECODERS[format](input);
}

/** What a reader has still to give. */
export async function* restOf(reader: ByteReader): AsyncGenerator<Uint8Array> {
  for (;;) {
    const bytes = await reader.next(CHUNK_BYTES);
    if (bytes === undefined) return;
    yield bytes;
  }
}

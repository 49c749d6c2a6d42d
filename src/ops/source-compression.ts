import { basename, extname } from 'node:path';
import { examine } from '../disk/recognise.ts';
import { VhdError } from '../errors.ts';
import { COMPRESSION_MAGIC_BYTES, type Compression, detectCompression } from '../format/compression.ts';
import { RAW_NAMES, VHD_NAMES } from '../open-recognise.ts';
import { FileStorage } from '../storage/file.ts';
import type { ConvertOptions } from './convert-options.ts';

const COMPRESSED_NAMES: readonly string[] = ['.gz', '.tgz', '.zst', '.tzst', '.zstd', '.xz', '.txz'];
const IMAGE_NAMES: readonly string[] = [...RAW_NAMES, ...VHD_NAMES, '.dd', '.bin'];

/** What decides about decompressing; see {@link ConvertOptions}. */
export type CompressionOptions = Pick<ConvertOptions, 'compression' | 'from'>;

/**
 * Whether the bytes of a stream are looked at for a compression. Where somebody said what they are that is what they
 * are, so that no guest can have its disk decompressed by what it writes to its first sector.
 */
export function mayDecompressStream({ compression, from }: CompressionOptions): boolean {
  return compression === undefined ? from === undefined : compression !== 'none';
}

/** The ending of a name that promises compressed content; undefined if it has none. */
export function compressedEnding(path: string): string | undefined {
  const extension = extname(basename(path)).toLowerCase();
  return COMPRESSED_NAMES.includes(extension) ? extension : undefined;
}

/**
 * How a file is to be decompressed; undefined if it is to be read as it is. The content decides, and the name is held
 * against it; where `from` says what the file is, a name that promises compressed content is what it takes.
 * @throws VhdError `ERR_VHD_AMBIGUOUS` where name and content contradict
 */
export async function compressionOf(path: string, options: CompressionOptions): Promise<Compression | undefined> {
  if (options.compression === 'none') return undefined;
  if (options.compression !== undefined) return options.compression;
  const ending = compressedEnding(path);
  if (ending === undefined && options.from !== undefined) return undefined;
  const found = detectCompression(await headOf(path, COMPRESSION_MAGIC_BYTES));
  if (ending !== undefined) {
    if (found === undefined) throw notCompressed(path, ending);
    return found;
  }
  // The disk of a guest can begin with anything; a footer says what it is.
  if (found === undefined || (await hasFooter(path))) return undefined;
  const extension = extname(basename(path)).toLowerCase();
  if (IMAGE_NAMES.includes(extension)) throw notNamedCompressed(path, extension, found);
  return found;
}

function notCompressed(path: string, ending: string): VhdError {
  return new VhdError('ERR_VHD_AMBIGUOUS', `it is named ${ending} but does not begin like gzip, zstd or xz data`, {
    storage: path,
    offset: 0,
    expected: 'the mark of gzip, zstd or xz',
    found: 'other bytes',
    remedy: 'get a good copy of it; if it is not compressed, say --compression none',
  });
}

function notNamedCompressed(path: string, extension: string, found: Compression): VhdError {
  return new VhdError('ERR_VHD_AMBIGUOUS', `it is named ${extension} but begins like ${found} data`, {
    storage: path,
    offset: 0,
    expected: 'a VHD or a raw disk',
    found: `the mark of ${found}`,
    remedy: `say --compression ${found} to decompress it, or --from raw if the disk begins like that`,
  });
}

async function headOf(path: string, byteLength: number): Promise<Uint8Array> {
  const storage = await FileStorage.open(path, { writable: false });
  try {
    const head = new Uint8Array(Math.min(byteLength, await storage.size()));
    await storage.read(head, 0);
    return head;
  } finally {
    await storage.close();
  }
}

async function hasFooter(path: string): Promise<boolean> {
  const storage = await FileStorage.open(path, { writable: false });
  try {
    const { footer, refusal } = await examine(storage);
    return footer !== undefined || refusal?.code !== 'ERR_VHD_NOT_VHD';
  } finally {
    await storage.close();
  }
}

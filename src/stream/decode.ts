import { BITMAP_POLICIES, type BitmapPolicy } from '../disk/bitmap-rule.ts';
import { refusalOf } from '../disk/recognise.ts';
import { checkOneOf, checkOptionNames, VhdError } from '../errors.ts';
import { decodeFooter, type Footer, isFooter } from '../format/footer.ts';
import { FOOTER_BYTES, vhdTypeOf } from '../format/spec.ts';
import { ByteReader } from './byte-reader.ts';
import { decodeDynamic } from './decode-dynamic.ts';
import { decodeFlat } from './decode-flat.ts';

/** Bytes of the virtual disk that came down the stream. */
export interface DecodedExtent {
  /** First byte on the virtual disk. */
  readonly start: number;
  /** The bytes; the receiver's to keep. */
  readonly bytes: Uint8Array;
}

/** What a stream turned out to hold, known at its end. */
export interface DecodedEnd {
  /** `raw` only where `allowRaw` was given and no footer came. */
  readonly type: 'fixed' | 'dynamic' | 'raw';
  /** Virtual size in bytes. */
  readonly size: number;
  /** The footer; undefined for raw. */
  readonly footer: Footer | undefined;
}

/** A VHD coming down a stream. Take it by `extents` or by `raw`, once. */
export interface DecodedVhd {
  /** Type where the front of the stream tells it; undefined for a fixed disk, whose footer comes last. */
  readonly type: 'dynamic' | undefined;
  /** Virtual size in bytes, where the front of the stream tells it. */
  readonly size: number | undefined;
  /** True if the blocks come in ascending order, so that `raw` is possible. */
  readonly isAscending: boolean;
  /** The stored bytes in the order they come; what is not among them is zero. */
  extents(): AsyncIterable<DecodedExtent>;
  /**
   * The whole disk in order, zeros included. Rejects at once with `ERR_VHD_STREAM` if the blocks come in another order.
   * Chunks of zeros are shared: they must not be written to.
   */
  raw(): AsyncIterable<Uint8Array>;
  /** What it was; undefined until `extents` or `raw` ran to its end. */
  end(): DecodedEnd | undefined;
}

/** How a stream is decoded. */
export interface DecodeOptions {
  /** Take a stream without any footer as raw bytes instead of rejecting. Default false. */
  readonly allowRaw?: boolean | undefined;
  /** What a clear bitmap bit over other bytes than zeros means; default as in `openVhdStorage`. */
  readonly bitmap?: BitmapPolicy | undefined;
  /** Stops it. */
  readonly signal?: AbortSignal | undefined;
}

const DECODE_OPTIONS = ['allowRaw', 'bitmap', 'signal'];

/**
 * Decodes a VHD that comes down a pipe, in bounded memory: the front of a dynamic image with its table (at most 32 MiB)
 * and half a megabyte of data at a time. A fixed image has no mark in front, so the last 512 bytes are held back and
 * judged at the end. A stream that ends too early, or without its footer, rejects with `ERR_VHD_TRUNCATED`.
 * @throws VhdError `ERR_VHD_NOT_VHD`, `ERR_VHD_CORRUPT`, `ERR_VHD_DIFFERENCING`, `ERR_VHD_STREAM` (structures in an
 *   order that needs seeking), `ERR_VHD_BITMAP`, `ERR_VHD_LIMIT`
 */
export async function decodeVhd(source: AsyncIterable<Uint8Array>, options: DecodeOptions = {}): Promise<DecodedVhd> {
  checkOptionNames('decodeVhd', options, DECODE_OPTIONS);
  checkOneOf('bitmap', options.bitmap, BITMAP_POLICIES);
  return decodeReader(new ByteReader(source, options.signal), options);
}

/** The same for bytes that are being read already. */
export async function decodeReader(reader: ByteReader, options: DecodeOptions): Promise<DecodedVhd> {
  try {
    options.signal?.throwIfAborted();
    return await decodeFront(reader, options);
  } catch (error) {
    await reader.cancel().catch(() => undefined);
    throw error;
  }
}

async function decodeFront(reader: ByteReader, options: DecodeOptions): Promise<DecodedVhd> {
  const front = await reader.peek(FOOTER_BYTES);
  const decoded = front.length === FOOTER_BYTES ? decodeFooter(front) : undefined;
  if (decoded === undefined || !isFooter(decoded)) return decodeFlat(reader, options);
  const footer = decoded.value;
  const type = vhdTypeOf(footer.diskType);
  if (type === 'dynamic') {
    const refusal = refusalOf('-', decoded.findings);
    if (refusal !== undefined) throw refusal;
  }
  if (type === 'differencing') {
    throw new VhdError(
      'ERR_VHD_DIFFERENCING',
      'the stream is a differencing disk: what it does not hold is in its parent',
      {
        expected: 'a fixed or dynamic disk',
        found: 'a differencing disk',
        remedy: 'flatten it with a program that reads chains: 7z x, VBoxManage clonemedium, Convert-VHD',
      },
    );
  }
  return type === 'dynamic' ? decodeDynamic(reader, footer, options) : decodeFlat(reader, options);
}

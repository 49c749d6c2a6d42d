import { VhdError } from '../errors.ts';
import { MAGIC_BYTES } from '../format/magic.ts';
import { alignUp, SECTOR_BYTES } from '../format/spec.ts';
import { GPT_SIGN_BYTES } from '../inspect/gpt-move.ts';
import { checkNotForeign } from '../open-recognise.ts';
import type { ByteReader } from '../stream/byte-reader.ts';
import { type DecodedEnd, type DecodedVhd, decodeReader } from '../stream/decode.ts';
import { refuseUnsizedGpt } from './azure.ts';
import type { FullConvertOptions } from './convert-options.ts';
import { expectSize } from './expected-size.ts';

/** The disk that comes down a stream: raw bytes, or a VHD that is told by its front or its end. */
export async function decodeSource(reader: ByteReader, options: FullConvertOptions): Promise<DecodedVhd> {
  if (options.azure === true && options.inputSize === undefined) {
    refuseUnsizedGpt(await reader.peek(GPT_SIGN_BYTES));
  }
  const decoded = await decodeAny(reader, options);
  return options.inputSize === undefined ? decoded : expectSize(decoded, options.inputSize);
}

async function decodeAny(reader: ByteReader, options: FullConvertOptions): Promise<DecodedVhd> {
  if (options.from === 'raw') return rawSource(reader, options.signal);
  if (options.from === undefined) checkNotForeign(await reader.peek(MAGIC_BYTES), '-');
  const { bitmap, signal } = options;
  return decodeReader(reader, { allowRaw: options.from === undefined, bitmap, signal });
}

/** A stream that is raw because the user says so, even where a footer ends it. */
function rawSource(reader: ByteReader, signal?: AbortSignal): DecodedVhd {
  let end: DecodedEnd | undefined;
  async function* raw(): AsyncGenerator<Uint8Array> {
    for (;;) {
      signal?.throwIfAborted();
      const bytes = await reader.next(512 * 1024);
      if (bytes === undefined) break;
      yield bytes;
    }
    end = { type: 'raw', size: reader.position, footer: undefined };
  }
  async function* extents(): AsyncGenerator<{ start: number; bytes: Uint8Array }> {
    let start = 0;
    for await (const bytes of raw()) {
      yield { start, bytes };
      start += bytes.length;
    }
  }
  return { type: undefined, size: undefined, isAscending: true, extents, raw, end: () => end };
}

/** What the stream turned out to hold, when it was read to its end. */
export function endOf(decoded: DecodedVhd): DecodedEnd {
  const end = decoded.end();
  if (end === undefined) throw new Error('the stream was not read to its end');
  return end;
}

/**
 * The virtual size of a disk of which `byteLength` bytes came.
 * @throws VhdError `ERR_VHD_SIZE` if that is nothing, or no whole sector and `pad` is not given
 */
export function paddedSize(byteLength: number, options: FullConvertOptions): number {
  if (byteLength === 0) {
    throw new VhdError('ERR_VHD_SIZE', 'the stream was empty: expected a disk image, found 0 bytes', { storage: '-' });
  }
  const padded = alignUp(byteLength, SECTOR_BYTES);
  if (padded === byteLength || options.pad === true) return padded;
  throw new VhdError(
    'ERR_VHD_SIZE',
    `a raw disk is a whole number of sectors: expected a multiple of 512 bytes, found ${byteLength}`,
    {
      storage: '-',
      expected: 'a multiple of 512 bytes',
      found: `${byteLength} bytes`,
      remedy: `--pad fills it up with zeros to ${padded} bytes`,
    },
  );
}

import { refusalOf } from '../disk/recognise.ts';
import { VhdError } from '../errors.ts';
import { decodeFooter, type Footer } from '../format/footer.ts';
import { FOOTER_BYTES, LEGACY_FOOTER_BYTES, vhdTypeOf } from '../format/spec.ts';
import type { ByteReader } from './byte-reader.ts';
import type { DecodedEnd, DecodedExtent, DecodedVhd, DecodeOptions } from './decode.ts';
import { onceOnly } from './once.ts';

const CHUNK_BYTES = 512 * 1024;

/** A stream with no mark in front: a fixed image if a footer ends it, else raw bytes where those are allowed. */
export function decodeFlat(reader: ByteReader, options: DecodeOptions): DecodedVhd {
  let end: DecodedEnd | undefined;
  async function* extents(): AsyncGenerator<DecodedExtent> {
    try {
      yield* readExtents();
    } finally {
      await reader.cancel();
    }
  }
  async function* readExtents(): AsyncGenerator<DecodedExtent> {
    let held: Uint8Array = new Uint8Array(0);
    let start = 0;
    for (;;) {
      options.signal?.throwIfAborted();
      const chunk = await reader.next(CHUNK_BYTES);
      if (chunk === undefined) break;
      const [ready, kept] = holdBack(held, chunk);
      held = kept;
      for (const bytes of ready) {
        yield { start, bytes };
        start += bytes.length;
      }
    }
    const { data, footer } = splitTail(held, start);
    end = judge(footer, start + data.length, options);
    if (data.length > 0) yield { start, bytes: data };
  }
  async function* raw(): AsyncGenerator<Uint8Array> {
    for await (const { bytes } of extents()) yield bytes;
  }
  const once = onceOnly('a decoded stream');
  return {
    type: undefined,
    size: undefined,
    isAscending: true,
    extents: once(extents),
    raw: once(raw),
    end: () => end,
  };
}

/** Keeps the last 512 bytes seen so far: what is certainly data, and what might be the footer. */
function holdBack(held: Uint8Array, chunk: Uint8Array): [ready: Uint8Array[], kept: Uint8Array] {
  const excess = held.length + chunk.length - FOOTER_BYTES;
  const kept = new Uint8Array(Math.min(FOOTER_BYTES, held.length + chunk.length));
  if (excess <= 0) {
    kept.set(held);
    kept.set(chunk, held.length);
    return [[], kept];
  }
  const fromHeld = Math.min(held.length, excess);
  const fromChunk = excess - fromHeld;
  kept.set(held.subarray(fromHeld));
  kept.set(chunk.subarray(fromChunk), held.length - fromHeld);
  return [[held.subarray(0, fromHeld), chunk.subarray(0, fromChunk)].filter((part) => part.length > 0), kept];
}

/** What of the bytes held back is data, and the footer behind it if there is one. `start` is where they begin. */
function splitTail(held: Uint8Array, start: number): { data: Uint8Array; footer: Footer | undefined } {
  for (const byteLength of [FOOTER_BYTES, LEGACY_FOOTER_BYTES]) {
    if (held.length < byteLength) continue;
    const offset = held.length - byteLength;
    const decoded = decodeFooter(held.subarray(offset), start + offset);
    // No cookie: data. A cookie and anything that makes an image unreadable: a damaged VHD, not a raw disk.
    if (decoded.findings.some((item) => item.rule === 'footer.cookie')) continue;
    const refusal = refusalOf('-', decoded.findings);
    if (refusal !== undefined) throw refusal;
    return { data: held.subarray(0, offset), footer: decoded.value };
  }
  return { data: held, footer: undefined };
}

function judge(footer: Footer | undefined, byteLength: number, options: DecodeOptions): DecodedEnd {
  if (footer === undefined) {
    if (options.allowRaw === true) return { type: 'raw', size: byteLength, footer: undefined };
    throw new VhdError(
      'ERR_VHD_NOT_VHD',
      `the stream is no VHD: no footer at its start and none at its end, after ${byteLength} bytes`,
      {
        offset: byteLength,
        expected: "'conectix' in the first or the last 512 bytes",
        found: 'other bytes',
      },
    );
  }
  const type = vhdTypeOf(footer.diskType);
  if (type === 'fixed' && footer.currentSize === byteLength) return { type: 'fixed', size: byteLength, footer };
  if (type === 'fixed' && footer.currentSize > byteLength) {
    const expected = `${footer.currentSize} bytes`;
    throw new VhdError(
      'ERR_VHD_TRUNCATED',
      `the stream is too short for its footer: expected ${expected} before it, found ${byteLength}`,
      {
        offset: byteLength,
        expected,
        found: `${byteLength} bytes`,
      },
    );
  }
  const expected = type === 'fixed' ? `${footer.currentSize} bytes before the footer` : 'the footer of a fixed disk';
  const found = type === 'fixed' ? `${byteLength}` : `disk type ${footer.diskType}, without its front`;
  throw new VhdError(
    'ERR_VHD_CORRUPT',
    `the footer at the end of the stream does not fit it: expected ${expected}, found ${found}`,
    {
      offset: byteLength,
      expected,
      found,
    },
  );
}

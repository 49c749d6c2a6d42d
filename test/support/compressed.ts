// Compressed data for tests that must not need another program: made by xz 5.4 and zstd 1.5, or put together here.
import { gzipSync } from 'node:zlib';

/** What the samples hold: 32 sectors. */
export const SAMPLE: Uint8Array = new TextEncoder().encode('a quick disk 01\n'.repeat(1024));

const fromBase64 = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'base64'));
const LZMA2 =
  '4D//AEddADCICieTu3JGNmv/lOC6W9jeQQzmYzPcvqB9obmKmtzZ66kMAO07IPO8euiz/lG8LvTh+E6fS6J0T5iG0kDmTPTdUgi/U2AAAA';
const XZ_TAIL = 'BWJ90YxZtyNwABY4CAAQAAt8VIELHEZ/sCAAAAAARZWg==';

/** {@link SAMPLE} as the programs make it by default; all of them with a checksum. */
export const SAMPLES: Readonly<Record<'gzip' | 'zstd' | 'xz', Uint8Array>> = {
  gzip: new Uint8Array(gzipSync(SAMPLE)),
  zstd: fromBase64('KLUv/WQAP8UAAIBhIHF1aWNrIGRpc2sgMDEKAQDa//BzCZ2DQdc='),
  xz: fromBase64(`/Td6WFoAAATm1rRGAgAhARYAAAB0L+Wj${LZMA2}${XZ_TAIL}`),
};

/** {@link SAMPLE} in ways that are refused, or taken with a warning; named by the options that make them. */
export const ODD_SAMPLES = {
  'xz --check=none': fromBase64(`/Td6WFoAAAD/EtlBAgAhARYAAAB0L+Wj${LZMA2}AAAVuAgAEAAHdAYfioAAr8AgAAAAAAWVo=`),
  'xz --check=sha256': fromBase64(
    `/Td6WFoAAArh+wyhAgAhARYAAAB0L+Wj${LZMA2}CS7SBHSdl/qKXBMsS+nDqHfYI52eCyNNdEJ+6FORHZfAABe4CAAQAAQUXN/7bp3xwCAAAAAApZWg==`,
  ),
  'xz --x86 --lzma2': fromBase64(`/Td6WFoAAATm1rRGAgEEACEBFgANhjUf${LZMA2}${XZ_TAIL}`),
  'xz --lzma2=dict=128MiB': fromBase64(`/Td6WFoAAATm1rRGAgAhAR4AAACbB1Fm${LZMA2}${XZ_TAIL}`),
  'zstd --no-check': fromBase64('KLUv/WAAP8UAAIBhIHF1aWNrIGRpc2sgMDEKAQDa//BzCQ=='),
  'zstd --long=28': fromBase64('KLUv/QSQxQAAgGEgcXVpY2sgZGlzayAwMQoBANr/8HMJnYNB1w=='),
};

const BLOCK_BYTES = 128 * 1024;
const ZSTD_MARK = [0x28, 0xb5, 0x2f, 0xfd];

/** A zstd frame (RFC 8878) of zeros: so many blocks of 128 KiB, four bytes each. Without a checksum. */
export function zeroFrame(blockCount: number): Uint8Array {
  // Descriptor: no size, no checksum; window of 2^(10 + 7) bytes.
  const frame = new Uint8Array(6 + 4 * blockCount);
  frame.set([...ZSTD_MARK, 0, 7 << 3]);
  for (let block = 0; block < blockCount; block++) {
    const header = (block === blockCount - 1 ? 1 : 0) | (1 << 1) | (BLOCK_BYTES << 3);
    frame.set([header & 255, (header >> 8) & 255, header >> 16, 0], 6 + 4 * block);
  }
  return frame;
}

/** A zstd frame of one stored block that says that it holds `statedBytes`. Without a checksum. */
export function storedFrame(content: Uint8Array, statedBytes: number): Uint8Array {
  const header = 1 | (content.length << 3);
  // Descriptor: one segment, the size in four bytes.
  const size = [statedBytes & 255, (statedBytes >> 8) & 255, (statedBytes >> 16) & 255, statedBytes >>> 24];
  return Uint8Array.from([
    ...ZSTD_MARK,
    (2 << 6) | (1 << 5),
    ...size,
    header & 255,
    (header >> 8) & 255,
    header >> 16,
    ...content,
  ]);
}

/** A skippable frame of zstd. */
export function skippableFrame(content: Uint8Array): Uint8Array {
  return Uint8Array.from([0x5a, 0x2a, 0x4d, 0x18, content.length & 255, content.length >> 8, 0, 0, ...content]);
}

/** Arrays one after the other. */
export function concatenated(...parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts));
}

import type { Writable } from 'node:stream';
import { FOOTER_BYTES } from '../format/spec.ts';
import type { ByteReader } from '../stream/byte-reader.ts';
import { ContentDigest } from './content-uuid.ts';
import { type FullConvertOptions, type Outcome, wantsContentUuid } from './convert-options.ts';
import { fixedFooter } from './fixed-footer.ts';
import { paddedWarnings } from './padding.ts';
import { ProgressMeter } from './progress.ts';
import { pumpTo } from './pump.ts';
import { shapeStream } from './shape-stream.ts';
import { decodeSource, endOf, paddedSize } from './stream-source.ts';

/** From a stream to a stream: the bytes of the disk in order, and behind them the footer of a fixed image. */
export async function pipeStream(reader: ByteReader, target: Writable, options: FullConvertOptions): Promise<Outcome> {
  const decoded = await decodeSource(reader, options);
  const meter = new ProgressMeter('copy', decoded.size, options.onProgress);
  const shaped = shapeStream(decoded, options);
  const digest = wantsContentUuid(options) ? new ContentDigest() : undefined;
  const bytesOut = async function* (): AsyncGenerator<Uint8Array> {
    let position = 0;
    for await (const bytes of shaped.bytes) {
      digest?.update(bytes, position);
      yield bytes;
      position += bytes.length;
      meter.copied(bytes.length);
    }
    if (options.to === 'fixed') yield fixedFooter(position, options, digest?.uuid(position));
  };
  await pumpTo(bytesOut(), target, options.signal);
  meter.finish();
  const { type: sourceType, size: dataBytes } = endOf(decoded);
  const { size, changes } = shaped.end();
  const fileSize = size + (options.to === 'fixed' ? FOOTER_BYTES : 0);
  const warnings = paddedWarnings(dataBytes, paddedSize(dataBytes, options));
  return { virtualSize: size, fileSize, sourceType, copiedBytes: size, skippedBytes: 0, warnings, changes };
}

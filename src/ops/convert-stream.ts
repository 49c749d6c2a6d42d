import type { Writable } from 'node:stream';
import { checkImageSize, createVhdStorage, type ImageIdentity, identityFields } from '../disk/create-storage.ts';
import type { Disk } from '../disk/disk.ts';
import { GrowingImage } from '../disk/growing-image.ts';
import { settleAll } from '../disk/settle.ts';
import { VhdError } from '../errors.ts';
import { encodeFooter } from '../format/footer.ts';
import { MAGIC_BYTES } from '../format/magic.ts';
import { newFooter } from '../format/new-footer.ts';
import { alignUp, FOOTER_BYTES, SECTOR_BYTES } from '../format/spec.ts';
import { dataRuns, isAllZeros } from '../format/zeros.ts';
import { checkNotForeign } from '../open.ts';
import type { FileStorage } from '../storage/file.ts';
import { ByteReader } from '../stream/byte-reader.ts';
import { type DecodedEnd, type DecodedVhd, decodeReader } from '../stream/decode.ts';
import { GatheringWriter } from '../stream/gathering-writer.ts';
import type { FullConvertOptions, Outcome } from './convert-options.ts';
import { HOLE_GRAIN_BYTES } from './copy.ts';
import { OutputFile } from './output-file.ts';
import { paddedWarnings } from './padding.ts';
import { ProgressMeter } from './progress.ts';
import { pumpTo } from './pump.ts';
import { leadsToDevice } from './same-file.ts';

/** Converts what comes down a stream: raw bytes, or a VHD that is told by its front or its end. */
export async function convertStream(
  source: AsyncIterable<Uint8Array>,
  target: string | Writable,
  options: FullConvertOptions,
): Promise<Outcome> {
  if (options.dryRun === true) {
    throw new TypeError('convert: dryRun needs a source that can be read twice, not a stream');
  }
  const reader = new ByteReader(source, options.signal);
  try {
    if (options.to === 'dynamic' && typeof target !== 'string') throw dynamicPipeError();
    if (options.preallocate === true) {
      throw new TypeError('convert: preallocate needs a source whose size is known, not a stream');
    }
    // Before anything is read: what is wrong with the options would otherwise show at the end of the stream.
    checkIdentity(options);
    return await (typeof target === 'string' ? toFile(reader, target, options) : toStream(reader, target, options));
  } finally {
    await reader.cancel();
  }
}

function checkIdentity(options: FullConvertOptions): void {
  identityFields(identityOf(options));
  if (options.to === 'dynamic') checkImageSize(SECTOR_BYTES, 'dynamic', options.blockSize);
}

function dynamicPipeError(): VhdError {
  return new VhdError(
    'ERR_VHD_STREAM',
    'a dynamic image cannot be written to a pipe while its source is one: its table comes first and is known last',
    { remedy: 'write it to a file, or write a fixed image: --to fixed' },
  );
}

async function decodeSource(reader: ByteReader, options: FullConvertOptions): Promise<DecodedVhd> {
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

async function toDevice(reader: ByteReader, path: string, options: FullConvertOptions): Promise<Outcome> {
  const { writeStreamToDevice } = await import('./output-device.ts');
  const decode = (): Promise<DecodedVhd> => decodeSource(reader, options);
  const sizeOf = (decoded: DecodedVhd): number => paddedSize(endOf(decoded).size, options);
  const { decoded, ...written } = await writeStreamToDevice({ decode, sizeOf }, path, options);
  const { type: sourceType, size } = endOf(decoded);
  return { ...written, sourceType, warnings: paddedWarnings(size, written.virtualSize) };
}

async function toFile(reader: ByteReader, path: string, options: FullConvertOptions): Promise<Outcome> {
  if (await leadsToDevice(path)) return toDevice(reader, path, options);
  const output = await OutputFile.create(path, options);
  try {
    const decoded = await decodeSource(reader, options);
    const meter = new ProgressMeter('copy', decoded.size, options.onProgress);
    const known = decoded.type === 'dynamic' && options.to === 'dynamic';
    const filled = await (known ? fillKnown : fillUnknown)(decoded, output.storage, options, meter);
    const fileSize = await output.commit();
    meter.skipped(Math.max(0, filled.virtualSize - meter.copiedBytes - meter.skippedBytes));
    meter.finish();
    return {
      ...filled,
      fileSize,
      copiedBytes: meter.copiedBytes,
      skippedBytes: filled.virtualSize - meter.copiedBytes,
    };
  } catch (error) {
    await output.discard();
    throw error;
  }
}

type Filled = Pick<Outcome, 'virtualSize' | 'sourceType' | 'warnings'>;

/** A dynamic image whose front told its size: its blocks go to a new one in whatever order they come. */
async function fillKnown(
  decoded: DecodedVhd,
  storage: FileStorage,
  options: FullConvertOptions,
  meter: ProgressMeter,
): Promise<Filled> {
  const size = paddedSize(decoded.size ?? 0, options);
  const disk = await createVhdStorage(storage, {
    ...identityOf(options),
    size,
    type: 'dynamic',
    blockSize: options.blockSize,
  });
  for await (const { start, bytes } of decoded.extents()) {
    if (isAllZeros(bytes)) continue;
    await disk.write(bytes, start);
    meter.copied(bytes.length);
  }
  await disk.close();
  return { virtualSize: size, sourceType: 'dynamic', warnings: paddedWarnings(decoded.size ?? size, size) };
}

/** Bytes in order whose number is known at the end; raw and fixed take the blocks of an image in any order. */
async function fillUnknown(
  decoded: DecodedVhd,
  storage: FileStorage,
  options: FullConvertOptions,
  meter: ProgressMeter,
): Promise<Filled> {
  const image =
    options.to === 'dynamic' ? new GrowingImage(storage, options.blockSize, identityOf(options)) : undefined;
  const target =
    image === undefined ? skipZeros(storage, meter, HOLE_GRAIN_BYTES) : skipZeros(image, meter, options.blockSize);
  if (decoded.type === 'dynamic') {
    for await (const { start, bytes } of decoded.extents()) await target.write(bytes, start);
  } else {
    const writer = new GatheringWriter(target, 0);
    for await (const bytes of decoded.raw()) await writer.write(bytes);
    await writer.end();
  }
  const end = endOf(decoded);
  const size = paddedSize(end.size, options);
  const warnings = paddedWarnings(end.size, size);
  await (image === undefined ? finishFlat(storage, size, options) : image.finish(size));
  return { virtualSize: size, sourceType: end.type, warnings };
}

function skipZeros(target: Pick<Disk, 'write'>, meter: ProgressMeter, grainBytes: number): Pick<Disk, 'write'> {
  return {
    async write(source, position) {
      const runs = dataRuns(source, grainBytes, position);
      // Begun together: other pieces are on their way, and blocks get their places in the order in which writes begin.
      await settleAll(
        runs.map((run) => target.write(source.subarray(run.start, run.start + run.length), position + run.start)),
      );
      const copiedBytes = runs.reduce((sum, run) => sum + run.length, 0);
      meter.copied(copiedBytes);
      meter.skipped(source.length - copiedBytes);
    },
  };
}

async function finishFlat(storage: FileStorage, size: number, options: FullConvertOptions): Promise<void> {
  await storage.truncate(size);
  if (options.to === 'raw') return;
  await storage.write(encodeFooter(newFooter({ type: 'fixed', size, ...identityFields(identityOf(options)) })), size);
}

async function toStream(reader: ByteReader, target: Writable, options: FullConvertOptions): Promise<Outcome> {
  const decoded = await decodeSource(reader, options);
  const meter = new ProgressMeter('copy', decoded.size, options.onProgress);
  let size = 0;
  const bytesOut = async function* (): AsyncGenerator<Uint8Array> {
    for await (const bytes of decoded.raw()) {
      yield bytes;
      meter.copied(bytes.length);
    }
    const dataBytes = endOf(decoded).size;
    size = paddedSize(dataBytes, options);
    if (size > dataBytes) yield new Uint8Array(size - dataBytes);
    if (options.to === 'fixed') {
      yield encodeFooter(newFooter({ type: 'fixed', size, ...identityFields(identityOf(options)) }));
    }
  };
  await pumpTo(bytesOut(), target, options.signal);
  meter.finish();
  const { type: sourceType, size: dataBytes } = endOf(decoded);
  const fileSize = size + (options.to === 'fixed' ? FOOTER_BYTES : 0);
  return {
    virtualSize: size,
    fileSize,
    sourceType,
    copiedBytes: size,
    skippedBytes: 0,
    warnings: paddedWarnings(dataBytes, size),
  };
}

function endOf(decoded: DecodedVhd): DecodedEnd {
  const end = decoded.end();
  if (end === undefined) throw new Error('the stream was not read to its end');
  return end;
}

function identityOf(options: FullConvertOptions): ImageIdentity {
  const { uuid, timestamp, creator, geometry } = options;
  return { uuid, timestamp, creator, geometry };
}

function paddedSize(byteLength: number, options: FullConvertOptions): number {
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

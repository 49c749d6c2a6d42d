import type { Writable } from 'node:stream';
import { checkImageSize, createVhdStorage, identityFields } from '../disk/create-storage.ts';
import type { Disk } from '../disk/disk.ts';
import { GrowingImage } from '../disk/growing-image.ts';
import { VhdError } from '../errors.ts';
import { SECTOR_BYTES } from '../format/spec.ts';
import { dataRuns, isAllZeros } from '../format/zeros.ts';
import { borrowed } from '../storage/borrowed.ts';
import type { FileStorage } from '../storage/file.ts';
import { settleAll } from '../storage/settle.ts';
import { ByteReader } from '../stream/byte-reader.ts';
import type { DecodedVhd } from '../stream/decode.ts';
import { GatheringWriter } from '../stream/gathering-writer.ts';
import { type AzureShape, planAzure } from './azure.ts';
import { type FullConvertOptions, identityOf, type Outcome, wantsContentUuid } from './convert-options.ts';
import { pipeStream } from './convert-pipe.ts';
import { HOLE_GRAIN_BYTES } from './copy.ts';
import { fixedFooter } from './fixed-footer.ts';
import { OutputFile } from './output-file.ts';
import { paddedWarnings } from './padding.ts';
import { ProgressMeter } from './progress.ts';
import { leadsToDevice } from './same-file.ts';
import { decodeSource, endOf, paddedSize } from './stream-source.ts';

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
    return await (typeof target === 'string' ? toFile(reader, target, options) : pipeStream(reader, target, options));
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

async function toDevice(reader: ByteReader, path: string, options: FullConvertOptions): Promise<Outcome> {
  const { writeStreamToDevice } = await import('./output-device.ts');
  const decode = (): Promise<DecodedVhd> => decodeSource(reader, options);
  const sizeOf = (decoded: DecodedVhd): number => paddedSize(endOf(decoded).size, options);
  const { decoded, ...written } = await writeStreamToDevice({ decode, sizeOf }, path, options);
  const { type: sourceType, size } = endOf(decoded);
  return { ...written, sourceType, warnings: paddedWarnings(size, written.virtualSize), changes: [] };
}

async function toFile(reader: ByteReader, path: string, options: FullConvertOptions): Promise<Outcome> {
  if (await leadsToDevice(path)) return toDevice(reader, path, options);
  const output = await OutputFile.create(path, options);
  try {
    const decoded = await decodeSource(reader, options);
    const meter = new ProgressMeter('copy', decoded.size, options.onProgress);
    const known = decoded.size !== undefined && options.to === 'dynamic';
    const filled = await (known ? fillKnown : fillUnknown)(decoded, output.storage, options, meter);
    if (wantsContentUuid(options)) await stamp(output.storage, options);
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

/** Only what is written tells what the disk holds: the identifier comes last. */
async function stamp(storage: FileStorage, { to, signal }: FullConvertOptions): Promise<void> {
  const { stampContentUuid } = await import('./content-uuid.ts');
  await stampContentUuid(storage, to === 'dynamic' ? 'dynamic' : 'fixed', signal);
}

type Filled = Pick<Outcome, 'virtualSize' | 'sourceType' | 'warnings' | 'changes'>;

/** A disk whose size is known: it goes to a new image that has its table in front, in whatever order it comes. */
async function fillKnown(
  decoded: DecodedVhd,
  storage: FileStorage,
  options: FullConvertOptions,
  meter: ProgressMeter,
): Promise<Filled> {
  const { blockSize } = options;
  const size = paddedSize(decoded.size ?? 0, options);
  const image = { ...identityOf(options), size, type: 'dynamic', blockSize } as const;
  const disk = await createVhdStorage(borrowed(storage), image);
  if (decoded.type === 'dynamic') {
    for await (const { start, bytes } of decoded.extents()) {
      if (isAllZeros(bytes)) continue;
      await disk.write(bytes, start);
      meter.copied(bytes.length);
    }
  } else {
    await writeInOrder(decoded, skipZeros(disk, meter, blockSize));
  }
  await disk.close();
  const warnings = paddedWarnings(decoded.size ?? size, size);
  return { virtualSize: size, sourceType: endOf(decoded).type, warnings, changes: [] };
}

async function writeInOrder(decoded: DecodedVhd, target: Pick<Disk, 'write'>): Promise<void> {
  const writer = new GatheringWriter(target, 0);
  for await (const bytes of decoded.raw()) await writer.write(bytes);
  await writer.end();
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
    await writeInOrder(decoded, target);
  }
  const end = endOf(decoded);
  const size = paddedSize(end.size, options);
  const warnings = paddedWarnings(end.size, size);
  const filled = { virtualSize: size, sourceType: end.type, warnings, changes: [] };
  if (image === undefined) return { ...filled, ...(await finishFlat(storage, size, options)) };
  await image.finish(size);
  return filled;
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

async function finishFlat(
  storage: FileStorage,
  byteLength: number,
  options: FullConvertOptions,
): Promise<Pick<Filled, 'virtualSize' | 'changes'>> {
  await storage.truncate(byteLength);
  if (options.to === 'raw') return { virtualSize: byteLength, changes: [] };
  const { size, changes } =
    options.azure === true ? await shapeFile(storage, byteLength) : { size: byteLength, changes: [] };
  await storage.write(fixedFooter(size, options), size);
  return { virtualSize: size, changes };
}

/** Makes the disk in a file fit for Azure. */
async function shapeFile(storage: FileStorage, byteLength: number): Promise<Pick<AzureShape, 'size' | 'changes'>> {
  const { size, patches, changes } = await planAzure(
    (target, position) => storage.read(target, position),
    byteLength,
    true,
  );
  await storage.truncate(size);
  for (const { bytes, position } of patches) await storage.write(bytes, position);
  return { size, changes };
}

import type { Writable } from 'node:stream';
import { checkImageSize, createVhdStorage } from '../disk/create-storage.ts';
import type { Disk } from '../disk/disk.ts';
import { writeZeros } from '../disk/flat.ts';
import { frontByteLength } from '../format/front.ts';
import { blockEnd, blockLayout, footerOffsetFor, nextBlockOffset } from '../format/layout.ts';
import { FOOTER_BYTES } from '../format/spec.ts';
import type { FileStorage } from '../storage/file.ts';
import { piecesOf, readAhead } from '../stream/read-ahead.ts';
import { type FullConvertOptions, identityOf, type Outcome } from './convert-options.ts';
import { cloneDisk, copyDisk, HOLE_GRAIN_BYTES } from './copy.ts';
import { fixedFooter } from './fixed-footer.ts';
import { OutputFile } from './output-file.ts';
import { ProgressMeter } from './progress.ts';
import { leadsToDevice } from './same-file.ts';

/** What was written. */
export type Written = Pick<Outcome, 'fileSize' | 'copiedBytes' | 'clonedBytes' | 'skippedBytes' | 'device'>;

/** Writes a disk to a file that appears when it is complete, or over a block device; `beforeCommit` may still refuse. */
export async function writeDiskToFile(
  disk: Disk,
  path: string,
  options: FullConvertOptions,
  beforeCommit: () => Promise<void>,
): Promise<Written> {
  if (options.to !== 'raw') checkImageSize(disk.size, options.to, options.blockSize);
  if (await leadsToDevice(path)) {
    return (await import('./output-device.ts')).writeDiskToDevice(disk, path, options, beforeCommit);
  }
  const output = await OutputFile.create(path, options);
  try {
    const meter = new ProgressMeter('copy', disk.size, options.onProgress);
    await fillFile(disk, output.storage, options, meter);
    await beforeCommit();
    const fileSize = await output.commit();
    const { copiedBytes, clonedBytes, skippedBytes } = meter;
    return { fileSize, copiedBytes, ...(clonedBytes > 0 ? { clonedBytes } : {}), skippedBytes };
  } catch (error) {
    await output.discard();
    throw error;
  }
}

async function fillFile(
  disk: Disk,
  storage: FileStorage,
  options: FullConvertOptions,
  meter: ProgressMeter,
): Promise<void> {
  const { to, blockSize, signal } = options;
  const identity = identityOf(options);
  if (to === 'dynamic') {
    const target = await createVhdStorage(storage, { ...identity, size: disk.size, type: 'dynamic', blockSize });
    // On failure `OutputFile.discard` closes the file: closing the disk would make durable what is thrown away.
    await copyDisk(disk, target, { meter, signal, grainBytes: blockSize });
    await target.close();
    return;
  }
  await fillFlat(disk, storage, options, meter);
  if (to === 'raw') return;
  await storage.write(fixedFooter(disk.size, options), disk.size);
}

async function fillFlat(
  disk: Disk,
  storage: FileStorage,
  { preallocate, signal }: FullConvertOptions,
  meter: ProgressMeter,
): Promise<void> {
  if (preallocate === true) await writeZeros(storage, 0, disk.size, signal);
  else if (await cloneDisk(disk, storage, meter)) return;
  else await storage.truncate(disk.size);
  await copyDisk(disk, storage, { meter, signal, grainBytes: HOLE_GRAIN_BYTES });
}

/** Writes a disk to a stream, which is not ended. */
export async function writeDiskToStream(disk: Disk, target: Writable, options: FullConvertOptions): Promise<Written> {
  const meter = new ProgressMeter('copy', disk.size, options.onProgress);
  const encoded = await encode(disk, options);
  const counted = async function* (): AsyncGenerator<Uint8Array> {
    for await (const bytes of encoded.stream) {
      yield bytes;
      // Headers and footer are no bytes of the disk: what they add to the count is left away at the end.
      meter.copied(Math.min(bytes.length, disk.size - meter.copiedBytes));
    }
  };
  const { pumpTo } = await import('./pump.ts');
  await pumpTo(counted(), target, options.signal);
  meter.skipped(disk.size - meter.copiedBytes);
  meter.finish();
  return { fileSize: encoded.byteLength, copiedBytes: meter.copiedBytes, skippedBytes: meter.skippedBytes };
}

async function encode(
  disk: Disk,
  options: FullConvertOptions,
): Promise<{ byteLength: number; stream: AsyncIterable<Uint8Array> }> {
  const { to, blockSize, signal } = options;
  if (to === 'raw') return { byteLength: disk.size, stream: rawBytes(disk, signal) };
  const { encodeVhd } = await import('../stream/encode.ts');
  return encodeVhd(disk, { ...identityOf(options), type: to, blockSize, signal });
}

async function* rawBytes(disk: Disk, signal?: AbortSignal): AsyncGenerator<Uint8Array> {
  for await (const { bytes } of readAhead(disk, piecesOf(0, disk.size), { signal })) yield bytes;
}

/** Finds out what `writeDiskToFile` would write: reads the source, writes nothing. */
export async function measureDisk(disk: Disk, options: FullConvertOptions): Promise<Written> {
  const { to, blockSize, signal } = options;
  if (to !== 'raw') checkImageSize(disk.size, to, blockSize);
  const blocks = new Set<number>();
  const meter = new ProgressMeter('plan', disk.size, options.onProgress);
  const note = (source: Uint8Array, position: number): Promise<void> => {
    for (const piece of piecesOf(position, position + source.length, blockSize)) {
      blocks.add(Math.floor(piece.start / blockSize));
    }
    return Promise.resolve();
  };
  const grainBytes = to === 'dynamic' ? blockSize : HOLE_GRAIN_BYTES;
  await copyDisk(disk, { write: note }, { meter, signal, grainBytes });
  const fixedSize = disk.size + (to === 'raw' ? 0 : FOOTER_BYTES);
  const fileSize = to === 'dynamic' ? dynamicFileSize(disk.size, blockSize, blocks.size) : fixedSize;
  return { fileSize, copiedBytes: meter.copiedBytes, skippedBytes: meter.skippedBytes };
}

function dynamicFileSize(size: number, blockSize: number, blockCount: number): number {
  const layout = blockLayout(blockSize, 'aligned');
  let usedEnd = frontByteLength(size, blockSize);
  for (let count = 0; count < blockCount; count++) usedEnd = blockEnd(layout, nextBlockOffset(layout, usedEnd));
  return footerOffsetFor(layout, usedEnd) + FOOTER_BYTES;
}

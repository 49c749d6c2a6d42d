import { realpath } from 'node:fs/promises';
import type { Disk } from '../disk/disk.ts';
import { writeZeros } from '../disk/flat.ts';
import { VhdError } from '../errors.ts';
import { shellPath } from '../format/shell.ts';
import { FOOTER_BYTES } from '../format/spec.ts';
import { openWritableFile } from '../open-source.ts';
import type { FileStorage } from '../storage/file.ts';
import { sectorNotes } from '../storage/file-device-use.ts';
import type { DecodedVhd } from '../stream/decode.ts';
import { GatheringWriter } from '../stream/gathering-writer.ts';
import { piecesOf, readAhead } from '../stream/read-ahead.ts';
import type { FullConvertOptions, Outcome, WrittenDevice } from './convert-options.ts';
import { remainders } from './device-remainders.ts';
import { fixedFooter } from './fixed-footer.ts';
import { ProgressMeter } from './progress.ts';

/** Bytes between two barriers: else a slow medium would take all of it at once, and minutes at the end to write it. */
const BARRIER_BYTES = 64 * 1024 * 1024;

type DeviceOptions = Pick<FullConvertOptions, 'to' | 'force' | 'lock' | 'onWarning'>;
type Written = Pick<Outcome, 'fileSize' | 'copiedBytes' | 'skippedBytes' | 'device'>;

/**
 * A block device that is written from its start on, in place: there is no temporary name for it, and what is on it is
 * lost with the first write. So everything is checked first, on the descriptor that is then written to; while it is open
 * nothing else can mount the device.
 */
class OutputDevice {
  /** What the path leads to. */
  readonly path: string;
  /** Its size in bytes. */
  readonly size: number;
  readonly #storage: FileStorage;
  #sinceBarrier = 0;
  #meter: ProgressMeter | undefined;

  private constructor(storage: FileStorage, path: string, size: number) {
    this.#storage = storage;
    this.path = path;
    this.size = size;
  }

  /**
   * Opens a device for being overwritten, if it may be.
   * @throws VhdError `ERR_VHD_EXISTS` without `force`, `ERR_VHD_UNSUPPORTED` for a dynamic image, `ERR_VHD_IN_USE`
   */
  static async open(name: string, { to, force, ...fileOptions }: DeviceOptions): Promise<OutputDevice> {
    const path = await realpath(name);
    // Elsewhere nothing tells whether a device is in use, or keeps others from using it.
    if (process.platform !== 'linux') throw elsewhereError(name);
    if (to === 'dynamic') throw dynamicError(name);
    if (force !== true) throw notForcedError(name, path);
    const storage = await openWritableFile(name, fileOptions);
    try {
      // What the name led to when it was looked at may have been replaced meanwhile.
      if (storage.capabilities.growable !== false) {
        throw new VhdError('ERR_VHD_EXISTS', 'the output was a block device and is none any more', { storage: name });
      }
      return new OutputDevice(storage, path, await storage.size());
    } catch (error) {
      await storage.close();
      throw error;
    }
  }

  /**
   * Checks that an image fits, before anything is written.
   * @throws VhdError `ERR_VHD_SIZE`
   */
  checkRoom(virtualSize: number, to: FullConvertOptions['to']): void {
    const byteLength = virtualSize + (to === 'raw' ? 0 : FOOTER_BYTES);
    if (byteLength > this.size) throw this.#sizeError('too small', 'at least', byteLength);
    // The footer of a VHD is found at the end of what holds it, and a fixed one has no other.
    if (to === 'fixed' && byteLength < this.size) throw this.#sizeError('too large for a fixed VHD', '', byteLength);
  }

  #sizeError(what: string, bound: string, byteLength: number): VhdError {
    const expected = `${bound === '' ? 'exactly' : bound} ${byteLength} bytes`;
    const found = `${this.size} bytes`;
    return new VhdError('ERR_VHD_SIZE', `the device is ${what}: expected ${expected}, found ${found}`, {
      storage: this.path,
      expected,
      found,
      remedy:
        byteLength > this.size
          ? 'nothing was written: name a larger device, or write to a file'
          : 'nothing was written: its footer belongs at the end of the device; --to raw writes the disk itself',
    });
  }

  /** Has a meter tell when the first byte is about to be written. */
  announceTo(meter: ProgressMeter): void {
    this.#meter = meter;
  }

  /** Writes bytes; every so often it waits until the medium has them. */
  async write(source: Uint8Array, position: number): Promise<void> {
    if (position + source.length > this.size) throw this.#fullError();
    this.#announce();
    await this.#storage.write(source, position);
    await this.#written(source.length);
  }

  /** Writes zeros: what an image leaves out is old contents here. */
  async writeZeros(position: number, length: number, signal?: AbortSignal): Promise<void> {
    this.#announce();
    for (const piece of piecesOf(position, position + length)) {
      await writeZeros(this.#storage, piece.start, piece.length, signal);
      await this.#written(piece.length);
    }
  }

  #announce(): void {
    this.#meter?.begin();
    this.#meter = undefined;
  }

  async #written(byteLength: number): Promise<void> {
    this.#sinceBarrier += byteLength;
    if (this.#sinceBarrier < BARRIER_BYTES) return;
    this.#sinceBarrier = 0;
    await this.#storage.flush();
  }

  #fullError(): VhdError {
    return new VhdError('ERR_VHD_SIZE', `the device is full: expected at most ${this.size} bytes, found more`, {
      storage: this.path,
      expected: `at most ${this.size} bytes`,
      found: 'more',
      remedy: 'name a larger device, or write to a file',
    });
  }

  /** Makes it durable and closes it; tells about what lies behind the `byteLength` bytes that were written. */
  async finish(byteLength: number): Promise<WrittenDevice> {
    await this.#storage.flushAll();
    const notes = [...(await remainders(this.#storage, byteLength, this.size)), ...(await sectorNotes(this.path))];
    await this.close();
    return { path: this.path, size: this.size, untouchedBytes: this.size - byteLength, notes };
  }

  /** Closes it as it is. */
  async close(): Promise<void> {
    await this.#storage.close();
  }
}

function notForcedError(name: string, path: string): VhdError {
  const what = name === path ? 'a block device' : `the block device ${path}`;
  return new VhdError('ERR_VHD_EXISTS', `the output is ${what}: all that is on it would be overwritten`, {
    storage: name,
    remedy: 'if it is the one you mean (lsblk shows what is on it), --force overwrites it',
  });
}

function dynamicError(name: string): VhdError {
  return new VhdError('ERR_VHD_UNSUPPORTED', 'a dynamic image cannot be written to a block device: it could not grow', {
    storage: name,
    expected: 'raw, or fixed',
    found: 'dynamic',
    remedy: '--to raw writes the disk itself, so that a machine can start from it',
  });
}

function elsewhereError(name: string): VhdError {
  return new VhdError('ERR_VHD_UNSUPPORTED', 'block devices are overwritten on Linux only', {
    storage: name,
    remedy: `vhd convert SRC - --to raw | dd of=${shellPath(name)} bs=1m`,
  });
}

/** Writes a disk to a block device; `beforeEnd` may still refuse, but by then the device is overwritten. */
export async function writeDiskToDevice(
  disk: Disk,
  path: string,
  options: FullConvertOptions,
  beforeEnd: () => Promise<void>,
): Promise<Written> {
  const { to } = options;
  const footer = to === 'fixed' ? fixedFooter(disk.size, options) : undefined;
  const device = await OutputDevice.open(path, options);
  try {
    device.checkRoom(disk.size, to);
    const meter = new ProgressMeter('copy', disk.size, options.onProgress);
    device.announceTo(meter);
    await fill(disk, device, meter, options.signal);
    if (footer !== undefined) await device.write(footer, disk.size);
    await beforeEnd();
    return await ended(device, meter, disk.size + (footer?.length ?? 0));
  } catch (error) {
    await device.close();
    throw error;
  }
}

async function ended(device: OutputDevice, meter: ProgressMeter, byteLength: number): Promise<Written> {
  const written = await device.finish(byteLength);
  meter.finish();
  const { copiedBytes, skippedBytes } = meter;
  return { fileSize: byteLength, copiedBytes, skippedBytes, device: written };
}

/** Writes every byte of a disk, zeros too. */
async function fill(
  disk: Disk,
  device: OutputDevice,
  meter: ProgressMeter,
  signal: AbortSignal | undefined,
): Promise<void> {
  let position = 0;
  for await (const extent of disk.extents({ coarse: true })) {
    if (extent.start !== position) throw new Error(`the extents of the disk leave out bytes from ${position} on`);
    position += extent.length;
    if (extent.kind === 'zero') {
      await device.writeZeros(extent.start, extent.length, signal);
      meter.copied(extent.length);
      continue;
    }
    for await (const piece of readAhead(disk, piecesOf(extent.start, position), { signal })) {
      await device.write(piece.bytes, piece.start);
      meter.copied(piece.length);
      piece.release();
    }
  }
  if (position !== disk.size) throw new Error(`the extents of the disk end at ${position}, not at ${disk.size}`);
}

/** What `writeDiskToDevice` would do: its checks, and no write. */
export async function measureDevice(disk: Disk, path: string, options: FullConvertOptions): Promise<Written> {
  const device = await OutputDevice.open(path, { ...options, force: true });
  try {
    device.checkRoom(disk.size, options.to);
    const fileSize = disk.size + (options.to === 'raw' ? 0 : FOOTER_BYTES);
    const written = { path: device.path, size: device.size, untouchedBytes: device.size - fileSize, notes: [] };
    return { fileSize, copiedBytes: disk.size, skippedBytes: 0, device: written };
  } finally {
    await device.close();
  }
}

/** How a stream becomes a disk. */
export interface StreamSource {
  /** Begins to read it, when the device has been checked. */
  readonly decode: () => Promise<DecodedVhd>;
  /** Its size as a disk, when it has been read to its end. */
  readonly sizeOf: (decoded: DecodedVhd) => number;
}

/**
 * Writes what comes down a stream to a block device.
 * @throws VhdError `ERR_VHD_SIZE` if it does not fit, which for a size not told in front shows when the device is full
 */
export async function writeStreamToDevice(
  source: StreamSource,
  path: string,
  options: FullConvertOptions,
): Promise<Written & { readonly virtualSize: number; readonly decoded: DecodedVhd }> {
  if (options.to === 'fixed') throw fixedStreamError(path);
  const device = await OutputDevice.open(path, options);
  try {
    const decoded = await source.decode();
    if (decoded.size !== undefined) device.checkRoom(decoded.size, options.to);
    const meter = new ProgressMeter('copy', decoded.size, options.onProgress);
    const writer = new GatheringWriter(device, 0);
    device.announceTo(meter);
    for await (const bytes of decoded.raw()) {
      await writer.write(bytes);
      meter.copied(bytes.length);
    }
    const virtualSize = source.sizeOf(decoded);
    await writer.write(new Uint8Array(virtualSize - meter.copiedBytes));
    await writer.end();
    return { ...(await ended(device, meter, virtualSize)), virtualSize, decoded };
  } catch (error) {
    await device.close();
    throw error;
  }
}

function fixedStreamError(path: string): VhdError {
  return new VhdError(
    'ERR_VHD_STREAM',
    'a fixed VHD cannot be written to a block device while its source is a pipe: whether it fits is known last',
    { storage: path, remedy: 'save it to a file first, and convert that; --to raw takes a pipe' },
  );
}

import type { Writable } from 'node:stream';
import { CREATE_STORAGE_OPTIONS, checkImageSize } from '../disk/create-storage.ts';
import type { Disk } from '../disk/disk.ts';
import { VhdDisk } from '../disk/vhd-disk.ts';
import { checkBooleans, checkOneOf, checkOptionNames, VhdError } from '../errors.ts';
import { COMPRESSIONS } from '../format/compression.ts';
import { warningsOf } from '../format/rules.ts';
import { DEFAULT_BLOCK_SIZE, SECTOR_BYTES, type VhdType } from '../format/spec.ts';
import { OPEN_DISK_OPTIONS, openDisk } from '../open.ts';
import { fileState } from '../storage/file-device.ts';
import type { WrittenChild } from './convert-child.ts';
import { measureDisk, type Written, writeDiskToFile, writeDiskToStream } from './convert-disk.ts';
import {
  type ConvertOptions,
  type ConvertResult,
  type FullConvertOptions,
  type Outcome,
  sourceOptions,
  wantsContentUuid,
} from './convert-options.ts';
import { checkExpectedSize } from './expected-size.ts';
import { paddedWarnings } from './padding.ts';
import { leadsToDevice, refuseParents, refuseSameFile } from './same-file.ts';
import { readWatched } from './source-change.ts';
import { compressionOf } from './source-compression.ts';
import { deviceWarnings } from './source-device.ts';

const TARGET_TYPES: readonly string[] = ['raw', 'fixed', 'dynamic', 'differencing'];
/** What the options of a new image have that these have in another way, or not. */
const OTHER_TARGET_OPTIONS: readonly string[] = [
  'size',
  'type',
  'parentReference',
  'signal',
  'durability',
  'onWarning',
];
const CONVERT_OPTIONS: readonly string[] = [
  ...OPEN_DISK_OPTIONS.filter((name) => name !== 'writable' && name !== 'durability'),
  ...CREATE_STORAGE_OPTIONS.filter((name) => !OTHER_TARGET_OPTIONS.includes(name)),
  ...['to', 'compression', 'force', 'dryRun', 'blockingWrites', 'onProgress', 'signal'],
  ...['azure', 'inputSize', 'reproducible', 'inPlace'],
];
const BOOLEAN_OPTIONS: readonly string[] = [
  ...['azure', 'inPlace', 'reproducible', 'force', 'pad', 'dryRun', 'preallocate', 'blockingWrites', 'lock'],
];

/**
 * Converts between raw, fixed and dynamic images. Zeros and holes are skipped. A target path gets its file when that is
 * complete and durable, nothing before; one that leads to a block device is overwritten in place, with `to: 'raw'` (or a
 * fixed image that fills it) and `force`. `target` may be a Node stream, and `source` a disk or a stream of bytes.
 * @throws VhdError `ERR_VHD_EXISTS`, `ERR_VHD_SAME_FILE`, `ERR_VHD_SOURCE_CHANGED`, `ERR_VHD_STREAM` (a dynamic image
 *   cannot be written to a stream while its source is one), `ERR_VHD_SIZE` and `ERR_VHD_IN_USE` (a
 *   device that is too small or mounted, a source that another program writes to, a target that one uses), and everything `openDisk` and `decodeVhd` throw
 */
export async function convert(
  source: string | Disk | AsyncIterable<Uint8Array>,
  target: string | Writable,
  options: ConvertOptions,
): Promise<ConvertResult> {
  checkOptionNames('convert', options, CONVERT_OPTIONS);
  checkConvertOptions(options);
  const startedAt = performance.now();
  options.signal?.throwIfAborted();
  const outcome = await convertAny(source, target, {
    ...options,
    blockSize: options.blockSize ?? DEFAULT_BLOCK_SIZE,
    wantedBlockSize: options.blockSize,
  }).catch((error: unknown) => {
    // Streams wrap what stopped them in an AbortError of their own.
    options.signal?.throwIfAborted();
    throw error;
  });
  const seconds = (performance.now() - startedAt) / 1000;
  const result = { path: typeof target === 'string' ? target : '-', type: options.to, ...outcome, seconds };
  if (options.azure !== true) return result;
  const { azureWarnings, uploadSizeFor } = await import('./azure.ts');
  const warnings = [...result.warnings, ...azureWarnings(result.virtualSize)];
  return { ...result, uploadSize: uploadSizeFor(result.virtualSize), warnings };
}

function checkConvertOptions(options: ConvertOptions): void {
  const { to, compression, blockSize, azure, inputSize } = options;
  if (!TARGET_TYPES.includes(to)) throw new TypeError(`to: expected raw, fixed, dynamic or differencing, found ${to}`);
  checkParentOption(options);
  checkBooleans(options, BOOLEAN_OPTIONS);
  checkOneOf('compression', compression, [...COMPRESSIONS, 'none']);
  if (blockSize !== undefined) checkImageSize(SECTOR_BYTES, 'dynamic', blockSize);
  if (azure === true && to !== 'fixed') throw new TypeError(`azure: Azure takes fixed images, found to: ${to}`);
  if (inputSize !== undefined && (!Number.isSafeInteger(inputSize) || inputSize < 1)) {
    throw new RangeError(`inputSize: expected a whole number of bytes from 1 on, found ${inputSize}`);
  }
}

function checkParentOption({ to, parent, inPlace }: ConvertOptions): void {
  if ((to === 'differencing') !== (parent !== undefined)) {
    throw new TypeError(`parent: to: 'differencing' needs one, and nothing else takes one; found to: '${to}'`);
  }
  if (parent === undefined) return;
  if (typeof parent !== 'string') throw new TypeError(`parent: expected a path, found ${typeof parent}`);
  if (inPlace === true) throw new TypeError('inPlace: a differencing image is a new one');
}

async function convertAny(
  source: string | Disk | AsyncIterable<Uint8Array>,
  target: string | Writable,
  options: FullConvertOptions,
): Promise<Outcome> {
  if (options.inPlace === true) {
    if (typeof source !== 'string' || typeof target !== 'string') {
      throw new TypeError('inPlace: expected the path of a file');
    }
    const { convertInPlace } = await import('./convert-in-place.ts');
    return convertInPlace(source, target, options);
  }
  if (typeof source === 'string') return convertFile(source, target, options);
  if ('extents' in source) return convertDisk(source, source instanceof VhdDisk ? source.type : 'raw', target, options);
  if (options.to === 'differencing') throw onceOnlyError('a stream');
  // Loaded when it is needed: what comes and goes by streams takes Node longer to load than all the rest.
  const { convertAnyStream } = await import('./convert-compressed.ts');
  return convertAnyStream(source, target, options);
}

async function convertFile(path: string, target: string | Writable, options: FullConvertOptions): Promise<Outcome> {
  const before = await fileState(path);
  if (typeof target === 'string') await refuseSameFile(path, target);
  // Of a device nobody expects compressed bytes.
  const format = before.isDevice ? undefined : await compressionOf(path, options);
  if (format !== undefined) {
    if (options.to === 'differencing') throw onceOnlyError('a compressed file', path);
    const { convertCompressedFile } = await import('./convert-compressed.ts');
    return convertCompressedFile({ path, format }, target, options);
  }
  const opened = await openDisk(path, sourceOptions(options));
  try {
    if (typeof target === 'string') await refuseParents(opened.parentPaths, target);
    const outcome = await readWatched(opened, () => {
      const { disk, type, checkUnchanged } = opened;
      return convertDisk(disk, type, target, { ...options, isOpenedByPath: true }, checkUnchanged);
    });
    const padded = opened.type === 'raw' && opened.disk.size > before.size;
    const warnings = padded ? paddedWarnings(before.size, opened.disk.size) : [];
    const ofDevice = await deviceWarnings(path, before);
    const ofSource = [...warningsOf(opened.vhd?.findings ?? []), ...warnings, ...ofDevice];
    return { ...outcome, warnings: [...ofSource, ...outcome.warnings] };
  } finally {
    await opened.disk.close();
  }
}

/** Two images are held against each other at places, and a stream has none. */
function onceOnlyError(what: string, path?: string): VhdError {
  return new VhdError('ERR_VHD_STREAM', `a differencing image cannot be made of ${what}`, {
    storage: path,
    expected: 'a file that can be read at any place',
    found: what,
    remedy: 'save it as a file first, and convert that',
  });
}

async function convertDisk(
  disk: Disk,
  sourceType: VhdType | 'raw',
  target: string | Writable,
  options: FullConvertOptions,
  beforeCommit: () => Promise<void> = () => Promise.resolve(),
): Promise<Outcome> {
  checkExpectedSize(disk.size, options.inputSize);
  if (options.to !== 'raw') checkWholeSectors(disk);
  const shaped =
    options.azure === true ? await (await import('./azure.ts')).shapeForAzure(disk) : { disk, changes: [] };
  const { warnings = [], ...outcome } = await writeDisk(shaped.disk, target, options, beforeCommit);
  return { ...outcome, sourceType, virtualSize: shaped.disk.size, warnings, changes: shaped.changes };
}

async function writeDisk(
  disk: Disk,
  target: string | Writable,
  options: FullConvertOptions,
  beforeCommit: () => Promise<void>,
): Promise<Written & Partial<WrittenChild>> {
  const { parent } = options;
  if (parent !== undefined) {
    return (await import('./convert-child.ts')).writeChild(disk, target, { ...options, parent }, beforeCommit);
  }
  if (options.dryRun === true) return measure(disk, target, options);
  const identified = wantsContentUuid(options) ? { ...options, uuid: await contentUuid(disk, options) } : options;
  if (typeof target === 'string') return writeDiskToFile(disk, target, identified, beforeCommit);
  const written = await writeDiskToStream(disk, target, identified);
  await beforeCommit();
  return written;
}

async function contentUuid(disk: Disk, { signal }: FullConvertOptions): Promise<Uint8Array> {
  const { contentUuidOf } = await import('./content-uuid.ts');
  return contentUuidOf(disk, signal);
}

async function measure(disk: Disk, target: string | Writable, options: FullConvertOptions): Promise<Written> {
  if (typeof target !== 'string' || !(await leadsToDevice(target))) return measureDisk(disk, options);
  return (await import('./output-device.ts')).measureDevice(disk, target, options);
}

/** A damaged image can have a size that none may have; that is the image's fault, not the caller's. */
function checkWholeSectors(disk: Disk): void {
  if (disk.size > 0 && disk.size % SECTOR_BYTES === 0) return;
  throw new VhdError(
    'ERR_VHD_SIZE',
    `a VHD holds a whole number of sectors, and at least one: expected a multiple of 512 bytes, found ${disk.size}`,
    {
      expected: 'a multiple of 512 bytes',
      found: `${disk.size} bytes`,
      remedy: '--to raw takes the bytes as they are',
    },
  );
}

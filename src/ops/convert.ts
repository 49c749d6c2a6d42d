import { stat } from 'node:fs/promises';
import type { Writable } from 'node:stream';
import { CREATE_STORAGE_OPTIONS, checkImageSize } from '../disk/create-storage.ts';
import type { Disk } from '../disk/disk.ts';
import { VhdDisk } from '../disk/vhd-disk.ts';
import { checkOneOf, checkOptionNames, VhdError } from '../errors.ts';
import { COMPRESSIONS, type Compression } from '../format/compression.ts';
import { warningsOf } from '../format/rules.ts';
import { DEFAULT_BLOCK_SIZE, SECTOR_BYTES, type VhdType } from '../format/spec.ts';
import { OPEN_DISK_OPTIONS, openDisk } from '../open.ts';
import { measureDisk, writeDiskToFile, writeDiskToStream } from './convert-disk.ts';
import type { ConvertOptions, ConvertResult, FullConvertOptions, Outcome } from './convert-options.ts';
import { codeOf } from './output-file.ts';
import { paddedWarnings } from './padding.ts';
import { compressionOf } from './source-compression.ts';

const TARGET_TYPES: readonly string[] = ['raw', 'fixed', 'dynamic'];
const CONVERT_OPTIONS: readonly string[] = [
  ...OPEN_DISK_OPTIONS.filter((name) => name !== 'writable'),
  ...CREATE_STORAGE_OPTIONS.filter((name) => name !== 'size' && name !== 'type' && name !== 'signal'),
  ...['to', 'compression', 'force', 'dryRun', 'blockingWrites', 'onProgress', 'signal'],
];

/**
 * Converts between raw, fixed and dynamic images. Zeros and holes are skipped. A target path gets its file when that is
 * complete and durable, nothing before; `target` may be a Node stream, and `source` a disk or a stream of bytes.
 * @throws VhdError `ERR_VHD_EXISTS`, `ERR_VHD_SAME_FILE`, `ERR_VHD_SOURCE_CHANGED`, `ERR_VHD_STREAM` (a dynamic image
 *   cannot be written to a stream while its source is one), and everything `openDisk` and `decodeVhd` throw
 */
export async function convert(
  source: string | Disk | AsyncIterable<Uint8Array>,
  target: string | Writable,
  options: ConvertOptions,
): Promise<ConvertResult> {
  checkOptionNames('convert', options, CONVERT_OPTIONS);
  if (!TARGET_TYPES.includes(options.to)) {
    throw new TypeError(`to: expected raw, fixed or dynamic, found ${options.to}`);
  }
  checkOneOf('compression', options.compression, [...COMPRESSIONS, 'none']);
  if (options.blockSize !== undefined) checkImageSize(SECTOR_BYTES, 'dynamic', options.blockSize);
  const startedAt = performance.now();
  options.signal?.throwIfAborted();
  const outcome = await convertAny(source, target, {
    ...options,
    blockSize: options.blockSize ?? DEFAULT_BLOCK_SIZE,
  }).catch((error: unknown) => {
    // Streams wrap what stopped them in an AbortError of their own.
    options.signal?.throwIfAborted();
    throw error;
  });
  const seconds = (performance.now() - startedAt) / 1000;
  return { path: typeof target === 'string' ? target : '-', type: options.to, ...outcome, seconds };
}

async function convertAny(
  source: string | Disk | AsyncIterable<Uint8Array>,
  target: string | Writable,
  options: FullConvertOptions,
): Promise<Outcome> {
  if (typeof source === 'string') return convertFile(source, target, options);
  if ('extents' in source) return convertDisk(source, source instanceof VhdDisk ? source.type : 'raw', target, options);
  // Loaded when it is needed: what comes and goes by streams takes Node longer to load than all the rest.
  const { convertAnyStream } = await import('./convert-compressed.ts');
  return convertAnyStream(source, target, options);
}

async function convertFile(path: string, target: string | Writable, options: FullConvertOptions): Promise<Outcome> {
  const before = await stat(path);
  if (before.isDirectory()) {
    throw Object.assign(new Error(`EISDIR: is a directory, '${path}'`), { code: 'EISDIR', path });
  }
  if (typeof target === 'string') await checkNotSame(path, target);
  if (before.isFile()) {
    const format = await compressionOf(path, options);
    if (format !== undefined) return convertCompressed({ path, format }, target, options, before);
  }
  const { from, pad, sizeFrom, footer, bitmap } = options;
  const opened = await openDisk(path, { from, pad, sizeFrom, footer, bitmap });
  try {
    const outcome = await convertDisk(opened.disk, opened.type, target, options, () => checkUnchanged(path, before));
    const padded = opened.type === 'raw' && opened.disk.size > before.size;
    const warnings = padded ? paddedWarnings(before.size, opened.disk.size) : [];
    return { ...outcome, warnings: [...warningsOf(opened.vhd?.findings ?? []), ...warnings] };
  } catch (error) {
    throw await withChange(error, path, before);
  } finally {
    await opened.disk.close();
  }
}

async function convertCompressed(
  file: { readonly path: string; readonly format: Compression },
  target: string | Writable,
  options: FullConvertOptions,
  before: FileState,
): Promise<Outcome> {
  const { convertCompressedFile } = await import('./convert-compressed.ts');
  try {
    const checkSource = (): Promise<void> => checkUnchanged(file.path, before);
    const source = { ...file, byteLength: before.size, checkUnchanged: checkSource };
    return await convertCompressedFile(source, target, options);
  } catch (error) {
    throw await withChange(error, file.path, before);
  }
}

async function convertDisk(
  disk: Disk,
  sourceType: VhdType | 'raw',
  target: string | Writable,
  options: FullConvertOptions,
  beforeCommit: () => Promise<void> = () => Promise.resolve(),
): Promise<Outcome> {
  if (options.to !== 'raw') checkWholeSectors(disk);
  const outcome =
    options.dryRun === true
      ? await measureDisk(disk, options)
      : typeof target === 'string'
        ? await writeDiskToFile(disk, target, options, beforeCommit)
        : await writeDiskToStream(disk, target, options);
  if (typeof target !== 'string') await beforeCommit();
  return { ...outcome, sourceType, virtualSize: disk.size, warnings: [] };
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

/** A file cut short while it is read fails somewhere in the middle: says what happened, not where it was noticed. */
async function withChange(error: unknown, path: string, before: FileState): Promise<unknown> {
  if (!(error instanceof VhdError) || error.code !== 'ERR_VHD_EXISTS') await checkUnchanged(path, before, error);
  return error;
}

interface FileState {
  readonly size: number;
  readonly mtimeMs: number;
}

async function checkUnchanged(path: string, before: FileState, cause?: unknown): Promise<void> {
  const after = await stat(path);
  if (after.size === before.size && after.mtimeMs === before.mtimeMs) return;
  const told = (state: FileState): string => `${state.size} bytes, modified ${new Date(state.mtimeMs).toISOString()}`;
  throw new VhdError(
    'ERR_VHD_SOURCE_CHANGED',
    `the source changed while it was read: expected ${told(before)}, found ${told(after)}`,
    {
      storage: path,
      expected: told(before),
      found: told(after),
      remedy: 'stop what writes to it, or convert a copy or a snapshot',
      cause,
    },
  );
}

async function checkNotSame(source: string, target: string): Promise<void> {
  const first = await stat(source);
  let second;
  try {
    second = await stat(target);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return;
    throw error;
  }
  if (first.ino !== second.ino || first.dev !== second.dev) return;
  throw new VhdError('ERR_VHD_SAME_FILE', 'source and target are the same file', {
    storage: target,
    remedy: 'give the target another name',
  });
}

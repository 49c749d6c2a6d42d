import type { Disk } from '../disk/disk.ts';
import type { Patch } from '../disk/overlay.ts';
import type { FileRange } from '../disk/placement.ts';
import { VhdError } from '../errors.ts';
import { formatBytes } from '../format/byte-count.ts';
import { shellPath } from '../format/shell.ts';
import { alignUp, SECTOR_BYTES } from '../format/spec.ts';
import { dataRuns } from '../format/zeros.ts';
import { fileSystemSize } from '../inspect/file-system-size.ts';
import { decodeGptHeader, entriesByteLength } from '../inspect/gpt-header.ts';
import { planGptMove, type ReadBytes } from '../inspect/gpt-move.ts';
import { dynamicDiskPartition, minimumSize } from '../inspect/minimum-size.ts';
import type { DiskContents } from '../inspect/partition-table.ts';
import { listPartitions } from '../inspect/partitions.ts';
import { PieceReader } from '../inspect/piece-reader.ts';
import { piecesOf, readAhead } from '../stream/read-ahead.ts';
import { type ProgressListener, ProgressMeter } from './progress.ts';

/** What may be done to what is on a disk. */
export interface ContentsOptions {
  /** The path for commands. */
  readonly shown: string;
  /** The disk may become smaller. */
  readonly shrink: boolean;
  /** What may be data may be cut, and a partition whose end is missing may get zeros for it. */
  readonly allowDataLoss: boolean;
  /** Ends it. */
  readonly signal?: AbortSignal | undefined;
  /** Told how far it is. */
  readonly onProgress?: ProgressListener | undefined;
}

/** What happens to what is on a disk that gets another size. */
export interface ContentsPlan {
  /** What is on it. */
  readonly contents: DiskContents;
  /** Bytes of the disk that become others, by position, none overlapping. */
  readonly patches: readonly Patch[];
  /** `moved`: the backup GPT goes to the new end; `left`: there is a GPT that cannot be moved; `none`: there is none. */
  readonly gpt: 'moved' | 'left' | 'none';
  /** One sentence each. */
  readonly warnings: readonly string[];
  /**
   * What is cut that no partition and no file system claims, and yet is not zero; undefined if there is nothing of that,
   * or it may be lost.
   * @returns the error for a cut that cannot be taken back
   */
  readonly unclaimed?: (() => VhdError) | undefined;
}

/**
 * Finds out what has to follow the size of a disk, and whether anything is lost; writes nothing.
 * @throws VhdError `ERR_VHD_SHRINK` if it would become smaller and that was not said, or more would be cut than free space;
 *   what `planGptMove` throws, but for a disk that grows
 */
export async function planContents(disk: Disk, size: number, options: ContentsOptions): Promise<ContentsPlan> {
  const isSmaller = size < disk.size;
  if (isSmaller && !options.shrink && !options.allowDataLoss) throw unaskedError(disk.size, size, options.shown);
  const contents = await listPartitions(disk);
  const { warnings: lost, unclaimed } = isSmaller ? await planCut(disk, contents, size, options) : NOTHING_CUT;
  const plan = await planTable(disk, size, options);
  return { contents, ...plan, warnings: [...lost, ...plan.warnings], unclaimed };
}

const NOTHING_CUT: Pick<ContentsPlan, 'warnings' | 'unclaimed'> = { warnings: [] };

/** What is to be said of what is cut. */
async function planCut(
  disk: Disk,
  contents: DiskContents,
  size: number,
  options: ContentsOptions,
): Promise<Pick<ContentsPlan, 'warnings' | 'unclaimed'>> {
  const { allowDataLoss, shown } = options;
  const loss = await lossOf(disk, contents, size, options);
  if (loss !== undefined && !allowDataLoss) throw lossError(loss, size, shown);
  const what = loss?.what ?? (await unclaimedData(disk, contents, size, options));
  if (what === undefined) return { warnings: [] };
  const warnings = [`what was cut may have been data: ${what}`];
  return allowDataLoss ? { warnings } : { warnings, unclaimed: () => unclaimedError(what, size, shown) };
}

async function planTable(
  disk: Disk,
  size: number,
  options: ContentsOptions,
): Promise<Pick<ContentsPlan, 'patches' | 'gpt' | 'warnings'>> {
  try {
    const read: ReadBytes = (bytes, position) => disk.read(bytes, position);
    const patches = await planGptMove(read, disk.size, size, { checkBackup: true });
    return { patches: patches ?? [], gpt: patches === undefined ? 'none' : 'moved', warnings: [] };
  } catch (error) {
    const why = whyLeft(error, size < disk.size, options.allowDataLoss);
    if (why === undefined) throw toldOf(error, options.shown);
    return { patches: [], gpt: 'left', warnings: [`its GPT stays as it is: ${why}`] };
  }
}

/** Why a GPT may stay as it is; undefined if that may not be. Those of the GPT are about no storage. */
function whyLeft(error: unknown, isSmaller: boolean, allowDataLoss: boolean): string | undefined {
  if (!(error instanceof VhdError) || error.storage !== undefined) return undefined;
  const isHarmless = !isSmaller && error.code !== 'ERR_VHD_TRUNCATED';
  return isHarmless || allowDataLoss ? error.message : undefined;
}

/** What is wrong with a GPT, and which image that is in. */
function toldOf(error: unknown, storage: string): unknown {
  if (!(error instanceof VhdError) || error.storage !== undefined) return error;
  const { code, message, offset, rule, expected, found, remedy } = error;
  return new VhdError(code, message, { storage, offset, rule, expected, found, remedy, cause: error });
}

/** What would be lost. */
interface Loss {
  /** Half a sentence. */
  readonly what: string;
  /** The size in bytes down to which nothing would be; undefined if that is not known. */
  readonly least?: number | undefined;
}

async function lossOf(
  disk: Disk,
  contents: DiskContents,
  size: number,
  options: ContentsOptions,
): Promise<Loss | undefined> {
  const { scheme, fileSystem, findings } = contents;
  const broken = findings.find(({ severity }) => severity === 'error');
  if (broken !== undefined) return { what: `what is on it is not certain: ${broken.message}` };
  if (scheme !== 'none') return lossBehindTable(disk, contents, size);
  if (fileSystem === null) return lossOfData(disk, size, options);
  const byteLength = await fileSystemSize(new PieceReader(disk), fileSystem);
  if (byteLength === undefined) return { what: `there is ${fileSystem.type} on it, which may reach to its end` };
  if (byteLength <= size) return undefined;
  return { what: `the ${fileSystem.type} on it ends at ${byteLength}`, least: byteLength };
}

async function lossBehindTable(disk: Disk, contents: DiskContents, size: number): Promise<Loss | undefined> {
  const { partitions } = contents;
  const ends = partitions.map(({ number, start, length }) => ({ number, end: start + length }));
  const last = ends.reduce((most, each) => (each.end > most.end ? each : most), { number: 0, end: 0 });
  if (last.end > size) {
    return { what: `partition ${last.number} ends at ${last.end}`, least: await minimumSize(disk, contents) };
  }
  const dynamic = dynamicDiskPartition(partitions);
  if (dynamic === undefined) return undefined;
  return { what: `partition ${dynamic.number} is of a Windows dynamic disk, which keeps its database at the end` };
}

/** Nothing tells where data ends: what is cut has to be zero. */
async function lossOfData(disk: Disk, size: number, options: ContentsOptions): Promise<Loss | undefined> {
  const last = await lastDataEnd(disk, size, options);
  return last < 0 ? undefined : { what: `there is no partition table, and data up to ${last}`, least: last };
}

/** Data where no partition and no file system is, in what is cut; half a sentence. The old backup GPT is none. */
async function unclaimedData(
  disk: Disk,
  { scheme, fileSystem }: DiskContents,
  size: number,
  options: ContentsOptions,
): Promise<string | undefined> {
  if (scheme === 'none' && fileSystem === null) return undefined;
  const last = await lastDataEnd(disk, size, options, scheme === 'gpt' ? await backupGptOf(disk) : undefined);
  if (last < 0) return undefined;
  return `behind ${scheme === 'none' ? 'the file system' : 'the last partition'} there are bytes that are not zero, up to ${last}`;
}

/** Where the primary GPT says that the backup is: its entries, and its header behind them. */
async function backupGptOf(disk: Disk): Promise<FileRange | undefined> {
  const sector = new Uint8Array(SECTOR_BYTES);
  await disk.read(sector, SECTOR_BYTES);
  const { header } = decodeGptHeader(sector, 1);
  if (header === undefined) return undefined;
  const position = header.alternateLba * SECTOR_BYTES;
  return { start: position - alignUp(entriesByteLength(header), SECTOR_BYTES), end: position + SECTOR_BYTES };
}

/** Byte offset behind the last sector from `size` on that is not zero, and lies not in `except`; -1 if there is none. */
async function lastDataEnd(
  disk: Disk,
  size: number,
  { signal, onProgress }: ContentsOptions,
  except: FileRange = { start: 0, end: 0 },
): Promise<number> {
  const meter = new ProgressMeter('check', disk.size - size, onProgress);
  let last = -1;
  for await (const { start, length, kind } of disk.extents({ start: size, length: disk.size - size })) {
    signal?.throwIfAborted();
    if (kind === 'zero') meter.skipped(length);
    else {
      for await (const piece of readAhead(disk, piecesOf(start, start + length), { signal })) {
        const from = Math.max(0, except.start - piece.start);
        if (from < piece.bytes.length) piece.bytes.fill(0, from, Math.max(from, except.end - piece.start));
        for (const run of dataRuns(piece.bytes, SECTOR_BYTES, piece.start)) last = piece.start + run.start + run.length;
        meter.copied(piece.bytes.length);
        piece.release();
      }
    }
  }
  meter.finish();
  return last;
}

function unaskedError(before: number, size: number, shown: string): VhdError {
  const message = `the disk would become smaller: expected ${before} bytes (${formatBytes(before)}) or more, found ${size}`;
  return new VhdError('ERR_VHD_SHRINK', message, {
    ...{ storage: shown, expected: `${before} bytes or more`, found: `${size} bytes` },
    remedy: `vhd resize ${shellPath(shown)} ${size} --shrink   (cuts free space, and nothing else)`,
  });
}

function unclaimedError(what: string, size: number, shown: string): VhdError {
  const message = `more would be cut at ${size} than can be taken back: ${what}`;
  return new VhdError('ERR_VHD_SHRINK', message, {
    ...{ storage: shown, offset: size, expected: 'zeros, or little else', found: what },
    remedy: `if that is free space that was used once: vhd resize ${shellPath(shown)} ${size} --allow-data-loss; or -o NEW, which leaves this one as it is`,
  });
}

function lossError({ what, least }: Loss, size: number, shown: string): VhdError {
  const instead = least === undefined ? '' : `make it smaller inside the guest first, or keep ${least} bytes; `;
  return new VhdError('ERR_VHD_SHRINK', `more than free space would be cut at ${size}: ${what}`, {
    ...{ storage: shown, offset: size },
    ...{ expected: least === undefined ? 'free space behind that' : `${least} bytes or more`, found: `${size} bytes` },
    remedy: `${instead}if it may be lost: vhd resize ${shellPath(shown)} ${size} --allow-data-loss`,
  });
}

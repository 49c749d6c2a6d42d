import {
  type ByteRange,
  type Disk,
  type Extent,
  mergeExtents,
  resolveRange,
  type UnknownStretch,
} from '../disk/disk.ts';
import { checkOptionNames, type VhdErrorCode } from '../errors.ts';
import { dataRuns } from '../format/zeros.ts';
import { piecesOf, readAhead } from '../stream/read-ahead.ts';
import { MapCounter, type MapFigures } from './map-figures.ts';
import { type ProgressListener, ProgressMeter } from './progress.ts';

/** A stretch of a virtual disk that is of one kind, and where it lies. */
export interface MapRun {
  /** First byte on the virtual disk. */
  readonly start: number;
  /** Bytes. */
  readonly length: number;
  /**
   * `data`: stored. `zero`: reads as zeros. `unknown`: the image is damaged there and reading it is an error; nothing is
   * said about its bytes.
   */
  readonly kind: 'data' | 'zero' | 'unknown';
  /** How many links up the chain of parents the bytes are decided; 0 is the image itself. */
  readonly depth: number;
  /**
   * Byte offset, in the file of the image at `depth`, of what is stored: the run lies there in one piece. Null where
   * nothing is, and for disks that do not tell. Zeros have one where they were found by reading.
   */
  readonly fileOffset: number | null;
  /** Why an `unknown` run is, told of the first block in it; the other kinds have none. */
  readonly problem?: MapProblem | undefined;
}

/** What is wrong where an image is damaged; named as in {@link VhdError}. */
export interface MapProblem {
  /** Code of the error that reading there gives. */
  readonly code: VhdErrorCode;
  /** One sentence. */
  readonly message: string;
  /** Byte offset in the file; null where no single place is at fault. */
  readonly offset: number | null;
  /** What to do about it; null if nothing special. */
  readonly remedy: string | null;
}

/** What is to be mapped, and how. */
export interface MapOptions extends ByteRange {
  /** Read what is stored, and show stretches of 64 KiB that hold nothing but zeros as zero. Default false. */
  readonly detectZeros?: boolean | undefined;
  /** Take blocks as a whole, without reading their sector bitmaps: quicker on very large images. Default false. */
  readonly coarse?: boolean | undefined;
  /** Stops it; it then rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
  /** Hears how far it is. */
  readonly onProgress?: ProgressListener | undefined;
}

/** Where the data of a disk is. */
export interface DiskMap extends MapFigures {
  /** Virtual size in bytes. */
  readonly virtualSize: number;
  /** First byte that was mapped. */
  readonly start: number;
  /** Bytes that were mapped. */
  readonly length: number;
  /** Adjacent runs that together cover the range. */
  readonly runs: readonly MapRun[];
}

/** The option names of {@link MapOptions}. */
const MAP_OPTIONS: readonly string[] = ['start', 'length', 'detectZeros', 'coarse', 'signal', 'onProgress'];
/** Zeros are looked for in grains of this size, at multiples of it. */
const ZERO_GRAIN_BYTES = 64 * 1024;

/**
 * Tells where the data of a disk is. Every block of a dynamic image is a run of its own, because its bitmap lies between
 * it and the next: the largest disks have a million, which `mapRuns` yields one at a time.
 * @throws RangeError if the range does not lie on the disk
 */
export async function mapDisk(disk: Disk, options: MapOptions = {}): Promise<DiskMap> {
  checkOptionNames('mapDisk', options, MAP_OPTIONS);
  const { start, end } = resolveRange('mapDisk', options, disk.size);
  const counter = new MapCounter();
  const runs: MapRun[] = [];
  for await (const run of mapRuns(disk, options)) {
    counter.add(run);
    runs.push(run);
  }
  return { virtualSize: disk.size, start, length: end - start, runs, ...counter.figures };
}

/**
 * The runs of a disk in order, adjacent, each as long as possible. Where the image is damaged the run is `unknown`; where
 * the file cannot be read it rejects.
 * @throws RangeError if the range does not lie on the disk
 */
export async function* mapRuns(disk: Disk, options: MapOptions = {}): AsyncGenerator<MapRun> {
  checkOptionNames('mapRuns', options, MAP_OPTIONS);
  const { signal, onProgress } = options;
  const { start, end } = resolveRange('mapRuns', options, disk.size);
  const meter = new ProgressMeter('map', end - start, onProgress);
  const known = knownRuns(disk, { start, length: end - start, coarse: options.coarse });
  const runs = options.detectZeros === true ? mergeExtents(withZerosFound(disk, known, signal)) : known;
  for await (const run of runs) {
    signal?.throwIfAborted();
    if (run.kind === 'zero') meter.skipped(run.length);
    else meter.copied(run.length);
    yield run;
  }
  meter.finish();
}

/** What the disk itself says. */
async function* knownRuns(
  disk: Disk,
  range: { readonly start: number; readonly length: number; readonly coarse: boolean | undefined },
): AsyncGenerator<MapRun> {
  // At most one: a stretch is joined to its neighbour, and extents on both sides come one after the other.
  let unknown: MapRun[] = [];
  const onUnknown = (stretch: UnknownStretch): void => {
    const last = unknown.at(-1);
    if (last !== undefined && last.start + last.length === stretch.start) {
      unknown[unknown.length - 1] = { ...last, length: last.length + stretch.length };
    } else unknown.push(unknownRun(stretch));
  };
  for await (const extent of disk.extents({ ...range, located: true, onUnknown })) {
    const before = unknown.filter((run) => run.start < extent.start);
    unknown = unknown.filter((run) => run.start > extent.start);
    yield* before;
    yield runOf(extent);
  }
  yield* unknown;
}

function runOf({ start, length, kind, depth, fileOffset }: Extent): MapRun {
  return { start, length, kind, depth, fileOffset: fileOffset ?? null };
}

function unknownRun({ start, length, error }: UnknownStretch): MapRun {
  const { code, message, offset = null, remedy = null } = error;
  return { start, length, kind: 'unknown', depth: 0, fileOffset: null, problem: { code, message, offset, remedy } };
}

/** The runs, those of data cut where their bytes turn out to be zeros. */
async function* withZerosFound(
  disk: Disk,
  runs: AsyncIterable<MapRun>,
  signal: AbortSignal | undefined,
): AsyncGenerator<MapRun> {
  for await (const run of runs) {
    if (run.kind !== 'data') {
      yield run;
      continue;
    }
    for await (const piece of readAhead(disk, piecesOf(run.start, run.start + run.length), { signal })) {
      const found = dataRuns(piece.bytes, ZERO_GRAIN_BYTES, piece.start);
      piece.release();
      yield* cutRun(run, piece, found);
    }
  }
}

/** The part of a run that a piece covers, as data where it was found and zeros between. */
function* cutRun(
  run: MapRun,
  piece: { readonly start: number; readonly length: number },
  found: readonly { readonly start: number; readonly length: number }[],
): Generator<MapRun> {
  const part = (from: number, to: number, kind: 'data' | 'zero'): MapRun => {
    const start = piece.start + from;
    const fileOffset = run.fileOffset === null ? null : run.fileOffset + start - run.start;
    return { start, length: to - from, kind, depth: run.depth, fileOffset };
  };
  let position = 0;
  for (const { start, length } of found) {
    if (start > position) yield part(position, start, 'zero');
    position = start + length;
    yield part(start, position, 'data');
  }
  if (position < piece.length) yield part(position, piece.length, 'zero');
}

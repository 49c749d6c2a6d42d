import type { VhdType } from '../format/spec.ts';
import type { Partition } from '../inspect/partition-table.ts';
import type { ReadRange } from '../stream/read-ahead.ts';
import type { ProgressListener } from './progress.ts';

/** A range in which two disks differ. */
export interface DifferingRange extends ReadRange {
  /** First byte on the virtual disk, that of a sector. */
  readonly start: number;
  /** Bytes: whole sectors of 512, but at the end of a disk that ends within one. */
  readonly length: number;
  /** Numbers of the partitions that it lies in, or touches; empty if it lies in none. */
  readonly partitions: readonly number[];
}

/** A partition in which two disks differ. */
export interface DifferingPartition extends Partition {
  /** Bytes of the partition that lie in the ranges that differ. */
  readonly differingBytes: number;
}

/** What the longer of two disks has behind the end of the shorter. */
export interface ComparedTail {
  /** The longer one. */
  readonly of: 'a' | 'b';
  /** Where the shorter ends. */
  readonly start: number;
  /** Bytes behind that. */
  readonly length: number;
  /** True if all of them are zero; null where nobody looked, because with `first` a difference before was enough. */
  readonly allZero: boolean | null;
  /** Position of the first byte that is not zero; null if there is none, or nobody looked. */
  readonly firstData: number | null;
}

/** What two disks have in common, and what not. */
export interface DiskComparison {
  /** True if every byte is the same, and the size; see {@link CompareDisksOptions.ignoreTail}. */
  readonly equal: boolean;
  /** Position of the first byte that differs, as far as both go; null if none does. */
  readonly firstDifference: number | null;
  /** Bytes of all ranges that differ. */
  readonly differingBytes: number;
  /** How many ranges differ, listed or not. */
  readonly rangeCount: number;
  /**
   * The ranges that differ, as far as both disks go: in order, neighbours joined, the first `maxRanges` of them. With `first` the sector
   * that the first difference is in.
   */
  readonly ranges: readonly DifferingRange[];
  /** What the longer disk has more; null if both have one size. */
  readonly tail: ComparedTail | null;
  /** Whose partitions are told: those of A, those of B if A has none; null if neither has, or nothing differs. */
  readonly partitionsOf: 'a' | 'b' | null;
  /** The partitions in which they differ. */
  readonly partitions: readonly DifferingPartition[];
  /** Bytes of the disk that were read and held against each other. */
  readonly comparedBytes: number;
  /** Bytes that did not have to be read: empty on both sides, or the same place of the same file. */
  readonly skippedBytes: number;
}

/** How two disks are compared. */
export interface CompareDisksOptions {
  /**
   * Count disks of different sizes as equal if what the longer one has more is all zero. Default false: they differ, and
   * what there is more is read all the same, to its first data, to tell {@link DiskComparison.tail}, but with `first`
   * behind a difference.
   */
  readonly ignoreTail?: boolean | undefined;
  /** Stop at the first difference. Default false. */
  readonly first?: boolean | undefined;
  /** Ranges that are listed at most; all are counted. Default 100000. */
  readonly maxRanges?: number | undefined;
  /** Is given every range when it is found, listed or not; the next one waits until it resolves. */
  readonly onRange?: ((range: DifferingRange) => void | Promise<void>) | undefined;
  /** Hears how far it is. */
  readonly onProgress?: ProgressListener | undefined;
  /** Stops it; it then rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

/** An image that was compared. */
export interface ComparedImage {
  /** Its path; the name of the storage where it has none. */
  readonly path: string;
  /** What it is. */
  readonly type: VhdType | 'raw';
  /** Virtual size in bytes. */
  readonly virtualSize: number;
}

/** What two images have in common, and what not. */
export interface Comparison extends DiskComparison {
  /** The first image. */
  readonly a: ComparedImage;
  /** The second image. */
  readonly b: ComparedImage;
}

import type { ImageIdentity } from '../disk/create-storage.ts';
import type { VhdType } from '../format/spec.ts';
import type { OpenDiskOptions } from '../open.ts';
import type { ProgressListener } from './progress.ts';

/** The kinds of image that can be written. */
export type TargetType = 'raw' | 'fixed' | 'dynamic';

/** How to convert: how the source is opened, what the target is to be. */
export interface ConvertOptions extends Omit<OpenDiskOptions, 'writable'>, ImageIdentity {
  /** What the target is to be. */
  readonly to: TargetType;
  /** Replace a target that exists. Default false. */
  readonly force?: boolean | undefined;
  /** Block size of a dynamic target in bytes: 524288 or 2097152 (default). */
  readonly blockSize?: number | undefined;
  /** Write the zeros of a fixed or raw target instead of leaving holes. Default false. */
  readonly preallocate?: boolean | undefined;
  /** Write nothing, only find out what there would be. Default false. */
  readonly dryRun?: boolean | undefined;
  /**
   * Write the target by calls that block the process: faster for a program that has nothing else to do meanwhile, such
   * as the command. Default false.
   */
  readonly blockingWrites?: boolean | undefined;
  /** Told how far it is. */
  readonly onProgress?: ProgressListener | undefined;
  /** Stops it; what was written is removed. */
  readonly signal?: AbortSignal | undefined;
}

/** What was converted. */
export interface ConvertResult {
  /** Path of the target; `-` for a stream. */
  readonly path: string;
  /** What the target is. */
  readonly type: TargetType;
  /** What the source was. */
  readonly sourceType: VhdType | 'raw';
  /** Virtual size in bytes. */
  readonly virtualSize: number;
  /** Bytes of the target file, holes included. */
  readonly fileSize: number;
  /** Bytes that were moved. */
  readonly copiedBytes: number;
  /** Of those, bytes that share room with the source instead; only there if a file system did that. */
  readonly clonedBytes?: number;
  /** Bytes that are empty and were not moved. */
  readonly skippedBytes: number;
  /** Seconds it took. */
  readonly seconds: number;
  /** What the user should know, one sentence each. */
  readonly warnings: readonly string[];
}

/** What the parts of a conversion report. */
export type Outcome = Omit<ConvertResult, 'path' | 'type' | 'seconds'>;

/** The options with their defaults filled in. */
export type FullConvertOptions = ConvertOptions & { readonly blockSize: number };

import type { ImageIdentity } from '../disk/create-storage.ts';
import type { Compression } from '../format/compression.ts';
import { VHD_EPOCH_UNIX_SECONDS, type VhdType } from '../format/spec.ts';
import type { OpenDiskOptions } from '../open.ts';
import type { ChainOptions } from '../open-parent-options.ts';
import type { ProgressListener } from './progress.ts';

/** The kinds of image that can be written. */
export type TargetType = VhdType | 'raw';

/**
 * How to convert: how the source is opened, what the target is to be. `lock` is for both: a target to be replaced that
 * another program has locked is refused.
 */
export interface ConvertOptions extends Omit<OpenDiskOptions, 'writable' | 'durability' | 'parent'>, ImageIdentity {
  /** What the target is to be; `differencing` with `parent`, and only then. */
  readonly to: TargetType;
  /**
   * Path of the VHD that the target is to be a child of, holding only the sectors in which the source differs from it. It
   * must not change from then on. The source may have another size.
   */
  readonly parent?: string | undefined;
  /**
   * How the source is compressed: `none` reads its bytes as they are. Default: gzip, zstd and xz are recognised by content,
   * for a path held against the name; where `from` is given, only behind a name that promises them (`.gz`, `.xz`, `.zst`).
   */
  readonly compression?: Compression | 'none' | undefined;
  /** Replace a target that exists, or overwrite one that is a block device. Default false. */
  readonly force?: boolean | undefined;
  /** Bytes of a block of a dynamic or differencing target: 524288 or 2097152. Default as for `createVhd`. */
  readonly blockSize?: number | undefined;
  /** Write the zeros of a fixed or raw target instead of leaving holes. Default false. */
  readonly preallocate?: boolean | undefined;
  /** Write nothing, only find out what there would be. Default false. */
  readonly dryRun?: boolean | undefined;
  /**
   * Make it fit for Azure: `to` is `fixed`, the size becomes the next whole MiB and at least 20 MiB, and the backup of a
   * GPT moves to the new end. A stream whose disk has a GPT needs `inputSize`. Default false.
   */
  readonly azure?: boolean | undefined;
  /** Bytes the disk in the source has; another size is an error. For streams, whose length nobody knows before. */
  readonly inputSize?: number | undefined;
  /**
   * The same file from the same content: the identifier is made of what the disk holds, unless `uuid` gives it, and the
   * time stamp is the year 2000, unless `timestamp` gives it. Reads everything once more. Default false.
   */
  readonly reproducible?: boolean | undefined;
  /**
   * Change the source itself between raw and fixed, by its footer alone; a `target` other than the source is its new
   * name. Default false.
   */
  readonly inPlace?: boolean | undefined;
  /**
   * Write the target by calls that block the process: faster for a program that has nothing else to do meanwhile, such
   * as the command. Default false.
   */
  readonly blockingWrites?: boolean | undefined;
  /** Told how far it is. */
  readonly onProgress?: ProgressListener | undefined;
  /** Stops it; what was written is removed, except from a block device. */
  readonly signal?: AbortSignal | undefined;
}

/** What was written to a block device. */
export interface WrittenDevice {
  /** Path of the device, behind all symbolic links. */
  readonly path: string;
  /** Its size in bytes. */
  readonly size: number;
  /** Bytes behind the image, which were left as they were. */
  readonly untouchedBytes: number;
  /** What was found there, or is missing there, that will confuse other programs; one sentence each. */
  readonly notes: readonly string[];
}

/** What was converted. */
export interface ConvertResult {
  /** Path of the target; `-` for a stream. */
  readonly path: string;
  /** What the target is. */
  readonly type: TargetType;
  /** What the source was. */
  readonly sourceType: VhdType | 'raw';
  /** What the source was compressed with; not there if it was not. */
  readonly sourceCompression?: Compression | undefined;
  /** Virtual size in bytes. */
  readonly virtualSize: number;
  /** Bytes of the target file, holes included; of a block device those that were written. */
  readonly fileSize: number;
  /** Bytes that were moved. */
  readonly copiedBytes: number;
  /** Of those, bytes that share room with the source instead; only there if a file system did that. */
  readonly clonedBytes?: number;
  /** Bytes that are empty and were not moved. */
  readonly skippedBytes: number;
  /** Path of the parent; only of a differencing target. */
  readonly parent?: string;
  /** As in `CreateImageResult`. */
  readonly parentDir?: string;
  /** Bytes to be uploaded, for `az disk create --upload-size-bytes`; only where it was made for Azure. */
  readonly uploadSize?: number | undefined;
  /** What of the disk itself was changed, one sentence each: a new size, a partition table that followed it. */
  readonly changes: readonly string[];
  /** About the target, where it is a block device. */
  readonly device?: WrittenDevice | undefined;
  /** Seconds it took. */
  readonly seconds: number;
  /** What the user should know, one sentence each. */
  readonly warnings: readonly string[];
}

/** What the parts of a conversion report. */
export type Outcome = Omit<ConvertResult, 'path' | 'type' | 'seconds'>;

/** The options with their defaults filled in. */
export type FullConvertOptions = ConvertOptions & {
  readonly blockSize: number;
  /** The block size that was asked for. */
  readonly wantedBlockSize?: number | undefined;
  /** True if the source was opened by its path, so that the names of its links are those of files. */
  readonly isOpenedByPath?: boolean | undefined;
};

/** What of the options is about opening the source. */
export function sourceOptions(options: ConvertOptions): OpenDiskOptions {
  const { from, pad, sizeFrom, footer, bitmap } = options;
  return { from, pad, sizeFrom, footer, bitmap, ...chainOptions(options) };
}

/** What of the options is about finding and locking the images of a chain, of the source or of a parent. */
export function chainOptions(options: ConvertOptions): ChainOptions & Pick<OpenDiskOptions, 'onWarning'> {
  const { parentDirs, followParents, strictParent, maxChainLength, allowRawParent, lock, onWarning } = options;
  return { parentDirs, followParents, strictParent, maxChainLength, allowRawParent, lock, onWarning };
}

/** Time stamp of an image that is to be the same whenever it is made: the first that a VHD can say. */
const REPRODUCIBLE_TIMESTAMP = new Date(VHD_EPOCH_UNIX_SECONDS * 1000);

/** Who made the target and when, as the options say. */
export function identityOf(options: ConvertOptions): ImageIdentity {
  const { uuid, creator, geometry, reproducible } = options;
  const timestamp = options.timestamp ?? (reproducible === true ? REPRODUCIBLE_TIMESTAMP : undefined);
  return { uuid, timestamp, creator, geometry };
}

/** True if the identifier is to be made of what the disk holds. */
export function wantsContentUuid({ reproducible, uuid, to }: ConvertOptions): boolean {
  return reproducible === true && uuid === undefined && to !== 'raw';
}

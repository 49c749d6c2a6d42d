/**
 * VHD disk images for Node: everything of `vhdkit/core`, files, streams and what the command does.
 * @module vhdkit
 */

export type { BitmapPolicy } from './disk/bitmap-rule.ts';
export type { FilePlace, SpanPlace } from './disk/chain-reader.ts';
export type { CreateStorageOptions, ImageIdentity } from './disk/create-storage.ts';
export { createVhdStorage } from './disk/create-storage.ts';
export type { ByteRange, Disk, Extent, ExtentOptions, UnknownStretch } from './disk/disk.ts';
export { FlatDisk } from './disk/flat.ts';
export type { ChildOptions } from './disk/new-child.ts';
export type { OpenStorageOptions } from './disk/open-storage.ts';
export { openVhdStorage } from './disk/open-storage.ts';
export type { Examination, ExamineOptions } from './disk/recognise.ts';
export { examine } from './disk/recognise.ts';
export type { Span } from './disk/span-list.ts';
export type { UnusedRange, UnusedRanges } from './disk/unused-blocks.ts';
export type { BlockFacts, VhdDescription } from './disk/vhd-disk.ts';
export { VhdDisk } from './disk/vhd-disk.ts';
export type { BackingDisk, Durability, WriteOptions } from './disk/write-back.ts';
export type { VhdErrorCode, VhdErrorContext, VhdWarning, VhdWarningCode, WarningListener } from './errors.ts';
export { VhdError } from './errors.ts';
export type { Compression } from './format/compression.ts';
export { detectCompression } from './format/compression.ts';
export type { DynamicHeader } from './format/dynamic-header.ts';
export type { Footer } from './format/footer.ts';
export type { Geometry } from './format/geometry.ts';
export type { FormatKind } from './format/magic.ts';
export type { ParentLocatorName, ParentReference } from './format/parent-reference.ts';
export { encodeLocatorName } from './format/parent-reference.ts';
export type { ReaderName } from './format/reader-facts.ts';
export { READERS } from './format/reader-facts.ts';
export type { Severity } from './format/rule.ts';
export type { Finding, PartitionRuleId, RuleId } from './format/rules.ts';
export { describeFinding } from './format/rules.ts';
export type { VhdType } from './format/spec.ts';
export { identifyFileSystem } from './inspect/file-systems.ts';
export type { FreeSpace } from './inspect/free-space.ts';
export { freeSpaceOn } from './inspect/free-space.ts';
export type { MeasuredDisk } from './inspect/minimum-size.ts';
export { minimumSize } from './inspect/minimum-size.ts';
export type {
  DiskContents,
  FileSystem,
  Partition,
  ReadableDisk,
  TableFinding,
} from './inspect/partition-table.ts';
export { listPartitions } from './inspect/partitions.ts';
export type { CreateOptions, OpenDiskOptions, OpenedDisk, OpenOptions } from './open.ts';
export { createVhd, openDisk, openRaw, openVhd } from './open.ts';
export type { ResolvedLink } from './open-chain.ts';
export { resolveChain } from './open-chain.ts';
export type { JournalVerb } from './open-journal.ts';
export type { ChainOptions, ParentOptions } from './open-parent-options.ts';
export { parentReferenceFor } from './open-parent-reference.ts';
export type { OpenRawOptions } from './open-raw.ts';
export type { FileOptions, ImageSource } from './open-source.ts';
export type { BenchOptions } from './ops/bench.ts';
export { runBench } from './ops/bench.ts';
export type {
  BenchMachine,
  BenchReport,
  BenchResult,
  BenchTarget,
  Spread,
  Workload,
} from './ops/bench-report.ts';
export type { ParentState } from './ops/chain-index.ts';
export type { ChangedImage } from './ops/changed-image.ts';
export type { CheckOptions } from './ops/check.ts';
export { check } from './ops/check.ts';
export type { Watched } from './ops/check-bitmaps.ts';
export type { CheckFinding, CheckReport } from './ops/check-report.ts';
export type { FindChildrenOptions, FoundChild } from './ops/children.ts';
export { findChildren } from './ops/children.ts';
export { compact } from './ops/compact.ts';
export type { CompactOptions, CompactResult } from './ops/compact-options.ts';
export type { CompareOptions } from './ops/compare.ts';
export { compare } from './ops/compare.ts';
export { compareDisks } from './ops/compare-disks.ts';
export type {
  CompareDisksOptions,
  ComparedImage,
  ComparedTail,
  Comparison,
  DifferingPartition,
  DifferingRange,
  DiskComparison,
} from './ops/compare-report.ts';
export type { ComparedDisk } from './ops/compare-stretches.ts';
export { convert } from './ops/convert.ts';
export type { ConvertOptions, ConvertResult, TargetType, WrittenDevice } from './ops/convert-options.ts';
export type { CreateImageOptions, CreateImageResult } from './ops/create.ts';
export { createImage } from './ops/create.ts';
export type { BlockHash, DiskHash, HashedDisk, HashOptions } from './ops/hash.ts';
export { hashBlocks, hashDisk } from './ops/hash.ts';
export { sha256OfDisk } from './ops/hash-plain.ts';
export type { FileKind, Identification } from './ops/identification.ts';
export type { IdentifyOptions } from './ops/identify.ts';
export { identify } from './ops/identify.ts';
export type { InfoOptions, InfoReport, NamedParent, OtherSize, PartitionTable } from './ops/info.ts';
export { readInfo } from './ops/info.ts';
export type { ChainLink, ChainProblem } from './ops/info-chain.ts';
export type { BlockManifest, ListedHash, Manifest, ManifestSource, PlainManifest } from './ops/manifest.ts';
export { decodeManifests, readManifests } from './ops/manifest.ts';
export type { BlockList } from './ops/manifest-blocks.ts';
export { manifestFor, readManifestFor } from './ops/manifest-choice.ts';
export type { DiskMap, MapOptions, MapProblem, MapRun } from './ops/map.ts';
export { mapDisk, mapRuns } from './ops/map.ts';
export type { MapFigures } from './ops/map-figures.ts';
export { merge } from './ops/merge.ts';
export type { MergeOptions, MergePlan, MergeResult } from './ops/merge-options.ts';
export type { Progress, ProgressListener } from './ops/progress.ts';
export type { RelinkOptions, RelinkResult } from './ops/relink.ts';
export { relink } from './ops/relink.ts';
export type { RelinkAllOptions, RelinkAllResult, RelinkedImage, RelinkOutcome } from './ops/relink-all.ts';
export { relinkAll } from './ops/relink-all.ts';
export type { RepairOptions, RepairResult } from './ops/repair.ts';
export { repair } from './ops/repair.ts';
export type { LossOption, LostRange, RepairLoss } from './ops/repair-context.ts';
export type { MendedFinding } from './ops/repair-plan.ts';
export { resize } from './ops/resize.ts';
export type { ResizeOptions, ResizeResult } from './ops/resize-options.ts';
export type { SetField, SetOptions, SetResult } from './ops/set.ts';
export { setIdentity } from './ops/set.ts';
export type { TreeImage, TreeOptions, TreeReport } from './ops/tree.ts';
export { readTree } from './ops/tree.ts';
export type { UndoOptions, UndoResult } from './ops/undo.ts';
export { undo } from './ops/undo.ts';
export type { ChangedPartition, ChangedRange, Verification } from './ops/verify.ts';
export { verifyDisk } from './ops/verify.ts';
export { BlobStorage } from './storage/blob.ts';
export type { FileStorageOptions } from './storage/file.ts';
export { FileStorage } from './storage/file.ts';
export type { LockKind } from './storage/file-lock.ts';
export { MemoryStorage } from './storage/memory.ts';
export type { NativeFeature, NativeSupport } from './storage/native.ts';
export { nativeSupport } from './storage/native.ts';
export type { PlacedBytes, Storage, StorageCapabilities, StorageReads, StoredRange } from './storage/storage.ts';
export type { DecodedEnd, DecodedExtent, DecodedVhd, DecodeOptions } from './stream/decode.ts';
export { decodeVhd } from './stream/decode.ts';
export type { DecompressOptions } from './stream/decompress.ts';
export { decompress } from './stream/decompress.ts';
export type { ReadStreamOptions, WriteStreamOptions } from './stream/disk-streams.ts';
export { createReadStream, createWriteStream, webReadable } from './stream/disk-streams.ts';
export type { EncodedVhd, EncodeOptions } from './stream/encode.ts';
export { encodeVhd } from './stream/encode.ts';

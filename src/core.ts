/**
 * Disks and storages without anything of Node, for browsers and other runtimes.
 * @module vhdkit/core
 */

export type { BitmapPolicy } from './disk/bitmap-rule.ts';
export type { CreateStorageOptions, ImageIdentity } from './disk/create-storage.ts';
export { createVhdStorage } from './disk/create-storage.ts';
export type { ByteRange, Disk, Extent, ExtentOptions, UnknownStretch } from './disk/disk.ts';
export { FlatDisk } from './disk/flat.ts';
export type { ChildOptions } from './disk/new-child.ts';
export type { OpenStorageOptions } from './disk/open-storage.ts';
export { openVhdStorage } from './disk/open-storage.ts';
export type { Examination, ExamineOptions } from './disk/recognise.ts';
export { examine } from './disk/recognise.ts';
export type { VhdDescription } from './disk/vhd-disk.ts';
export { VhdDisk } from './disk/vhd-disk.ts';
export type { BackingDisk, Durability, WriteOptions } from './disk/write-back.ts';
export type { VhdErrorCode, VhdErrorContext, VhdWarning, VhdWarningCode, WarningListener } from './errors.ts';
export { VhdError } from './errors.ts';
export type { ParentLocatorName, ParentReference } from './format/parent-reference.ts';
export { identifyFileSystem } from './inspect/file-systems.ts';
export type {
  DiskContents,
  FileSystem,
  Partition,
  ReadableDisk,
  TableFinding,
} from './inspect/partition-table.ts';
export { listPartitions } from './inspect/partitions.ts';
export { BlobStorage } from './storage/blob.ts';
export { MemoryStorage } from './storage/memory.ts';
export type { PlacedBytes, Storage, StorageCapabilities, StoredRange } from './storage/storage.ts';

/** Bytes in a sector. VHD counts in sectors of 512 bytes whatever the disk below says. */
export const SECTOR_BYTES = 512;
/** Bytes of the footer, the structure that ends every image and, in dynamic ones, also begins it. */
export const FOOTER_BYTES = 512;
/** Bytes of the footer before Virtual PC 2004, one short of a sector. */
export const LEGACY_FOOTER_BYTES = 511;
/** Bytes of the dynamic disk header. */
export const DYNAMIC_HEADER_BYTES = 1024;
/** Bytes of one entry of the block allocation table. */
export const BAT_ENTRY_BYTES = 4;
/** The BAT entry of a block that is not allocated. */
export const UNUSED_BAT_ENTRY = 0xffffffff;
/** Alignment of block data in images made by Windows 8 and later, in bytes. */
export const DATA_ALIGNMENT_BYTES = 4096;
/** Block size of nearly every image, in bytes. */
export const DEFAULT_BLOCK_SIZE = 2 * 1024 * 1024;
/** Largest virtual size of a dynamic or differencing disk: 0xff000000 sectors, 2040 GiB (Hyper-V, qemu). */
export const MAX_DYNAMIC_SIZE = 0xff000000 * SECTOR_BYTES;
/** Largest BAT this library holds in memory, in bytes: 8 388 608 entries. */
export const MAX_BAT_BYTES = 32 * 1024 * 1024;
/** Seconds from 1970-01-01 to the epoch of VHD time stamps, 2000-01-01 00:00:00 UTC. */
export const VHD_EPOCH_UNIX_SECONDS = 946684800;

/** Cookie of the footer (specification, "Hard Disk Footer Format"). */
export const FOOTER_COOKIE = 'conectix';
/** Cookie of the dynamic disk header. */
export const DYNAMIC_HEADER_COOKIE = 'cxsparse';
/** Footer cookie that blktap writes to disable an image (libvhd). */
export const POISONED_COOKIE = 'v_poison';
/** Version 1.0 of footer and dynamic header, the only one there is. */
export const FORMAT_VERSION = 0x00010000;

/** The "disk type" field of the footer. */
export const DISK_TYPE = { none: 0, reserved: 1, fixed: 2, dynamic: 3, differencing: 4 } as const;
/** The three kinds of image. */
export type VhdType = 'fixed' | 'dynamic' | 'differencing';

/** Name of a "disk type" value, undefined for the deprecated and unknown ones. */
export function vhdTypeOf(diskType: number): VhdType | undefined {
  if (diskType === DISK_TYPE.fixed) return 'fixed';
  if (diskType === DISK_TYPE.dynamic) return 'dynamic';
  return diskType === DISK_TYPE.differencing ? 'differencing' : undefined;
}

/** The smallest multiple of `alignment` that is at least `value`; exact up to 2^53. */
export function alignUp(value: number, alignment: number): number {
  const rest = value % alignment;
  return rest === 0 ? value : value + alignment - rest;
}

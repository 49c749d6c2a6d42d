import { NO_OFFSET } from './bytes.ts';
import { emptyReserved, type Footer } from './footer.ts';
import { type Geometry, geometryFor } from './geometry.ts';
import { DISK_TYPE, FOOTER_BYTES, FORMAT_VERSION, VHD_EPOCH_UNIX_SECONDS, type VhdType } from './spec.ts';

/** What a new footer says of its disk and its maker. */
export interface FooterFields {
  /** Type of the image. */
  readonly type: VhdType;
  /** Virtual size in bytes. */
  readonly size: number;
  /** The 16 identifier bytes in file order. */
  readonly uniqueId: Uint8Array;
  /** Seconds since 2000-01-01 UTC, see {@link timestampFor}. */
  readonly timestamp: number;
  /** Creator application, four Latin-1 characters; default `win `, which every reader takes the size from. */
  readonly creatorApplication?: string | undefined;
  /** Creator version, 16.16; default 10.0. */
  readonly creatorVersion?: number | undefined;
  /** Geometry; default that of the specification for the size. */
  readonly geometry?: Geometry | undefined;
}

/**
 * The footer of a new image. Creator, version and host are those of Windows 10: qemu before version 10 believes the
 * size only of creators it knows, and takes the smaller CHS size of all others.
 */
export function newFooter(fields: FooterFields): Footer {
  return {
    features: 2,
    formatVersion: FORMAT_VERSION,
    dataOffset: fields.type === 'fixed' ? NO_OFFSET : FOOTER_BYTES,
    timestamp: fields.timestamp,
    creatorApplication: fields.creatorApplication ?? 'win ',
    creatorVersion: fields.creatorVersion ?? 0x000a0000,
    creatorHostOs: 'Wi2k',
    originalSize: fields.size,
    currentSize: fields.size,
    geometry: fields.geometry ?? geometryFor(fields.size),
    diskType: DISK_TYPE[fields.type],
    uniqueId: fields.uniqueId,
    savedState: 0,
    reserved: emptyReserved(),
  };
}

/** A moment, in milliseconds since 1970, as a VHD time stamp; what lies outside its 136 years becomes the nearest end. */
export function timestampFor(unixMilliseconds: number): number {
  const seconds = Math.floor(unixMilliseconds / 1000) - VHD_EPOCH_UNIX_SECONDS;
  return Math.min(Math.max(seconds, 0), 0xffffffff);
}

/** A VHD time stamp in milliseconds since 1970. */
export function unixMilliseconds(timestamp: number): number {
  return (timestamp + VHD_EPOCH_UNIX_SECONDS) * 1000;
}

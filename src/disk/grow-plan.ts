import { VhdError } from '../errors.ts';
import { encodeFooter, type Footer } from '../format/footer.ts';
import { geometryFor } from '../format/geometry.ts';
import type { PlacedBytes } from '../storage/storage.ts';
import type { FileRange } from './placement.ts';

/** What belongs to one barrier: zeros first, bytes over them, then the barrier. */
export interface GrowthStep {
  /** Ranges of the file that become zeros. */
  readonly zeros?: readonly FileRange[] | undefined;
  /** Bytes that are written. */
  readonly writes: readonly PlacedBytes[];
}

/** How an image becomes larger. Every step may be cut short by a crash; done again from the first one, it ends the same. */
export interface GrowthPlan {
  /** Virtual size before, in bytes. */
  readonly fromSize: number;
  /** Virtual size afterwards, in bytes. */
  readonly size: number;
  /** Bytes of the file afterwards. */
  readonly fileSize: number;
  /** Bytes of the file system that it may take: those written where the file had nothing before. */
  readonly addedBytes: number;
  /** What is done, in order. */
  readonly steps: readonly GrowthStep[];
}

/** What an image is to become. */
export interface Growth {
  /** Virtual size in bytes, more than it has. */
  readonly size: number;
  /**
   * Bytes that the file had when this was first tried: up to there old bytes may lie behind the disk. Default: what it has
   * now.
   */
  readonly fileSizeBefore?: number | undefined;
}

/** The footer of an image of another size. libvhdi takes the original size for the size, so that it follows. */
export function resizedFooter(footer: Footer, size: number): Uint8Array {
  return encodeFooter({ ...footer, originalSize: size, currentSize: size, geometry: geometryFor(size) });
}

/** The error for an image whose layout leaves no way to grow it in place. */
export function cannotGrowInPlaceError(name: string, why: string, offset?: number): VhdError {
  return new VhdError('ERR_VHD_UNSUPPORTED', `it cannot be made larger in place: ${why}`, {
    storage: name,
    offset,
    remedy: 'write a new image with -o NEW, which leaves this one as it is',
  });
}

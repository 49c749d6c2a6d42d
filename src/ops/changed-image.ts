import type { VhdType } from '../format/spec.ts';

/** What every verb tells of an image that it changed in place. */
export interface ChangedImage {
  /** Path of the image; of a repaired copy, that one's. */
  readonly path: string;
  /** Its type now; null if that cannot be told. */
  readonly type: VhdType | null;
  /** Its virtual size in bytes now; null without a valid footer. */
  readonly virtualSize: number | null;
  /** Bytes of its file now. */
  readonly fileSize: number;
  /** Bytes that were written. */
  readonly copiedBytes: number;
  /** Bytes that are zero and were not copied; 0 but for a copy. */
  readonly skippedBytes: number;
  /** Seconds it took. */
  readonly seconds: number;
  /** What the user should know, one sentence each. */
  readonly warnings: readonly string[];
}

import type { VhdError } from '../errors.ts';
import type { BlockLayout } from '../format/layout.ts';
import type { Storage } from '../storage/storage.ts';
import type { BitmapCache } from './bitmap-cache.ts';
import type { BlockTable } from './block-table.ts';
import type { ImageEnd } from './image-end.ts';
import type { BlockSpace } from './space.ts';

/** What a block store works on. */
export interface BlockStoreParts {
  /** The file. */
  readonly storage: Storage;
  /** Sizes and alignment of the blocks. */
  readonly layout: BlockLayout;
  /** The table, loaded. */
  readonly table: BlockTable;
  /** Byte offset behind headers, table and locators. */
  readonly metadataEnd: number;
  /**
   * `all-ones`: a block has either all of its bits set or is made so before the first write into it, as on dynamic disks.
   * `exact`: a bit says whether the image holds the sector, or its parent does.
   */
  readonly bits: 'all-ones' | 'exact';
  /** Where bitmaps are kept that are not all ones. */
  readonly bitmapCache: BitmapCache;
  /** What allocation works on; undefined if the image is open for reading. */
  readonly growth: { readonly space: BlockSpace; readonly end: ImageEnd } | undefined;
  /** Returns the error for using a block whose table entry cannot be believed, undefined for every other block. */
  readonly refuse: (blockIndex: number) => VhdError | undefined;
}

import type { FileStorage } from '../storage/file.ts';
import type { FileWatch } from '../storage/file-watch.ts';

/** An image that a verb is about to change, or to read for a changed copy. */
export interface OpenImage {
  /** Its file, locked for writing if the verb changes it in place. */
  readonly storage: FileStorage;
  /** Behind symbolic links. */
  readonly path: string;
  /** As it was given. */
  readonly shown: string;
}

/** One that may be copied: at the end of that it has to be what it was. */
export interface WatchedImage extends OpenImage {
  /** What notices that it was written to. */
  readonly watch: FileWatch;
}

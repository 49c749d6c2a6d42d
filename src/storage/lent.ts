import { PaddedStorage } from './padded.ts';

/** A storage for reading, cut or padded to a length, whose owner keeps it: closing it leaves the inner one open. */
export class LentStorage extends PaddedStorage {
  override async close(): Promise<void> {
    // Its owner closes it.
  }
}

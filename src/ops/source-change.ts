import { VhdError, type VhdErrorCode } from '../errors.ts';

/** What is no matter of what the source holds. */
const NOT_OF_CONTENTS: readonly VhdErrorCode[] = ['ERR_VHD_EXISTS', 'ERR_VHD_SAME_FILE', 'ERR_VHD_SOURCE_CHANGED'];

/** Something that can tell whether what is read has changed, such as an `OpenedDisk`. */
interface Watched {
  readonly checkUnchanged: (cause?: unknown) => Promise<void>;
}

/**
 * Reads a source from beginning to end; `job` asks `checkUnchanged` when it has read everything. A file that changes while
 * it is read can fail anywhere in the middle: then what happened is the error, not where it was noticed.
 * @throws VhdError `ERR_VHD_SOURCE_CHANGED`
 */
export async function readWatched<T>({ checkUnchanged }: Watched, job: () => Promise<T>): Promise<T> {
  try {
    return await job();
  } catch (error) {
    if (error instanceof VhdError && !NOT_OF_CONTENTS.includes(error.code)) await checkUnchanged(error);
    throw error;
  }
}

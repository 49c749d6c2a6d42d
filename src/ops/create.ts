import { CREATE_STORAGE_OPTIONS, type CreateStorageOptions, createVhdStorage } from '../disk/create-storage.ts';
import { checkBooleans, checkOptionNames } from '../errors.ts';
import { OutputFile } from './output-file.ts';

/** What a new image file is to be. */
export interface CreateImageOptions extends CreateStorageOptions {
  /** Replace a file that exists. Default false. */
  readonly force?: boolean | undefined;
  /** Refuse to replace a file that another program has locked. Default true. */
  readonly lock?: boolean | undefined;
}

/** The image that was made. */
export interface CreateImageResult {
  /** Path of the image. */
  readonly path: string;
  /** Its type. */
  readonly type: 'fixed' | 'dynamic';
  /** Virtual size in bytes. */
  readonly virtualSize: number;
  /** Bytes of the file, holes included. */
  readonly fileSize: number;
  /** Always 0: nothing was there to be copied. */
  readonly copiedBytes: number;
  /** Bytes that are empty. */
  readonly skippedBytes: number;
  /** Seconds it took. */
  readonly seconds: number;
  /** What the user should know, one sentence each. */
  readonly warnings: readonly string[];
}

/**
 * Makes an empty image file, which appears under its name when it is complete and durable.
 * @throws VhdError `ERR_VHD_EXISTS`, `ERR_VHD_IN_USE`, `ERR_VHD_LIMIT`; RangeError as `createVhd`
 */
export async function createImage(path: string, options: CreateImageOptions): Promise<CreateImageResult> {
  checkOptionNames('createImage', options, [...CREATE_STORAGE_OPTIONS, 'force', 'lock']);
  checkBooleans(options, ['lock']);
  const startedAt = performance.now();
  const { force, lock, ...imageOptions } = options;
  const output = await OutputFile.create(path, { force, lock });
  try {
    const disk = await createVhdStorage(output.storage, imageOptions);
    const { size, type } = disk;
    await disk.close();
    const fileSize = await output.commit();
    const seconds = (performance.now() - startedAt) / 1000;
    const made = type === 'fixed' ? 'fixed' : 'dynamic';
    return { path, type: made, virtualSize: size, fileSize, copiedBytes: 0, skippedBytes: size, seconds, warnings: [] };
  } catch (error) {
    await output.discard();
    throw error;
  }
}

import { createVhdStorage } from '../disk/create-storage.ts';
import type { VhdDisk } from '../disk/vhd-disk.ts';
import { checkBooleans, checkOptionNames } from '../errors.ts';
import { warningsOf } from '../format/rules.ts';
import type { VhdType } from '../format/spec.ts';
import { CREATE_OPTIONS, type CreateOptions, imageOptions } from '../open.ts';
import type { NewParent } from '../open-child.ts';
import { OutputFile } from './output-file.ts';

/** What a new image file is to be. */
export interface CreateImageOptions extends CreateOptions {
  /** Replace a file that exists. Default false. */
  readonly force?: boolean | undefined;
  /** Refuse to replace a file that another program has locked, and a parent that one writes to. Default true. */
  readonly lock?: boolean | undefined;
}

/** The image that was made. */
export interface CreateImageResult {
  /** Path of the image. */
  readonly path: string;
  /** Its type. */
  readonly type: VhdType;
  /** Virtual size in bytes. */
  readonly virtualSize: number;
  /** Bytes of the file, holes included. */
  readonly fileSize: number;
  /** Always 0: nothing was there to be copied. */
  readonly copiedBytes: number;
  /** Bytes that are empty. */
  readonly skippedBytes: number;
  /** Path of the parent; only of a differencing image. */
  readonly parent?: string;
  /**
   * The directory that `parentDirs` must have for the image to be opened; only where the parent is not in the image's own
   * directory or below it.
   */
  readonly parentDir?: string;
  /** Seconds it took. */
  readonly seconds: number;
  /** What the user should know, one sentence each. */
  readonly warnings: readonly string[];
}

/**
 * Makes an empty image file, which appears under its name when it is complete and durable. With `parent` it is a
 * differencing image, and the parent must not change from then on.
 * @throws VhdError `ERR_VHD_EXISTS`, `ERR_VHD_IN_USE`, `ERR_VHD_LIMIT`, `ERR_VHD_SAME_FILE` (the image is its own parent, or
 *   one of the parents of that), everything `openDisk` throws about the parent; RangeError as `createVhd`
 */
export async function createImage(path: string, options: CreateImageOptions): Promise<CreateImageResult> {
  checkOptionNames('createImage', options, [...CREATE_OPTIONS, 'force']);
  checkBooleans(options, ['force', 'lock']);
  const startedAt = performance.now();
  const child = await newParent(path, options);
  const made = await makeImage(path, options, child);
  const seconds = (performance.now() - startedAt) / 1000;
  const warnings = child === undefined ? [] : parentWarnings(child.parent).map((text) => `the parent: ${text}`);
  const ofParent = child === undefined ? {} : await namesOf(path, child.parent.name);
  return { ...made, copiedBytes: 0, skippedBytes: made.virtualSize, ...ofParent, seconds, warnings };
}

/** What the machine that was saved writes when it goes on, the child would take for its own. */
function parentWarnings({ findings, footer }: VhdDisk): string[] {
  const saved = 'a virtual machine is saved with it, which must not go on: that would write to it';
  return [...warningsOf(findings), ...(footer.savedState === 0 ? [] : [saved])];
}

async function newParent(path: string, options: CreateImageOptions): Promise<NewParent | undefined> {
  const { parent } = options;
  if (parent === undefined) return undefined;
  // Loaded when it is needed, as below: most images have no parent.
  const { openNewParent } = await import('../open-child.ts');
  const opened = await openNewParent(path, { ...options, parent });
  try {
    const { refuseOwnParents } = await import('./parent-directory.ts');
    await refuseOwnParents(opened.paths, path);
    return opened;
  } catch (error) {
    await opened.parent.close();
    throw error;
  }
}

async function namesOf(path: string, parent: string): Promise<Pick<CreateImageResult, 'parent' | 'parentDir'>> {
  const { parentDirectory } = await import('./parent-directory.ts');
  const parentDir = await parentDirectory(path, parent);
  return { parent, ...(parentDir === undefined ? {} : { parentDir }) };
}

async function makeImage(
  path: string,
  { force, lock, ...options }: CreateImageOptions,
  child: NewParent | undefined,
): Promise<Pick<CreateImageResult, 'path' | 'type' | 'virtualSize' | 'fileSize'>> {
  const { parent, parentReference } = child ?? {};
  const output = await OutputFile.create(path, { force, lock }).catch(async (error: unknown) => {
    await parent?.close();
    throw error;
  });
  try {
    const disk = await createVhdStorage(output.storage, { ...imageOptions(options), parent, parentReference });
    const { size, type } = disk;
    await child?.checkUnchanged();
    await disk.close();
    return { path, type, virtualSize: size, fileSize: await output.commit() };
  } catch (error) {
    await parent?.close();
    await output.discard();
    throw error;
  }
}

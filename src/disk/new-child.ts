import { VhdError } from '../errors.ts';
import { type ChildFront, childLayout, encodeChildFront } from '../format/child-front.ts';
import { blockLayout, footerOffsetFor } from '../format/layout.ts';
import type { ParentReference } from '../format/parent-reference.ts';
import { DEFAULT_BLOCK_SIZE, SECTOR_BYTES } from '../format/spec.ts';
import { type Storage, writeEach } from '../storage/storage.ts';
import type { Disk } from './disk.ts';
import { VhdDisk } from './vhd-disk.ts';

/** What makes a new image a differencing one; both or neither. */
export interface ChildOptions {
  /**
   * The disk that shows through where the new image holds nothing, open for reading. The new disk closes it with itself;
   * so does a failure to make it.
   */
  readonly parent?: Disk | undefined;
  /** What the new image says about it: identifier and names. */
  readonly parentReference?: ParentReference | undefined;
}

/** The option names of {@link ChildOptions}. */
export const CHILD_OPTIONS: readonly string[] = ['parent', 'parentReference'];

/**
 * Holds the options of a child against each other.
 * @throws TypeError if one of `parent` and `parentReference` is missing, or `type` says something else
 */
export function checkChildOptions(options: ChildOptions & { readonly type?: string | undefined }): void {
  const { parent, parentReference, type } = options;
  const isChild = parent !== undefined || parentReference !== undefined;
  if (!isChild && type !== 'differencing') return;
  if (parent === undefined) throw new TypeError('parent: a differencing image needs the open disk of its parent');
  if (parentReference === undefined) {
    throw new TypeError('parentReference: a differencing image needs the identifier and the names of its parent');
  }
  if (type !== undefined && type !== 'differencing')
    throw new TypeError(`type: expected differencing, found '${type}'`);
}

/**
 * The virtual size of a child of a parent.
 * @throws VhdError `ERR_VHD_SIZE` if a damaged parent has a size that no disk may have
 */
export function sizeOfParent(parent: Disk): number {
  if (parent.size > 0 && parent.size % SECTOR_BYTES === 0) return parent.size;
  throw new VhdError(
    'ERR_VHD_SIZE',
    `a child has the size of its parent, a whole number of sectors: expected a multiple of 512 bytes, found ${parent.size}`,
    {
      storage: parent instanceof VhdDisk ? parent.name : undefined,
      expected: 'a multiple of 512 bytes',
      found: `${parent.size} bytes`,
      remedy: 'convert the parent into a new image and make the child of that',
    },
  );
}

/**
 * The block size of a child by default. Small blocks stay small: who chose them for a disk did it for the way it is
 * written, and its snapshot is written the same way. Everything else becomes the 2 MiB that other programs expect.
 */
export function blockSizeForChild(parent: Disk): number {
  return parent instanceof VhdDisk && parent.blockSize === 512 * 1024 ? parent.blockSize : DEFAULT_BLOCK_SIZE;
}

/** Writes a differencing image without blocks into an empty storage; what is between its parts is left a hole. */
export async function writeEmptyChild(storage: Storage, front: ChildFront): Promise<void> {
  const { byteLength } = childLayout(front.size, front.blockSize, front.parent);
  const position = footerOffsetFor(blockLayout(front.blockSize, 'aligned'), byteLength);
  await writeEach(storage, [...encodeChildFront(front), { position, bytes: front.footer }]);
}

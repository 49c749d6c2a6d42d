import { checkBooleans } from './errors.ts';
import type { FileOptions } from './open-source.ts';

/** Where parents are looked for, and which are taken. */
export interface ParentOptions {
  /**
   * Further directories to look for parents in, by their file names. A parent may lie in them and in what is below them,
   * as in the directories of its children. Default: none.
   */
  readonly parentDirs?: readonly string[] | undefined;
  /** Follow the names in images wherever they lead, also to other machines. Default false. */
  readonly followParents?: boolean | undefined;
  /** Refuse a parent whose time stamp is not the one its child knows. Default false: that is a finding. */
  readonly strictParent?: boolean | undefined;
  /** Most images that a chain may have. Default 1024. */
  readonly maxChainLength?: number | undefined;
  /** Open a raw parent, as blktap has them: nothing tells whether it is the right one. Default false. */
  readonly allowRawParent?: boolean | undefined;
}

/** How a chain is found. */
export interface ChainOptions extends ParentOptions, Pick<FileOptions, 'lock'> {}

/** The option names of {@link ParentOptions}. */
export const PARENT_OPTIONS: readonly string[] = [
  'parentDirs',
  'followParents',
  'strictParent',
  'maxChainLength',
  'allowRawParent',
];

/**
 * Checks the options about parents.
 * @throws TypeError if one is not what it has to be
 * @throws RangeError if `maxChainLength` is no whole number from 1 on
 */
export function checkParentOptions(options: ParentOptions): void {
  checkBooleans(options, ['followParents', 'strictParent', 'allowRawParent']);
  const { parentDirs = [], maxChainLength = 1 } = options;
  if (!Array.isArray(parentDirs) || parentDirs.some((dir) => typeof dir !== 'string')) {
    throw new TypeError('parentDirs: expected an array of paths');
  }
  if (!Number.isSafeInteger(maxChainLength) || maxChainLength < 1) {
    throw new RangeError(`maxChainLength: expected a whole number from 1 on, found ${maxChainLength}`);
  }
}

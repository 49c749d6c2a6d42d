import type { Command } from 'commander';
import type { OpenDiskOptions } from '../src/open.ts';
import type { ParentOptions } from '../src/open-parent-options.ts';
import { oneOf } from './flags.ts';

/** The flags that say where parents are, and which are taken. */
export interface ParentFlags {
  readonly parentDir?: readonly string[] | undefined;
  readonly followParents?: boolean | undefined;
  readonly strictParent?: boolean | undefined;
  readonly allowRawParent?: boolean | undefined;
}

/** The flags of every verb that opens an image. */
export interface InputFlags extends ParentFlags {
  readonly from?: 'raw' | 'vhd' | undefined;
  readonly sizeFrom?: 'footer' | 'chs' | undefined;
  readonly footer?: 'start' | 'end' | undefined;
  readonly bitmap?: 'honour' | 'ignore' | undefined;
  readonly lock?: boolean | undefined;
}

/** Declares how an image is opened. */
export function addInputOptions(command: Command): Command {
  command
    .option(
      '--from <kind>',
      'what the input is: raw or vhd (default: recognised by both ends)',
      oneOf('--from', ['raw', 'vhd']),
    )
    .option(
      '--size-from <field>',
      'where the virtual size of a VHD comes from: footer or chs',
      oneOf('--size-from', ['footer', 'chs']),
    )
    .option(
      '--footer <which>',
      'which footer to believe where they disagree: start or end',
      oneOf('--footer', ['start', 'end']),
    );
  return addParentOptions(addBitmapOption(command)).option(
    '--no-lock',
    'open the image even if another program is using it, and lock nobody out',
  );
}

/** Declares what bytes under clear bits are. */
export function addBitmapOption(command: Command): Command {
  return command.option(
    '--bitmap <policy>',
    'what bytes in sectors marked as never written are: honour (zeros) or ignore (data)',
    oneOf('--bitmap', ['honour', 'ignore']),
  );
}

/** Declares where parents are, and which are taken. */
export function addParentOptions(command: Command): Command {
  return command
    .option(
      '--parent-dir <dir>',
      'look for parents there too, and take those that lie there or below (repeatable)',
      (dir: string, before: readonly string[] | undefined) => [...(before ?? []), dir],
    )
    .option('--follow-parents', 'follow the names of parents in images wherever they lead')
    .option('--strict-parent', 'refuse a parent whose time stamp is not the one its child knows')
    .option('--allow-raw-parent', 'open a raw parent, though nothing tells whether it is the right one');
}

/** The options for `openDisk` that the flags stand for. */
export function inputOptions(flags: InputFlags): OpenDiskOptions {
  const { from, sizeFrom, footer, bitmap, lock } = flags;
  return { from, sizeFrom, footer, bitmap, lock, ...parentOptions(flags) };
}

/** The options for `openDisk` that the flags about parents stand for. */
export function parentOptions(flags: ParentFlags): ParentOptions {
  const { parentDir, followParents, strictParent, allowRawParent } = flags;
  return { parentDirs: parentDir, followParents, strictParent, allowRawParent };
}

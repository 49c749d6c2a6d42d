import type { Command } from 'commander';
import { oneOf } from './flags.ts';

/** The flags of every verb that opens an image, named like the options of `openDisk`. */
export interface InputFlags {
  readonly from?: 'raw' | 'vhd' | undefined;
  readonly sizeFrom?: 'footer' | 'chs' | undefined;
  readonly footer?: 'start' | 'end' | undefined;
  readonly bitmap?: 'honour' | 'ignore' | undefined;
  readonly lock?: boolean | undefined;
}

/** Declares how an image is opened. */
export function addInputOptions(command: Command): Command {
  return command
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
    )
    .option(
      '--bitmap <policy>',
      'what bytes in sectors marked as never written are: honour (zeros) or ignore (data)',
      oneOf('--bitmap', ['honour', 'ignore']),
    )
    .option('--no-lock', 'open the image even if another program is using it, and lock nobody out');
}

/** The options for `openDisk` that the flags stand for. */
export function inputOptions({ from, sizeFrom, footer, bitmap, lock }: InputFlags): InputFlags {
  return { from, sizeFrom, footer, bitmap, lock };
}

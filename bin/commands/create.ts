import type { Command } from 'commander';
import { addBreakingFlag, type BreakingFlags } from '../breaking-children.ts';
import { makeImage } from '../created.ts';
import { UsageError } from '../errors.ts';
import { addExamples, addLongFlags, type LongFlags, oneOf } from '../flags.ts';
import { addImageOptions, type ImageFlags } from '../image-options.ts';
import { addParentOptions, type ParentFlags } from '../input-options.ts';
import type { Session } from '../session.ts';
import { parseDiskSize } from '../sizes.ts';

interface Flags extends ImageFlags, LongFlags, ParentFlags, BreakingFlags {
  readonly size?: number | undefined;
  readonly type?: 'dynamic' | 'fixed' | 'differencing' | undefined;
  readonly parent?: string | undefined;
  readonly force?: boolean | undefined;
  readonly lock?: boolean | undefined;
}

/** Declares `create IMAGE SIZE`. */
export function declare(command: Command, session: Session): void {
  command
    .argument('<image>', 'the file to make')
    .argument('[size]', 'virtual size, such as 20G', (text) => parseDiskSize(text, 'SIZE'))
    .option('--size <size>', 'the same as SIZE', (text) => parseDiskSize(text, '--size'))
    .option(
      '--type <type>',
      'dynamic (default: grows as it is written) or fixed; differencing with --parent',
      oneOf('--type', ['dynamic', 'fixed', 'differencing']),
    )
    .option('--parent <parent>', 'make a differencing image: a child of this VHD, and of its size')
    .option('--force', 'replace a file that exists')
    .option('--no-lock', 'replace it even if another program is using it');
  addExamples(
    addLongFlags(addImageOptions(addParentOptions(addBreakingFlag(command)))),
    'vhd create disk.vhd 20G',
    'vhd create disk.vhd 127G --type fixed',
    'vhd create child.vhd --parent disk.vhd',
  );
  command.action((image: string, size: number | undefined, flags: Flags) => create(session, image, size, flags));
}

async function create(session: Session, image: string, argument: number | undefined, flags: Flags): Promise<void> {
  const { parent, blockSize } = flags;
  const type = flags.type ?? (parent === undefined ? 'dynamic' : 'differencing');
  session.files = { input: parent, output: image };
  if (type === 'fixed' && blockSize !== undefined) {
    throw new UsageError('--block-size: a fixed disk has no blocks', 'leave it away, or say --type dynamic');
  }
  const size = sizeOf({ argument, flag: flags.size, type, parent });
  await makeImage(session, image, { ...flags, verb: 'create', size, type });
}

interface Sizes {
  readonly argument: number | undefined;
  readonly flag: number | undefined;
  readonly type: NonNullable<Flags['type']>;
  readonly parent: string | undefined;
}

function sizeOf({ argument, flag, type, parent }: Sizes): number | undefined {
  if (argument !== undefined && flag !== undefined) {
    throw new UsageError('the size is given twice, as SIZE and as --size', 'leave one away');
  }
  const size = argument ?? flag;
  if (parent === undefined) {
    if (type === 'differencing') throw new UsageError('a differencing image needs a parent', 'add --parent PARENT');
    if (size !== undefined) return size;
    throw new UsageError('no size is given', 'vhd create IMAGE SIZE, such as: vhd create disk.vhd 20G');
  }
  if (type !== 'differencing') throw new UsageError(`--parent: a ${type} image has none`, 'leave --type away');
  if (size === undefined) return undefined;
  throw new UsageError('--parent: a child has the size of its parent, and another one is given', 'leave the size away');
}

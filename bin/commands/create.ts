import { extname } from 'node:path';
import type { Command } from 'commander';
import { type CreateImageResult, createImage } from '../../src/ops/create.ts';
import { addBreakingFlag, type BreakingFlags, guardChildren } from '../breaking-children.ts';
import { UsageError } from '../errors.ts';
import { addExamples, addLongFlags, type LongFlags, oneOf } from '../flags.ts';
import { addImageOptions, type ImageFlags, identityOptions } from '../image-options.ts';
import { jsonText, summaryText } from '../report.ts';
import type { Session } from '../session.ts';
import { formatExactly, parseDiskSize } from '../sizes.ts';
import { geometryWarnings } from '../target.ts';

interface Flags extends ImageFlags, LongFlags, BreakingFlags {
  readonly size?: number | undefined;
  readonly type?: 'dynamic' | 'fixed' | undefined;
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
      'dynamic (default: grows as it is written) or fixed',
      oneOf('--type', ['dynamic', 'fixed']),
    )
    .option('--force', 'replace a file that exists')
    .option('--no-lock', 'replace it even if another program is using it');
  addExamples(
    addLongFlags(addImageOptions(addBreakingFlag(command))),
    'vhd create disk.vhd 20G',
    'vhd create disk.vhd 127G --type fixed',
  );
  command.action((image: string, size: number | undefined, flags: Flags) => create(session, image, size, flags));
}

/** What is made is a VHD: a name that says otherwise would be held against it by every verb that opens it. */
function checkName(image: string): void {
  const extension = extname(image).toLowerCase();
  if (!['.raw', '.img', '.dd', '.bin', '.iso', '.vhdx', '.avhdx', '.qcow2', '.vmdk', '.vdi'].includes(extension)) {
    return;
  }
  throw new UsageError(`it is named ${extension}, and create makes VHDs`, 'name it .vhd', image);
}

async function create(session: Session, image: string, argument: number | undefined, flags: Flags): Promise<void> {
  const { type = 'dynamic', force, lock, blockSize, preallocate } = flags;
  session.files = { output: image };
  if (image === '-') {
    throw new UsageError('create: expected the name of a file, found -', 'vhd convert writes images to a pipe');
  }
  checkName(image);
  const size = sizeOf(argument, flags.size);
  if (type === 'dynamic' && preallocate === true) {
    throw new UsageError(
      '--preallocate: a dynamic disk takes room as it is written',
      'add --type fixed, or leave --preallocate away',
    );
  }
  if (type === 'fixed' && blockSize !== undefined) {
    throw new UsageError('--block-size: a fixed disk has no blocks', 'leave it away, or say --type dynamic');
  }
  const identity = identityOptions(flags, session.io.env);
  const { signal } = session.io;
  if (force === true) await guardChildren([image], flags, signal);
  const made = await createImage(image, { ...identity, size, type, blockSize, preallocate, force, lock, signal });
  const warnings = [...made.warnings, ...geometryWarnings(identity.geometry, size, image)];
  for (const warning of warnings) await session.warn(warning);
  if (session.isJson) await session.print(jsonText('create', { ...made, warnings }));
  else if (flags.quiet !== true) await session.print(summary(made));
}

function sizeOf(argument: number | undefined, flag: number | undefined): number {
  if (argument !== undefined && flag !== undefined) {
    throw new UsageError('the size is given twice, as SIZE and as --size', 'leave one away');
  }
  const size = argument ?? flag;
  if (size === undefined) {
    throw new UsageError('no size is given', 'vhd create IMAGE SIZE, such as: vhd create disk.vhd 20G');
  }
  return size;
}

function summary(made: CreateImageResult): string {
  const rows = [
    ['type', made.type],
    ['virtual size', formatExactly(made.virtualSize)],
    ['file size', formatExactly(made.fileSize)],
  ] as const;
  return summaryText(`created ${made.path}`, rows);
}

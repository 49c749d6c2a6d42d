import { extname } from 'node:path';
import type { Command } from 'commander';
import { examine } from '../../src/disk/recognise.ts';
import { shellPath } from '../../src/format/shell.ts';
import { recognise } from '../../src/open-recognise.ts';
import { compact } from '../../src/ops/compact.ts';
import type { CompactOptions, CompactResult } from '../../src/ops/compact-options.ts';
import { FileStorage } from '../../src/storage/file.ts';
import { compactText } from '../compact-text.ts';
import { UsageError } from '../errors.ts';
import { addExamples, addLongFlags, type LongFlags, oneOf } from '../flags.ts';
import { addBitmapOption, addParentOptions, type ParentFlags, parentOptions } from '../input-options.ts';
import { HeardWarnings } from '../opened.ts';
import { ProgressDisplay } from '../progress.ts';
import { jsonText } from '../report.ts';
import type { Session } from '../session.ts';
import { checkNamed, checkVhdName, nameWarnings, parentWarnings, typeOfName } from '../target.ts';

interface Flags extends LongFlags, ParentFlags {
  readonly output?: string | undefined;
  readonly force?: boolean | undefined;
  readonly dryRun?: boolean | undefined;
  readonly from?: 'raw' | 'vhd' | undefined;
  readonly bitmap?: 'honour' | 'ignore' | undefined;
  readonly lock?: boolean | undefined;
}

/** Declares `compact IMAGE`. */
export function declare(command: Command, session: Session): void {
  command
    .argument('<image>', 'image to give space back of, in place')
    .option('-o, --output <image>', 'write the compacted image to a new file, and change nothing else')
    .option('--force', 'replace a new file that exists')
    .option('--dry-run', 'write nothing, only tell what there would be')
    .option(
      '--from <kind>',
      'what the image is: raw or vhd (default: recognised by both ends)',
      oneOf('--from', ['raw', 'vhd']),
    );
  addParentOptions(addBitmapOption(command)).option(
    '--no-lock',
    'compact it even if another program is using it, and lock nobody out',
  );
  addLongFlags(command);
  addExamples(command, 'vhd compact disk.vhd --dry-run', 'vhd compact disk.vhd', 'vhd compact disk.vhd -o smaller.vhd');
  command.action((image: string, flags: Flags) => compactVerb(session, image, flags));
}

async function compactVerb(session: Session, image: string, flags: Flags): Promise<void> {
  const { output, force, dryRun, from, bitmap, lock } = flags;
  if (image === '-' || output === '-') throw new UsageError('compact needs files: expected the name of one, found -');
  if (output === undefined && force === true) {
    throw new UsageError('--force: is for -o, and in place nothing is replaced', 'leave it away');
  }
  if (output !== undefined) await checkName(image, output, from);
  session.files = { input: image, output: output ?? image };
  const heard = new HeardWarnings();
  const progress = new ProgressDisplay(session, flags);
  const options: CompactOptions = {
    ...{ output, force, dryRun, from, bitmap, lock },
    ...parentOptions(flags),
    ...{ onWarning: heard.listener, onProgress: progress.listener, signal: session.io.signal },
  };
  let result: CompactResult;
  try {
    result = await compact(image, options);
  } finally {
    progress.clear();
  }
  const warnings = [...result.warnings, ...heard.warnings.map(({ message }) => message)];
  for (const warning of warnings) await session.warn(`${image}: ${warning}`);
  for (const warning of parentWarnings(result.path, result.parentDir)) await session.warn(warning);
  const isDryRun = dryRun === true;
  if (session.isJson) {
    await session.print(jsonText('compact', { ...result, warnings, ...(isDryRun ? { dryRun: true } : {}) }));
  } else if (flags.quiet !== true) await session.print(compactText(result, { isDryRun, isCopy: output !== undefined }));
}

/** A copy is of the kind of the image, and has to be named like that. */
async function checkName(image: string, output: string, from: Flags['from']): Promise<void> {
  checkNamed(output);
  const kind = from ?? (await kindOf(image).catch(() => undefined));
  const other = `vhd convert ${shellPath(image)} ${shellPath(output)}`;
  if (kind === 'vhd') {
    checkVhdName(output, 'compact', typeOfName(output) === 'raw' ? `name it .vhd; or ${other}` : undefined);
  } else if (kind === 'raw' && nameWarnings(output, 'raw').length > 0) {
    const isVhd = typeOfName(output) !== undefined;
    const way = `name it .raw${isVhd ? `; or ${other}` : ''}`;
    throw new UsageError(`it is named ${extname(output)}, and compact makes of a raw image a raw one`, way, output);
  }
}

/** What cannot be opened or told is told of by who compacts it. */
async function kindOf(image: string): Promise<'raw' | 'vhd'> {
  const storage = await FileStorage.open(image);
  try {
    return await recognise(storage, await examine(storage));
  } finally {
    await storage.close();
  }
}

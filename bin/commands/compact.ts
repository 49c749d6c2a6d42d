import type { Command } from 'commander';
import { compact } from '../../src/ops/compact.ts';
import type { CompactOptions, CompactResult } from '../../src/ops/compact-options.ts';
import { compactText } from '../compact-text.ts';
import { UsageError } from '../errors.ts';
import { addExamples, addLongFlags, type LongFlags, oneOf } from '../flags.ts';
import { addBitmapOption, addParentOptions, type ParentFlags, parentOptions } from '../input-options.ts';
import { HeardWarnings } from '../opened.ts';
import { ProgressDisplay } from '../progress.ts';
import { jsonText } from '../report.ts';
import type { Session } from '../session.ts';
import { parentWarnings } from '../target.ts';

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

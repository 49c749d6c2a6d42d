import type { Command } from 'commander';
import { shellPath } from '../../src/format/shell.ts';
import { readJournal } from '../../src/open-journal.ts';
import { resize } from '../../src/ops/resize.ts';
import type { ResizeOptions, ResizeResult } from '../../src/ops/resize-options.ts';
import { addBreakingFlag, type BreakingFlags, guardChildren } from '../breaking-children.ts';
import { UsageError } from '../errors.ts';
import { addExamples, addLongFlags, type LongFlags } from '../flags.ts';
import { addBitmapOption, addParentOptions, type ParentFlags, parentOptions } from '../input-options.ts';
import { HeardWarnings } from '../opened.ts';
import { ProgressDisplay } from '../progress.ts';
import { jsonText } from '../report.ts';
import { resizeText } from '../resize-text.ts';
import type { Session } from '../session.ts';
import { parseBytes, parseDiskSize } from '../sizes.ts';
import { checkVhdName, parentWarnings, typeOfName } from '../target.ts';

interface Flags extends ParentFlags, LongFlags, BreakingFlags {
  readonly round?: number | undefined;
  readonly shrink?: boolean | undefined;
  readonly allowDataLoss?: boolean | undefined;
  readonly output?: string | undefined;
  readonly force?: boolean | undefined;
  readonly dryRun?: boolean | undefined;
  readonly bitmap?: 'honour' | 'ignore' | undefined;
  readonly lock?: boolean | undefined;
}

/** Declares `resize IMAGE SIZE`. */
export function declare(command: Command, session: Session): void {
  command
    .argument('<image>', 'VHD that gets another size, in place')
    .argument('[size]', 'virtual size, such as 64G, or what is added to it, such as +10G')
    .option('--round <bytes>', 'round the size up to a multiple of that, such as 1M', (text) =>
      parseDiskSize(text, '--round'),
    )
    .option('--shrink', 'it may become smaller, as long as nothing but free space is cut')
    .option('--allow-data-loss', 'it may become smaller, whatever is cut')
    .option('-o, --output <image>', 'write a new image of that size, and change nothing else')
    .option('--force', 'replace a new image that exists')
    .option('--dry-run', 'write nothing, only tell what there would be');
  addParentOptions(addBreakingFlag(addBitmapOption(command))).option(
    '--no-lock',
    'resize it even if another program is using it, and lock nobody out',
  );
  addLongFlags(command);
  addExamples(
    command,
    'vhd resize disk.vhd +10G',
    'vhd resize disk.vhd 64G --dry-run',
    'vhd resize disk.vhd --round 1M',
    'vhd resize disk.vhd 64G -o larger.vhd',
  );
  command.action((image: string, size: string | undefined, flags: Flags) => resizeVerb(session, image, size, flags));
}

async function resizeVerb(session: Session, image: string, text: string | undefined, flags: Flags): Promise<void> {
  const { output, force, dryRun, quiet } = flags;
  checkFlags(image, flags);
  session.files = { input: image, output: output ?? image };
  const wanted = { ...sizeOf(text, flags.round), roundTo: flags.round };
  if (Object.values(wanted).every((value) => value === undefined) && (await readJournal(image)) === undefined) {
    throw new UsageError(
      'no size: expected one such as 64G, +10G, or --round 1M',
      'say which size it is to get',
      image,
    );
  }
  if (output !== undefined && force === true) await guardChildren([output], flags, session.io.signal);
  const heard = new HeardWarnings();
  const progress = new ProgressDisplay(session, flags);
  let result: ResizeResult;
  try {
    result = await resize(image, { ...wanted, ...optionsOf(session, flags, heard, progress) });
  } finally {
    progress.clear();
  }
  const warnings = [...result.warnings, ...heard.warnings.map(({ message }) => message)];
  for (const warning of warnings) await session.warn(`${image}: ${warning}`);
  for (const warning of parentWarnings(result.path, result.parentDir)) await session.warn(warning);
  const isDryRun = dryRun === true;
  if (session.isJson) {
    await session.print(jsonText('resize', { ...result, warnings, ...(isDryRun ? { dryRun: true } : {}) }));
  } else if (quiet !== true) {
    await session.print(resizeText(result, { source: image, isNew: output !== undefined, isDryRun }));
  }
}

function checkFlags(image: string, { output, force }: Flags): void {
  if (image === '-' || output === '-') throw new UsageError('resize needs files: expected the name of one, found -');
  if (output === undefined && force === true) {
    throw new UsageError('--force: is for -o, and in place nothing is replaced', 'leave it away');
  }
  if (output !== undefined) {
    const isRaw = typeOfName(output) === 'raw';
    const second = isRaw
      ? `, and vhd convert ${shellPath(image)} ${shellPath(output)}`
      : '; other programs make that of it';
    checkVhdName(output, 'resize', `name it .vhd; or resize it${second}`);
  }
}

/** What is rounded need be no whole number of sectors. */
function sizeOf(text: string | undefined, round: number | undefined): Pick<ResizeOptions, 'size' | 'growBy'> {
  if (text === undefined) return {};
  const parse = round === undefined ? parseDiskSize : parseBytes;
  return text.startsWith('+') ? { growBy: parse(text.slice(1), 'SIZE') } : { size: parse(text, 'SIZE') };
}

function optionsOf(session: Session, flags: Flags, heard: HeardWarnings, progress: ProgressDisplay): ResizeOptions {
  const { shrink, allowDataLoss, allowBreakingChildren, output, force, dryRun, bitmap, lock } = flags;
  return {
    ...{ shrink, allowDataLoss, allowBreakingChildren, output, force, dryRun, bitmap, lock },
    ...parentOptions(flags),
    ...{ onWarning: heard.listener, onProgress: progress.listener, signal: session.io.signal },
  };
}

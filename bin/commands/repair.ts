import type { Command } from 'commander';
import type { RepairOptions, RepairResult } from '../../src/ops/repair.ts';
import { repair } from '../../src/ops/repair.ts';
import { addBreakingFlag, type BreakingFlags } from '../breaking-children.ts';
import { UsageError } from '../errors.ts';
import { addExamples, addLongFlags, type LongFlags, oneOf } from '../flags.ts';
import { HeardWarnings } from '../opened.ts';
import { ProgressDisplay } from '../progress.ts';
import { repairText } from '../repair-text.ts';
import { jsonText } from '../report.ts';
import type { Session } from '../session.ts';
import { checkVhdName, parentWarnings } from '../target.ts';

interface Flags extends LongFlags, BreakingFlags {
  readonly dryRun?: boolean | undefined;
  readonly cut?: boolean | undefined;
  readonly dropBlocks?: boolean | undefined;
  readonly zeroFill?: boolean | undefined;
  readonly setBits?: boolean | undefined;
  readonly rebuildBat?: boolean | undefined;
  readonly footer?: 'start' | 'end' | undefined;
  readonly output?: string | undefined;
  readonly force?: boolean | undefined;
  readonly lock?: boolean | undefined;
}

/** Declares `repair IMAGE`. */
export function declare(command: Command, session: Session): void {
  command
    .argument('<image>', 'VHD to mend, in place')
    .option('--dry-run', 'write nothing, only tell what there would be')
    .option('--cut', 'cut bytes off the end that do not belong to the image, though they are not zero')
    .option('--drop-blocks', 'set blocks aside whose place cannot be right: they read as zeros, or as the parent')
    .option('--zero-fill', 'put zeros where the file ends before the disk, or a block of it')
    .option('--set-bits', 'mark every sector of every block of a dynamic image as written')
    .option('--rebuild-bat', 'find header and table again by the blocks, as far as that is certain')
    .option('--footer <which>', 'which of two footers is right: start or end', oneOf('--footer', ['start', 'end']))
    .option('-o, --output <image>', 'write the repaired image to a new file, and change nothing else')
    .option('--force', 'replace a new file that exists');
  addBreakingFlag(command).option('--no-lock', 'repair it even if another program is using it, and lock nobody out');
  addLongFlags(command);
  addExamples(
    command,
    'vhd repair disk.vhd --dry-run',
    'vhd repair cut.vhd --zero-fill',
    'vhd repair disk.vhd -o whole.vhd',
  );
  command.action((image: string, flags: Flags) => repairVerb(session, image, flags));
}

async function repairVerb(session: Session, image: string, flags: Flags): Promise<void> {
  const { output } = flags;
  checkFlags(image, flags);
  session.files = { input: image, output: output ?? image };
  const heard = new HeardWarnings();
  const progress = new ProgressDisplay(session, flags);
  const options = optionsOf(session, flags, heard, progress);
  let result: RepairResult;
  try {
    result = await repair(image, options);
  } finally {
    progress.clear();
  }
  const warnings = [...result.warnings, ...heard.warnings.map(({ message }) => message)];
  for (const warning of warnings) await session.warn(`${image}: ${warning}`);
  for (const warning of parentWarnings(result.path, result.parentDir)) await session.warn(warning);
  const isDryRun = flags.dryRun === true;
  if (session.isJson) {
    await session.print(jsonText('repair', { ...result, warnings, ...(isDryRun ? { dryRun: true } : {}) }));
  } else if (flags.quiet !== true) await session.print(repairText(result, { source: image, options }));
  if (!result.ok) session.exitWith(1);
}

function checkFlags(image: string, { output, force }: Flags): void {
  if (image === '-' || output === '-') throw new UsageError('repair needs files: expected the name of one, found -');
  if (output === undefined && force === true) {
    throw new UsageError('--force: is for -o, and in place nothing is replaced', 'leave it away');
  }
  if (output !== undefined) checkVhdName(output, 'repair');
}

function optionsOf(session: Session, flags: Flags, heard: HeardWarnings, progress: ProgressDisplay): RepairOptions {
  const { dryRun, cut, dropBlocks, zeroFill, setBits, rebuildBat, footer } = flags;
  const { allowBreakingChildren, output, force, lock } = flags;
  return {
    ...{ dryRun, cut, dropBlocks, zeroFill, setBits, rebuildBat, footer, allowBreakingChildren, output, force, lock },
    ...{ onWarning: heard.listener, onProgress: progress.listener, signal: session.io.signal },
  };
}

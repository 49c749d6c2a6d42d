import type { Command } from 'commander';
import { shellPath } from '../../src/format/shell.ts';
import { merge } from '../../src/ops/merge.ts';
import type { MergeOptions, MergePlan, MergeResult } from '../../src/ops/merge-options.ts';
import { addBreakingFlag, type BreakingFlags, guardChildren } from '../breaking-children.ts';
import { UsageError } from '../errors.ts';
import { addExamples, addLongFlags, type LongFlags } from '../flags.ts';
import { addBitmapOption, addParentOptions, type ParentFlags, parentOptions } from '../input-options.ts';
import { mergeText, planText } from '../merge-text.ts';
import { HeardWarnings } from '../opened.ts';
import { ProgressDisplay } from '../progress.ts';
import { jsonText } from '../report.ts';
import type { Session } from '../session.ts';
import { checkVhdName, typeOfName } from '../target.ts';

interface Flags extends ParentFlags, LongFlags, BreakingFlags {
  readonly bitmap?: 'honour' | 'ignore' | undefined;
  readonly lock?: boolean | undefined;
  readonly into?: string | undefined;
  readonly output?: string | undefined;
  readonly force?: boolean | undefined;
  readonly deleteMerged?: boolean | undefined;
  readonly dryRun?: boolean | undefined;
}

/** Declares `merge CHILD`. */
export function declare(command: Command, session: Session): void {
  command
    .argument('<child>', 'differencing image to merge')
    .option('--into <image>', 'ancestor to merge it into, with all links between (default: its parent)')
    .option('-o, --output <image>', 'write what the ancestor would become to a new image, and change nothing else')
    .option('--force', 'replace a new image that exists')
    .option('--delete-merged', 'delete the child and the links between when all of it is merged and durable')
    .option('--dry-run', 'write nothing, only tell what there would be');
  addParentOptions(addBreakingFlag(addBitmapOption(command))).option(
    '--no-lock',
    'open the images even if another program is using them, and lock nobody out',
  );
  addLongFlags(command);
  addExamples(
    command,
    'vhd merge child.vhd --into base.vhd',
    'vhd merge child.vhd --into base.vhd --dry-run',
    'vhd merge child.vhd --into base.vhd -o new.vhd',
  );
  command.action((child: string, flags: Flags) => mergeVerb(session, child, flags));
}

async function mergeVerb(session: Session, child: string, flags: Flags): Promise<void> {
  const { into, output, force, deleteMerged, dryRun, allowBreakingChildren, bitmap, lock } = flags;
  checkFlags(child, flags);
  if (output !== undefined && force === true) {
    await guardChildren([output], flags, session.io.signal).catch(async (error: unknown) => {
      const { refuseForChain } = await import('../chain-target.ts');
      return refuseForChain(error, [child], output, flags);
    });
  }
  session.files = { input: child, output: output ?? into ?? child };
  const heard = new HeardWarnings();
  const told = new Set<string>();
  const progress = new ProgressDisplay(session, flags);

  const options: MergeOptions = {
    ...{ into, output, force, deleteMerged, dryRun, allowBreakingChildren, bitmap, lock },
    ...parentOptions(flags),
    blockingWrites: true,
    onWarning: heard.listener,
    onPlan: (plan) => tellPlan(session, plan, { flags, told }),
    onProgress: progress.listener,
    signal: session.io.signal,
  };
  let result: MergeResult;
  try {
    result = await merge(child, options);
  } finally {
    progress.clear();
  }
  session.aftermath = undefined;
  await tell(session, result, { heard, told, flags });
}

function checkFlags(child: string, { output, deleteMerged, force }: Flags): void {
  if (child === '-') throw new UsageError('merge needs a file that has a parent: expected its name, found -');
  if (output === '-') {
    throw new UsageError(
      '-o: expected the name of a file, found -',
      `vhd convert ${shellPath(child)} - flattens to a pipe`,
    );
  }
  if (output !== undefined) {
    const isRaw = typeOfName(output) === 'raw';
    const second = isRaw ? `; or vhd convert ${shellPath(child)} ${shellPath(output)}` : '';
    checkVhdName(output, 'merge', `name it .vhd${second}`);
  }
  if (output !== undefined && deleteMerged === true) {
    throw new UsageError('--delete-merged: with -o nothing else is changed', 'leave one of them away');
  }
  if (output === undefined && force === true) {
    throw new UsageError('--force: is for -o, and in place nothing is replaced', 'leave it away');
  }
}

/** From here on a failure leaves something behind that the same command goes on with. */
async function tellPlan(
  session: Session,
  plan: MergePlan,
  { flags: { output, quiet, dryRun }, told }: { flags: Flags; told: Set<string> },
): Promise<void> {
  const { child, path, finishCommand } = plan;
  if (finishCommand !== undefined && dryRun !== true) {
    session.files = { input: child, output: path };
    session.aftermath = `nothing is lost: ${child} reads as before, and ${finishCommand} goes on`;
  }
  if (session.isJson) return;
  // Before anything is written.
  for (const warning of plan.warnings) await session.warn(warning);
  for (const warning of plan.warnings) told.add(warning);
  if (quiet !== true) await session.note(`vhd: ${planText(plan, output !== undefined)}`);
}

async function tell(
  session: Session,
  result: MergeResult,
  { heard, told, flags }: { heard: HeardWarnings; told: ReadonlySet<string>; flags: Flags },
): Promise<void> {
  const isDryRun = flags.dryRun === true;
  const ofFiles = heard.warnings.map(({ storage, message }) => `${storage}: ${message}`);
  const warnings = [...result.warnings, ...ofFiles];
  for (const warning of warnings.filter((text) => !told.has(text))) await session.warn(warning);
  if (session.isJson) {
    await session.print(jsonText('merge', { ...result, warnings, ...(isDryRun ? { dryRun: true } : {}) }));
  } else if (flags.quiet !== true) {
    const { output, deleteMerged: deletes = false } = flags;
    await session.print(mergeText(result, { isNew: output !== undefined, isDryRun, deletes }));
  }
}

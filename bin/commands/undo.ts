import type { Command } from 'commander';
import { undo } from '../../src/ops/undo.ts';
import { addBreakingFlag, type BreakingFlags } from '../breaking-children.ts';
import { UsageError } from '../errors.ts';
import { addExamples, addReportFlags, type ReportFlags } from '../flags.ts';
import { HeardWarnings } from '../opened.ts';
import { jsonText, summaryText } from '../report.ts';
import type { Session } from '../session.ts';
import { formatExactly } from '../sizes.ts';

interface Flags extends ReportFlags, BreakingFlags {
  readonly dryRun?: boolean | undefined;
  readonly lock?: boolean | undefined;
  readonly quiet?: boolean | undefined;
}

/** Declares `undo IMAGE`. */
export function declare(command: Command, session: Session): void {
  command
    .argument('<image>', 'image whose last repair, resize or set is to be taken back')
    .option('--dry-run', 'write nothing, only tell what there would be');
  addBreakingFlag(command)
    .option('--no-lock', 'write to it even if another program is using it')
    .option('-q, --quiet', 'no summary; warnings and errors stay');
  addReportFlags(command);
  addExamples(command, 'vhd set disk.vhd --creator vpc && vhd undo disk.vhd');
  command.action((image: string, flags: Flags) => undoVerb(session, image, flags));
}

async function undoVerb(session: Session, image: string, flags: Flags): Promise<void> {
  session.files = { input: image, output: image };
  if (image === '-') throw new UsageError('undo changes a file in place: expected its name, found -');
  const heard = new HeardWarnings();
  const { dryRun, allowBreakingChildren, lock, quiet } = flags;
  const result = await undo(image, { dryRun, allowBreakingChildren, lock, onWarning: heard.listener });
  const warnings = [...result.warnings, ...heard.warnings.map(({ message }) => message)];
  for (const warning of warnings) await session.warn(`${image}: ${warning}`);
  if (session.isJson) {
    await session.print(jsonText('undo', { ...result, warnings, ...(dryRun === true ? { dryRun } : {}) }));
  } else if (quiet !== true) {
    const verb = dryRun === true ? 'would take back' : 'took back';
    const what = `the ${result.verb} of ${result.startedAt}${result.wasPending ? ', which was not finished' : ''}`;
    const rows = [['file size', dryRun === true ? undefined : formatExactly(result.fileSize)]] as const;
    await session.print(summaryText(`${verb} ${what}: ${image}`, rows));
  }
}

import type { Command } from 'commander';
import { type RelinkResult, relink } from '../../src/ops/relink.ts';
import { UsageError } from '../errors.ts';
import { addExamples, addReportFlags, type ReportFlags } from '../flags.ts';
import { jsonText, summaryText } from '../report.ts';
import type { Session } from '../session.ts';

interface Flags extends ReportFlags {
  readonly parent?: string | undefined;
  readonly allowUuidMismatch?: boolean | undefined;
  readonly dryRun?: boolean | undefined;
  readonly lock?: boolean | undefined;
  readonly quiet?: boolean | undefined;
}

/** Declares `relink CHILD`. */
export function declare(command: Command, session: Session): void {
  command
    .argument('<child>', 'differencing image whose parent has moved')
    .option('--parent <parent>', 'where its parent is now; without, a relink that was begun is finished')
    .option('--allow-uuid-mismatch', 'take a parent with another identifier, if it has the same size')
    .option('--dry-run', 'write nothing, only tell what there would be')
    .option('--no-lock', 'write to it even if another program is using it')
    .option('-q, --quiet', 'no summary; warnings and errors stay');
  addReportFlags(command);
  addExamples(command, 'vhd relink child.vhd --parent base/disk.vhd');
  command.action((child: string, flags: Flags) => relinkVerb(session, child, flags));
}

async function relinkVerb(session: Session, child: string, flags: Flags): Promise<void> {
  session.files = { input: child, output: child };
  if (child === '-') throw new UsageError('relink changes a file in place: expected its name, found -');
  const { parent, allowUuidMismatch, dryRun, lock } = flags;
  const { signal } = session.io;
  if (parent === undefined) await checkBegun(child);
  const result = await relink(child, { parent, allowUuidMismatch, dryRun, lock, signal });
  for (const warning of result.warnings) await session.warn(warning);
  if (session.isJson) await session.print(jsonText('relink', { ...result, ...(dryRun === true ? { dryRun } : {}) }));
  else if (flags.quiet !== true) await session.print(summary(result, dryRun === true));
}

/** Without a parent there is only one thing to do. */
async function checkBegun(child: string): Promise<void> {
  const { readJournal } = await import('../../src/open-journal.ts');
  if ((await readJournal(child)) !== undefined) return;
  throw new UsageError('no parent is given', 'vhd relink CHILD --parent P; vhd tree DIR shows which images there are');
}

function summary({ path, parent, previousName, parentUuid, name, ...result }: RelinkResult, isDryRun: boolean): string {
  const verb = isDryRun ? 'would relink' : 'relinked';
  if (!result.changed) return summaryText(`nothing to do: ${path} names ${parent ?? name} as its parent already`, []);
  const rows = [
    ['parent', parent ?? undefined],
    ['named before', previousName === '' ? 'nothing' : previousName],
    ['named now', name],
    ['identifier', parentUuid],
  ] as const;
  return summaryText(`${result.finishedJournal ? 'finished what was begun; ' : ''}${verb} ${path}`, rows);
}

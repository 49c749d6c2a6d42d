import { stat } from 'node:fs/promises';
import type { Command } from 'commander';
import { escapeControls } from '../../src/format/bytes.ts';
import { readJournal } from '../../src/open-journal.ts';
import { type RelinkResult, relink } from '../../src/ops/relink.ts';
import type { RelinkAllResult, RelinkedImage } from '../../src/ops/relink-all.ts';
import { addBreakingFlag, type BreakingFlags } from '../breaking-children.ts';
import { UsageError } from '../errors.ts';
import { addExamples, addReportFlags, type ReportFlags } from '../flags.ts';
import { jsonText, summaryText } from '../report.ts';
import type { Session } from '../session.ts';
import { parentWarnings } from '../target.ts';

interface Flags extends ReportFlags, BreakingFlags {
  readonly parent?: string | undefined;
  readonly allowUuidMismatch?: boolean | undefined;
  readonly dryRun?: boolean | undefined;
  readonly lock?: boolean | undefined;
  readonly quiet?: boolean | undefined;
  readonly recursive?: boolean | undefined;
  readonly parentDir: readonly string[];
}

/** Declares `relink CHILD`. */
export function declare(command: Command, session: Session): void {
  command
    .argument('<image>', 'differencing image whose parent has moved; with --recursive, a directory of such images')
    .option('--parent <parent>', 'where its parent is now; without, a relink that was begun is finished')
    .option('--recursive', 'every image in a directory and those in it that does not find its parent any more')
    .option(
      '--parent-dir <dir>',
      'another directory to look for parents in; may be given again',
      (dir: string, dirs: readonly string[]) => [...dirs, dir],
      [],
    )
    .option('--allow-uuid-mismatch', 'take a parent with another identifier, if it is not smaller')
    .option('--dry-run', 'write nothing, only tell what there would be')
    .option('--no-lock', 'write to it even if another program is using it')
    .option('-q, --quiet', 'no summary; warnings and errors stay');
  addReportFlags(addBreakingFlag(command));
  addExamples(command, 'vhd relink child.vhd --parent base.vhd', 'vhd relink images --recursive --dry-run');
  command.action((child: string, flags: Flags) =>
    flags.recursive === true ? relinkDirectory(session, child, flags) : relinkVerb(session, child, flags),
  );
}

async function relinkVerb(session: Session, child: string, flags: Flags): Promise<void> {
  session.files = { input: child, output: child };
  if (child === '-') throw new UsageError('relink changes a file in place: expected its name, found -');
  const { parent, parentDir: parentDirs, allowUuidMismatch, allowBreakingChildren, dryRun, lock } = flags;
  const { signal } = session.io;
  if ((await stat(child)).isDirectory()) {
    throw new UsageError('it is a directory: expected an image', `vhd relink ${child} --recursive`, child);
  }
  if (parent === undefined) await checkBegun(child);
  const options = { parent, parentDirs, allowUuidMismatch, allowBreakingChildren, dryRun, lock, signal };
  const result = await relink(child, options);
  const warnings = [...result.warnings, ...parentWarnings(child, result.parentDir)];
  for (const warning of warnings) await session.warn(warning);
  const told = { ...result, warnings, ...(dryRun === true ? { dryRun } : {}) };
  if (session.isJson) await session.print(jsonText('relink', told));
  else if (flags.quiet !== true) await session.print(summary(result, dryRun === true));
}

/** Without a parent there is only one thing to do. */
async function checkBegun(child: string): Promise<void> {
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

async function relinkDirectory(session: Session, directory: string, flags: Flags): Promise<void> {
  session.files = { input: directory };
  const { parent, allowUuidMismatch, allowBreakingChildren, dryRun, lock, parentDir: parentDirs } = flags;
  const wrong = {
    '--parent': parent,
    '--allow-uuid-mismatch': allowUuidMismatch,
    '--allow-breaking-children': allowBreakingChildren,
  };
  const flag = Object.entries(wrong).find(([, value]) => value !== undefined)?.[0];
  if (flag !== undefined) {
    throw new UsageError(`${flag}: with --recursive, parents are found by their identifiers`, `leave ${flag} away`);
  }
  if (!(await stat(directory)).isDirectory()) {
    throw new UsageError('--recursive: expected a directory', `vhd relink ${directory} --parent P`, directory);
  }
  const { relinkAll } = await import('../../src/ops/relink-all.ts');
  const result = await relinkAll(directory, { parentDirs, dryRun, lock, signal: session.io.signal });
  for (const { path, parentDir, warnings } of result.images) {
    for (const warning of [...warnings, ...parentWarnings(path, parentDir)]) await session.warn(warning);
  }
  if (session.isJson) await session.print(jsonText('relink', { ...result, ...(dryRun === true ? { dryRun } : {}) }));
  else if (flags.quiet !== true) await session.print(directoryText(result, dryRun === true));
  if (result.failed > 0) session.exitWith(1);
}

function directoryText({ images, relinked, right, failed }: RelinkAllResult, isDryRun: boolean): string {
  const verb = isDryRun ? 'would relink' : 'relinked';
  const lines = images.filter(({ outcome }) => outcome !== 'right').map((image) => lineFor(image, verb));
  const counts = `${verb} ${relinked}, ${right} right already${failed === 0 ? '' : `, ${failed} not linked`}`;
  return `${lines.map((line) => `${escapeControls(line)}\n`).join('')}${counts}\n`;
}

function lineFor(
  { path, outcome, parent, previousName, parentUuid, candidates, problem }: RelinkedImage,
  verb: string,
): string {
  if (outcome === 'relinked') return `${verb} ${path} to ${parent ?? 'where a call before was about to'}`;
  const which =
    candidates.length === 0 ? '' : ` (${candidates.slice(0, 3).join(', ')}${candidates.length > 3 ? ', …' : ''})`;
  return `not linked: ${path}: ${problem ?? ''}${which}; it names ${previousName ?? 'nothing'}, ${parentUuid ?? ''}`;
}

import type { Command } from 'commander';
import { readTree } from '../../src/ops/tree.ts';
import { addExamples, addReportFlags, type ReportFlags } from '../flags.ts';
import { isColoured, jsonText } from '../report.ts';
import type { Session } from '../session.ts';
import { treeText } from '../tree-text.ts';

interface Flags extends ReportFlags {
  readonly parentDir: readonly string[];
}

/** Declares `tree DIR|FILE`. */
export function declare(command: Command, session: Session): void {
  command
    .argument('[path]', 'directory to look into, or an image whose relatives are wanted', '.')
    .option(
      '--parent-dir <dir>',
      'another directory to look for parents in; may be given again',
      (dir: string, dirs: readonly string[]) => [...dirs, dir],
      [],
    );
  addExamples(addReportFlags(command), 'vhd tree images', 'vhd tree disk.vhd');
  command.action((path: string, flags: Flags) => tree(session, path, flags));
}

async function tree(session: Session, path: string, { parentDir }: Flags): Promise<void> {
  session.files = { input: path };
  const { signal, stdout, env } = session.io;
  const report = await readTree(path, { parentDirs: parentDir, signal });
  await session.print(session.isJson ? jsonText('tree', report) : treeText(report, isColoured(stdout, env)));
  if (report.missingParents > 0) session.exitWith(1);
}

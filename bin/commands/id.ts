import type { Command } from 'commander';
import { escapeControls } from '../../src/format/bytes.ts';
import type { Identification } from '../../src/ops/identification.ts';
import { identify } from '../../src/ops/identify.ts';
import { UsageError } from '../errors.ts';
import { addExamples, addReportFlags, type ReportFlags } from '../flags.ts';
import { isColoured, jsonText, paint } from '../report.ts';
import type { Session } from '../session.ts';
import { parseBytes } from '../sizes.ts';
import { isSystemError } from '../system-errors.ts';

interface Flags extends ReportFlags {
  readonly mime?: boolean | undefined;
  readonly search?: number | undefined;
}

/** Declares `id FILE…`. */
export function declare(command: Command, session: Session): void {
  command
    .argument('<file...>', 'files to look at')
    .option('--mime', 'print media types, as file --mime-type does')
    .option('--search <size>', 'how far back from the end to look for a displaced footer (default: 1M)', (text) =>
      parseBytes(text, '--search'),
    );
  addExamples(addReportFlags(command), 'vhd id disk.vhd', 'vhd id --mime *', 'vhd id --json --search 64M grown.vhd');
  command.action((files: string[], flags: Flags) => id(session, files, flags));
}

async function id(session: Session, files: readonly string[], flags: Flags): Promise<void> {
  // Known before anything is read, so that lines can go out as they come and stand in columns all the same.
  const width = Math.max(...files.map((file) => escapeControls(file).length)) + 1;
  for (const file of files) {
    session.io.signal.throwIfAborted();
    session.files = { input: file };
    try {
      const found = await identifyFile(file, flags);
      await session.print(
        session.isJson ? jsonText('id', found, files.length > 1) : lineOf(found, flags, width, session),
      );
    } catch (error) {
      // The other files are still to be looked at, unless nobody reads about them any more.
      if ((await session.fail(error)) > 128) return;
    }
  }
}

async function identifyFile(file: string, flags: Flags): Promise<Identification> {
  if (file === '-') throw endsError('-');
  try {
    return await identify(file, { searchBytes: flags.search });
  } catch (error) {
    if (isSystemError(error) && error.code === 'ESPIPE') throw endsError('a pipe', file);
    throw error;
  }
}

function endsError(found: string, path?: string): UsageError {
  return new UsageError(`id needs both ends: expected a file, found ${found}`, 'save it to a file first', path);
}

function lineOf(found: Identification, { mime }: Flags, width: number, { io }: Session): string {
  const path = `${escapeControls(found.path)}:`.padEnd(width);
  if (mime === true) return `${path} ${found.mime}\n`;
  return `${path} ${paint('bold', found.kind, isColoured(io.stdout, io.env))} — ${found.detail}\n`;
}

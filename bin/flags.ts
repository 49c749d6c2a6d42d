import type { Command } from 'commander';
import { UsageError } from './errors.ts';
import { PROGRESS_MODES, type ProgressFlags } from './progress.ts';

/** Flags every verb has. */
export interface ReportFlags {
  readonly json?: boolean | undefined;
}

/** Flags of verbs that may take long. */
export type LongFlags = ReportFlags & ProgressFlags;

/** Declares `--json`. */
export function addReportFlags(command: Command): Command {
  return command.option('--json', 'print JSON, also for failures');
}

/** Declares `--progress`, `--no-progress`, `-q` and `--json`. */
export function addLongFlags(command: Command): Command {
  command
    .option(
      '--progress <how>',
      'auto (a bar on a terminal), json (lines on standard error) or none',
      oneOf('--progress', PROGRESS_MODES),
    )
    .option('--no-progress', 'the same as --progress none')
    .option('-q, --quiet', 'no progress and no summary; warnings and errors stay');
  return addReportFlags(command);
}

/** What reads one of a few words, and has them for completion. */
interface WordReader<Word extends string> {
  (text: string): Word;
  readonly choices: readonly Word[];
}

/** Makes the reader of an option that is one of a few words. */
export function oneOf<Word extends string>(flag: string, words: readonly Word[]): WordReader<Word> {
  const read = (text: string): Word => {
    const word = words.find((candidate) => candidate === text);
    if (word !== undefined) return word;
    const choice = `${words.slice(0, -1).join(', ')} or ${words.at(-1) ?? ''}`;
    throw new UsageError(`${flag}: expected ${choice}, found '${text}'`);
  };
  return Object.assign(read, { choices: words });
}

/** Lines that end the help of a verb. */
export function addExamples(command: Command, ...examples: string[]): Command {
  const title = examples.length === 1 ? 'Example' : 'Examples';
  return command.addHelpText('after', `\n${title}:\n${examples.map((line) => `  ${line}`).join('\n')}`);
}

import type { Command } from 'commander';
import type { Geometry } from '../../src/format/geometry.ts';
import { readJournal } from '../../src/open-journal.ts';
import { setIdentity } from '../../src/ops/set.ts';
import { addBreakingFlag, type BreakingFlags } from '../breaking-children.ts';
import { UsageError } from '../errors.ts';
import { addExamples, addReportFlags, type ReportFlags } from '../flags.ts';
import { parseCreator, parseGeometry, parseIdentifier, parseTimestamp } from '../image-options.ts';
import { HeardWarnings } from '../opened.ts';
import { jsonText, type Row, summaryText } from '../report.ts';
import type { Session } from '../session.ts';

interface Flags extends ReportFlags, BreakingFlags {
  readonly uuid?: string | undefined;
  readonly creator?: string | undefined;
  readonly chs?: Geometry | 'auto' | undefined;
  readonly timestamp?: Date | undefined;
  readonly dryRun?: boolean | undefined;
  readonly lock?: boolean | undefined;
  readonly quiet?: boolean | undefined;
}

/** Declares `set IMAGE`. */
export function declare(command: Command, session: Session): void {
  command
    .argument('<image>', 'image that is to say something else of itself')
    .option('--uuid <uuid>', 'identifier, in file order, or new for a random one', (text) =>
      text === 'new' ? text : parseIdentifier(text),
    )
    .option('--creator <text>', 'creator application, one to four characters', parseCreator)
    .option('--chs <C/H/S>', 'geometry, or auto for that of the specification', (text) =>
      text === 'auto' ? text : parseGeometry(text),
    )
    .option(
      '--timestamp <time>',
      'ISO date or time, UTC unless it has an offset, seconds since 1970, or now',
      (text) => (text === 'now' ? new Date() : parseTimestamp(text)),
    )
    .option('--dry-run', 'write nothing, only tell what there would be');
  addBreakingFlag(command)
    .option('--no-lock', 'write to it even if another program is using it')
    .option('-q, --quiet', 'no summary; warnings and errors stay');
  addReportFlags(command);
  addExamples(command, 'vhd set disk.vhd --uuid new', 'vhd set disk.vhd --chs auto --timestamp now');
  command.action((image: string, flags: Flags) => setVerb(session, image, flags));
}

async function setVerb(session: Session, image: string, flags: Flags): Promise<void> {
  session.files = { input: image, output: image };
  if (image === '-') throw new UsageError('set changes a file in place: expected its name, found -');
  const { uuid, creator, chs: geometry, timestamp, dryRun, allowBreakingChildren, lock, quiet } = flags;
  const isNothing = [uuid, creator, geometry, timestamp].every((value) => value === undefined);
  if (isNothing && (await readJournal(image)) === undefined) {
    throw new UsageError('nothing is to be set', 'say --uuid, --creator, --chs or --timestamp');
  }
  const heard = new HeardWarnings();
  const result = await setIdentity(image, {
    ...{ uuid, creator, geometry, timestamp, dryRun, allowBreakingChildren, lock },
    ...{ onWarning: heard.listener, signal: session.io.signal },
  });
  const warnings = [...result.warnings, ...heard.warnings.map(({ message }) => message)];
  for (const warning of warnings) await session.warn(`${image}: ${warning}`);
  if (session.isJson) {
    await session.print(jsonText('set', { ...result, warnings, ...(dryRun === true ? { dryRun } : {}) }));
  } else if (quiet !== true) {
    const rows = result.fields.map(({ field, before, after }): Row => [field, `${after}, before ${before}`]);
    const begun = result.finishedJournal ? 'finished what was begun; ' : '';
    const verb = dryRun === true ? 'would set' : 'set';
    await session.print(summaryText(begun + (result.changed ? `${verb} ${image}` : `nothing to do: ${image}`), rows));
  }
}

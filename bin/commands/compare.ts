import type { Command } from 'commander';
import { warningsOf } from '../../src/format/rules.ts';
import type { OpenDiskOptions } from '../../src/open.ts';
import { type ComparedPair, closePair, compareOpened, openPair } from '../../src/ops/compare.ts';
import type { CompareDisksOptions, Comparison, DifferingRange } from '../../src/ops/compare-report.ts';
import { compareText } from '../compare-text.ts';
import { UsageError } from '../errors.ts';
import { addExamples, addLongFlags, type LongFlags, oneOf } from '../flags.ts';
import { addInputOptions, type InputFlags, inputOptions } from '../input-options.ts';
import { JsonListing } from '../json-listing.ts';
import { warnAbout } from '../opened.ts';
import { ProgressDisplay } from '../progress.ts';
import { MAX_LISTED } from '../ranges-text.ts';
import { isColoured } from '../report.ts';
import type { Session } from '../session.ts';

interface Flags extends InputFlags, LongFlags {
  readonly fromA?: 'raw' | 'vhd' | undefined;
  readonly fromB?: 'raw' | 'vhd' | undefined;
  readonly ignoreTail?: boolean | undefined;
  readonly first?: boolean | undefined;
  readonly pad?: boolean | undefined;
}

/** Declares `compare A B`. */
export function declare(command: Command, session: Session): void {
  command
    .argument('<a>', 'image: raw, fixed, dynamic, or a child with its parents')
    .argument('<b>', 'image to hold against it')
    .option('--first', 'stop at the first difference')
    .option('--ignore-tail', 'another size is no difference where the longer one has only zeros more')
    .option('--pad', 'read a raw image as if zeros filled it up to a multiple of 512 bytes')
    .option('--from-a <kind>', 'what A is, where B is something else: raw or vhd', oneOf('--from-a', ['raw', 'vhd']))
    .option('--from-b <kind>', 'what B is', oneOf('--from-b', ['raw', 'vhd']));
  addLongFlags(addInputOptions(command));
  addExamples(
    command,
    'vhd compare disk.raw disk.vhd',
    'vhd compare disk.vhd fixed.vhd --first',
    'vhd compare disk.vhd other.vhd --json | jq .equal',
  );
  command.addHelpText('after', '\nEnds with 0 if they are equal, with 1 if not.');
  command.action((a: string, b: string, flags: Flags) => compare(session, { a, b }, flags));
}

interface Names {
  readonly a: string;
  readonly b: string;
}

async function compare(session: Session, names: Names, flags: Flags): Promise<void> {
  if (names.a === '-' || names.b === '-') {
    throw new UsageError(
      'compare needs two files and takes nothing from standard input: expected a path, found -',
      'save what comes down the pipe to a file and compare that: cat > disk.raw',
    );
  }
  const pair = await openBoth(names, flags);
  const progress = new ProgressDisplay(session, flags);
  try {
    const warnings = await warningsAbout(session, pair);
    const how = { ignoreTail: flags.ignoreTail, first: flags.first };
    const options = { ...how, signal: session.io.signal, onProgress: progress.listener };
    const equal = session.isJson
      ? await compareInJson(session, pair, { options, warnings })
      : await compareInWords(session, pair, { options, progress, flags });
    if (!equal) session.exitWith(1);
  } finally {
    progress.clear();
    await closePair(pair);
  }
}

function openBoth({ a, b }: Names, flags: Flags): Promise<ComparedPair> {
  const options: OpenDiskOptions = { ...inputOptions(flags), pad: flags.pad };
  const { from, fromA = from, fromB = from } = flags;
  return openPair(
    { source: a, options: { ...options, from: fromA } },
    { source: b, options: { ...options, from: fromB } },
  );
}

/** Tells each once: both may be one file, or have one parent. */
async function warningsAbout(session: Session, { a, b }: ComparedPair): Promise<string[]> {
  const all: string[] = [];
  const told = new Set<string>();
  for (const { path, vhd, parentPaths } of [a, b]) {
    for (const warning of warningsOf(vhd?.findings ?? [])) {
      const isOfParent = parentPaths.some((parent) => warning.startsWith(`${parent}: `));
      const subject = isOfParent ? warning : `${path}: ${warning}`;
      if (told.has(subject)) continue;
      told.add(subject);
      await warnAbout(session, path, [warning]);
      all.push(`${path}: ${warning}`);
    }
  }
  return all;
}

interface JsonJob {
  readonly options: CompareDisksOptions;
  readonly warnings: readonly string[];
}

/** Every range is written when it is found: there may be millions. */
async function compareInJson(session: Session, pair: ComparedPair, { options, warnings }: JsonJob): Promise<boolean> {
  const shape = { verb: 'compare', list: 'ranges', head: {} };
  const listing = new JsonListing<DifferingRange>(shape, (text) => session.print(text));
  let comparison: Comparison;
  try {
    const onRange = (range: DifferingRange): Promise<void> => listing.add(range);
    comparison = await compareOpened(pair, { ...options, maxRanges: 0, onRange });
  } catch (error) {
    await listing.abandon();
    throw error;
  }
  const { ranges: _, ...rest } = comparison;
  await listing.finish({ ...rest, warnings });
  return comparison.equal;
}

interface TextJob {
  readonly options: CompareDisksOptions;
  readonly progress: ProgressDisplay;
  readonly flags: Flags;
}

async function compareInWords(
  session: Session,
  pair: ComparedPair,
  { options, progress, flags }: TextJob,
): Promise<boolean> {
  const comparison = await compareOpened(pair, { ...options, maxRanges: MAX_LISTED });
  progress.clear();
  const { stdout, env } = session.io;
  const how = { isFirstOnly: flags.first === true, isTailIgnored: flags.ignoreTail === true };
  if (flags.quiet !== true) await session.print(compareText(comparison, how, isColoured(stdout, env)));
  return comparison.equal;
}

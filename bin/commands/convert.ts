import type { Command } from 'commander';
import { convert } from '../../src/ops/convert.ts';
import type { ConvertOptions, ConvertResult, TargetType } from '../../src/ops/convert-options.ts';
import { type StreamTarget, statOrNothing, streamSource, streamTarget } from '../endpoints.ts';
import { UsageError } from '../errors.ts';
import { addExamples, addLongFlags, type LongFlags, oneOf } from '../flags.ts';
import { addImageOptions, type ImageFlags, identityOptions } from '../image-options.ts';
import { addInputOptions, type InputFlags, inputOptions } from '../input-options.ts';
import { ProgressDisplay } from '../progress.ts';
import { jsonText, type Row, summaryText } from '../report.ts';
import type { Session } from '../session.ts';
import { formatBytes, formatExactly, formatRate } from '../sizes.ts';
import { geometryWarnings, nameWarnings, targetTypeOf } from '../target.ts';

interface Flags extends InputFlags, ImageFlags, LongFlags {
  readonly to?: TargetType | undefined;
  readonly force?: boolean | undefined;
  readonly pad?: boolean | undefined;
  readonly dryRun?: boolean | undefined;
}

/** Declares `convert SRC DST`. */
export function declare(command: Command, session: Session): void {
  command
    .argument('<src>', 'image to read; - is standard input')
    .argument('<dst>', 'image to write; - is standard output')
    .option(
      '--to <type>',
      'raw, fixed or dynamic (default: by the name of DST)',
      oneOf('--to', ['raw', 'fixed', 'dynamic']),
    )
    .option('--force', 'replace a file that exists')
    .option('--pad', 'fill a raw source up with zeros to a multiple of 512 bytes')
    .option('--dry-run', 'write nothing, only tell what there would be');
  addLongFlags(addImageOptions(addInputOptions(command)));
  addExamples(
    command,
    'vhd convert disk.raw disk.vhd',
    'vhd convert disk.vhd azure.vhd --to fixed',
    'xz -dc disk.raw.xz | vhd convert - disk.vhd',
  );
  command.action((source: string, target: string, flags: Flags) => convertVerb(session, { source, target, flags }));
}

interface Call {
  readonly source: string;
  readonly target: string;
  readonly flags: Flags;
}

async function convertVerb(session: Session, call: Call): Promise<void> {
  const { source, target, flags } = call;
  session.files = { input: source, output: target };
  const to = flags.to ?? targetTypeOf(source, target);
  const options = optionsFor(session, flags, to);
  const stream = await streamSource(session, source);
  if (stream !== undefined) refuseForStreams(source, flags);
  // A dry run writes nothing, so nothing has to be opened for it.
  const sink = flags.dryRun === true ? undefined : await streamTarget(session, target);
  const progress = new ProgressDisplay(session, flags);
  let result: ConvertResult;
  try {
    result = await convert(stream ?? source, sink?.stream ?? target, { ...options, onProgress: progress.listener });
    await sink?.finish();
  } finally {
    progress.clear();
  }
  await tell(session, call, { ...result, path: target }, sink);
}

function optionsFor(session: Session, flags: Flags, to: TargetType): ConvertOptions {
  const { blockSize, preallocate, force, pad, dryRun } = flags;
  if (blockSize !== undefined && to !== 'dynamic') {
    throw new UsageError(`--block-size: a ${to} image has no blocks`, 'leave it away, or say --to dynamic');
  }
  if (preallocate === true && to === 'dynamic') {
    throw new UsageError(
      '--preallocate: a dynamic disk takes room as it is written',
      'leave it away, or say --to fixed',
    );
  }
  const identity = identityOptions(flags, session.io.env);
  const { signal } = session.io;
  const blockingWrites = true;
  return {
    ...inputOptions(flags),
    ...identity,
    to,
    blockSize,
    preallocate,
    force,
    pad,
    dryRun,
    blockingWrites,
    signal,
  };
}

/** What needs a source that can be read twice, or from its end. */
function refuseForStreams(source: string, flags: Flags): void {
  const name = source === '-' ? 'standard input' : `the pipe ${source}`;
  const given = [
    [flags.dryRun === true, '--dry-run'],
    [flags.sizeFrom !== undefined, '--size-from'],
    [flags.footer !== undefined, '--footer'],
    [flags.preallocate === true, '--preallocate'],
  ] as const;
  const [, flag] = given.find(([isGiven]) => isGiven) ?? [];
  if (flag !== undefined) {
    throw new UsageError(`${flag}: ${name} can be read only once`, 'save it to a file first, and convert that');
  }
}

async function tell(session: Session, call: Call, result: ConvertResult, sink?: StreamTarget): Promise<void> {
  const { source, target, flags } = call;
  const sourceName = source === '-' ? 'standard input' : source;
  const isDryRun = flags.dryRun === true;
  const ofTarget = await warningsAboutTarget(call, result);
  for (const warning of result.warnings) await session.warn(`${sourceName}: ${warning}`);
  for (const warning of ofTarget) await session.warn(warning);
  const isDataOnStdout = sink !== undefined && target === '-';
  if (session.isJson) {
    const report = { ...result, warnings: [...result.warnings, ...ofTarget], ...(isDryRun ? { dryRun: true } : {}) };
    await session.report(jsonText('convert', report, isDataOnStdout), isDataOnStdout);
  } else if (flags.quiet !== true) {
    const isAssumed = result.sourceType === 'raw' && flags.from === undefined;
    await session.report(summary(result, { sourceName, isAssumed, isDryRun }), isDataOnStdout);
  }
}

async function warningsAboutTarget({ target, flags }: Call, result: ConvertResult): Promise<string[]> {
  const warnings = [...nameWarnings(target, result.type), ...geometryWarnings(flags.chs, result.virtualSize, target)];
  const mayReplace = flags.dryRun !== true || flags.force === true || target === '-';
  if (!mayReplace && (await statOrNothing(target)) !== undefined) {
    warnings.push(`${target}: the output exists already, --force will be needed`);
  }
  return warnings;
}

interface Told {
  readonly sourceName: string;
  readonly isAssumed: boolean;
  readonly isDryRun: boolean;
}

function summary(result: ConvertResult, { sourceName, isAssumed, isDryRun }: Told): string {
  const { path, type, sourceType, virtualSize, fileSize, copiedBytes, clonedBytes, skippedBytes, seconds } = result;
  const readAs = isAssumed ? 'read as raw: no footer found' : sourceType;
  const rows: Row[] = [
    ['source', `${sourceName} (${readAs})`],
    ['type', type],
    ['virtual size', formatExactly(virtualSize)],
    ['file size', formatExactly(fileSize)],
    [isDryRun ? 'to copy' : 'copied', formatBytes(copiedBytes)],
    ['shared', clonedBytes === undefined ? undefined : `${formatBytes(clonedBytes)} of it with the source, not moved`],
    ['empty', `${formatBytes(skippedBytes)}, ${isDryRun ? 'to be skipped' : 'skipped'}`],
    ['time', `${seconds.toFixed(2)} s${isDryRun ? '' : formatRate(copiedBytes, seconds)}`],
  ];
  const name = path === '-' ? 'to standard output' : path;
  return summaryText(`${isDryRun ? 'would write' : 'wrote'} ${name}`, rows);
}

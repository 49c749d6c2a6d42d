import type { Readable } from 'node:stream';
import type { Command } from 'commander';
import { convert } from '../../src/ops/convert.ts';
import type { ConvertOptions, ConvertResult, TargetType } from '../../src/ops/convert-options.ts';
import { addBreakingFlag, type BreakingFlags, guardChildren } from '../breaking-children.ts';
import { refuseForChain } from '../chain-target.ts';
import { convertTypeFor } from '../convert-target.ts';
import { convertText } from '../convert-text.ts';
import { watchDevice } from '../device-target.ts';
import { type StreamTarget, statOrNothing, streamSource, streamTarget } from '../endpoints.ts';
import { UsageError } from '../errors.ts';
import { addExamples, addLongFlags, type LongFlags, oneOf } from '../flags.ts';
import { addImageOptions, type ImageFlags, identityOptions } from '../image-options.ts';
import { addInputOptions, type InputFlags, inputOptions } from '../input-options.ts';
import { HeardWarnings } from '../opened.ts';
import { ProgressDisplay } from '../progress.ts';
import { jsonText } from '../report.ts';
import type { Session } from '../session.ts';
import { parseBytes } from '../sizes.ts';
import { geometryWarnings, nameWarnings, parentWarnings } from '../target.ts';

interface Flags extends InputFlags, ImageFlags, LongFlags, BreakingFlags {
  readonly to?: TargetType | undefined;
  readonly parent?: string | undefined;
  readonly force?: boolean | undefined;
  readonly pad?: boolean | undefined;
  readonly dryRun?: boolean | undefined;
  readonly azure?: boolean | undefined;
  readonly inputSize?: number | undefined;
  readonly reproducible?: boolean | undefined;
  readonly inPlace?: boolean | undefined;
  readonly compression?: ConvertOptions['compression'];
}

/** Declares `convert SRC DST`. */
export function declare(command: Command, session: Session): void {
  command
    .argument('<src>', 'image to read; - is standard input')
    .argument('[dst]', 'image to write; - is standard output')
    .option(
      '--to <type>',
      'raw, fixed or dynamic (default: by the name of DST)',
      oneOf('--to', ['raw', 'fixed', 'dynamic']),
    )
    .option('--parent <parent>', 'write DST as a child of this VHD: only what differs from it')
    .option(
      '--compression <format>',
      'how the source is compressed: gzip, zstd, xz or none (default: recognised)',
      oneOf('--compression', ['gzip', 'zstd', 'xz', 'none']),
    )
    .option('--force', 'replace a file that exists, overwrite a block device')
    .option('--pad', 'fill a raw source up with zeros to a multiple of 512 bytes')
    .option('--dry-run', 'write nothing, only tell what there would be')
    .option('--azure', 'make it fit for Azure: fixed, a whole number of MiB, the backup of a GPT at the new end')
    .option('--in-place', 'change SRC itself between raw and fixed by its footer; DST, if given, is its new name')
    .option('--input-size <size>', 'bytes the disk in SRC has; another size is an error', parseInputSize)
    .option('--reproducible', 'the same file whenever it is made: --uuid from the content, --timestamp 2000-01-01');
  addLongFlags(addImageOptions(addInputOptions(addBreakingFlag(command))));
  addExamples(
    command,
    'vhd convert disk.raw disk.vhd',
    'vhd convert disk.vhd azure.vhd --azure',
    'vhd convert disk.raw.xz disk.vhd',
    'zstd -dc disk.raw.zst | vhd convert - azure.vhd --azure --input-size 4M',
    'vhd convert disk.raw disk.vhd --in-place',
    'vhd convert other.vhd delta.vhd --parent disk.vhd',
  );
  command.action((source: string, target: string | undefined, flags: Flags) => {
    return convertVerb(session, { source, target: targetFor(source, target, flags), flags });
  });
}

function parseInputSize(text: string): number {
  const bytes = parseBytes(text, '--input-size');
  if (bytes > 0) return bytes;
  throw new UsageError(`--input-size: expected 1 or more bytes, found '${text}'`);
}

/** Only a file that is changed in place needs no other name. */
function targetFor(source: string, target: string | undefined, { inPlace }: Flags): string {
  const isStream = source === '-' || target === '-';
  if (inPlace === true && isStream) {
    throw new UsageError('--in-place: expected the name of a file, found -', 'leave it away');
  }
  if (target !== undefined) return target;
  if (inPlace === true) return source;
  throw new UsageError('no target is given', 'vhd convert SRC DST, such as: vhd convert disk.raw disk.vhd');
}

interface Call {
  readonly source: string;
  readonly target: string;
  readonly flags: Flags;
}

async function convertVerb(session: Session, call: Call): Promise<void> {
  const { source, target, flags } = call;
  session.files = { input: source, output: target };
  const isDevice = (await statOrNothing(target))?.isBlockDevice() === true;
  const { azure = false, inPlace = false } = flags;
  const to = convertTypeFor({ source, target, to: flags.to, parent: flags.parent, azure, inPlace, isDevice });
  await guardChildren(changedBy(call), flags, session.io.signal).catch((error: unknown) => {
    return refuseForChain(error, source, target, flags);
  });
  const heard = new HeardWarnings();
  const options = { ...optionsFor(session, flags, to), onWarning: heard.listener };
  const { stream, sink } = inPlace ? {} : await openEnds(session, call);
  const progress = new ProgressDisplay(session, flags);
  const onProgress = isDevice ? watchDevice(session, target, progress.listener) : progress.listener;
  let result: ConvertResult;
  try {
    result = await convert(stream ?? source, sink?.stream ?? target, { ...options, onProgress });
    await sink?.finish();
  } finally {
    progress.clear();
  }
  session.aftermath = undefined;
  const ofFiles = heard.warnings.map(({ storage, message }) => `${storage}: ${message}`);
  await tell(session, call, { result: { ...result, path: target }, ofFiles, sink });
}

/** The images that are there and that the call changes or replaces. */
function changedBy({ source, target, flags }: Call): string[] {
  const { dryRun, inPlace, force } = flags;
  if (dryRun === true) return [];
  return [...(inPlace === true ? [source] : []), ...(force === true && target !== '-' ? [target] : [])];
}

interface Ends {
  readonly stream?: Readable | undefined;
  readonly sink?: StreamTarget | undefined;
}

/** What of source and target is a stream; what is changed in place is a file, or refused. */
async function openEnds(session: Session, { source, target, flags }: Call): Promise<Ends> {
  const stream = await streamSource(session, source);
  if (stream !== undefined) refuseForStreams(source, flags);
  // A dry run writes nothing, so nothing has to be opened for it.
  const sink = flags.dryRun === true ? undefined : await streamTarget(session, target);
  return { stream, sink };
}

function optionsFor(session: Session, flags: Flags, to: TargetType): ConvertOptions {
  const { blockSize, preallocate, force, pad, dryRun, azure, inputSize, inPlace, compression } = flags;
  if (blockSize !== undefined && to !== 'dynamic' && to !== 'differencing') {
    throw new UsageError(`--block-size: a ${to} image has no blocks`, 'leave it away, or say --to dynamic');
  }
  if (inPlace === true) refuseForInPlace(flags);
  if (preallocate === true && (to === 'dynamic' || to === 'differencing')) {
    throw new UsageError(
      `--preallocate: a ${to} disk takes room as it is written`,
      to === 'dynamic' ? 'leave it away, or say --to fixed' : 'leave it away',
    );
  }
  const identity = identityOptions(flags, session.io.env);
  // Whoever sets the time for a build wants the same file twice, and an identifier made at random would spoil that.
  const reproducible = flags.reproducible === true || (session.io.env['SOURCE_DATE_EPOCH'] ?? '') !== '';
  const { signal } = session.io;
  const blockingWrites = true;
  return {
    ...inputOptions(flags),
    ...identity,
    to,
    parent: flags.parent,
    blockSize,
    preallocate,
    force,
    pad,
    dryRun,
    azure,
    inputSize,
    reproducible,
    inPlace,
    compression,
    blockingWrites,
    signal,
  };
}

/** What copies can do and a footer alone cannot. */
function refuseForInPlace({ sizeFrom, preallocate }: Flags): void {
  const flag = sizeFrom === 'chs' ? '--size-from chs' : preallocate === true ? '--preallocate' : undefined;
  if (flag === undefined) return;
  throw new UsageError(`${flag}: is for copies, and --in-place makes none`, 'leave one of them away');
}

/** What needs a source that can be read twice, or from its end. */
function refuseForStreams(source: string, flags: Flags): void {
  const name = source === '-' ? 'standard input' : `the pipe ${source}`;
  const given = [
    [flags.dryRun === true, '--dry-run'],
    [flags.sizeFrom !== undefined, '--size-from'],
    [flags.footer !== undefined, '--footer'],
    [flags.parent !== undefined, '--parent'],
    [flags.preallocate === true, '--preallocate'],
  ] as const;
  const [, flag] = given.find(([isGiven]) => isGiven) ?? [];
  if (flag !== undefined) {
    throw new UsageError(`${flag}: ${name} can be read only once`, 'save it to a file first, and convert that');
  }
}

interface Done {
  readonly result: ConvertResult;
  /** Warnings with the name of the file they are about. */
  readonly ofFiles: readonly string[];
  readonly sink: StreamTarget | undefined;
}

async function tell(session: Session, call: Call, { result, ofFiles, sink }: Done): Promise<void> {
  const { source, target, flags } = call;
  const sourceName = source === '-' ? 'standard input' : source;
  const isDryRun = flags.dryRun === true;
  const ofTarget = [...ofFiles, ...(await warningsAboutTarget(call, result))];
  for (const warning of result.warnings) await session.warn(`${sourceName}: ${warning}`);
  for (const warning of ofTarget) await session.warn(warning);
  const isDataOnStdout = sink !== undefined && target === '-';
  if (session.isJson) {
    const report = { ...result, warnings: [...result.warnings, ...ofTarget], ...(isDryRun ? { dryRun: true } : {}) };
    await session.report(jsonText('convert', report, isDataOnStdout), isDataOnStdout);
  } else if (flags.quiet !== true) {
    const isAssumed = result.sourceType === 'raw' && flags.from === undefined;
    const isInPlace = flags.inPlace === true;
    await session.report(convertText(result, { sourceName, isAssumed, isDryRun, isInPlace }), isDataOnStdout);
  }
}

async function warningsAboutTarget({ target, flags }: Call, result: ConvertResult): Promise<string[]> {
  const about = [...nameWarnings(target, result.type), ...geometryWarnings(flags.chs, result.virtualSize, target)];
  const ofParent = parentWarnings(target, result.parentDir);
  const warnings = [...about, ...ofParent, ...(result.device?.notes ?? []).map((note) => `${target}: ${note}`)];
  const mayExist = flags.dryRun !== true || flags.force === true || flags.inPlace === true || target === '-';
  if (!mayExist && (await statOrNothing(target)) !== undefined) {
    warnings.push(`${target}: the output exists already, --force will be needed`);
  }
  return warnings;
}

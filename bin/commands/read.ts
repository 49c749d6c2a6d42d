import type { Writable } from 'node:stream';
import type { Command } from 'commander';
import { warningsOf } from '../../src/format/rules.ts';
import { isAllZeros } from '../../src/format/zeros.ts';
import { type OpenedDisk, openDisk } from '../../src/open.ts';
import { OutputFile } from '../../src/ops/output-file.ts';
import { ProgressMeter } from '../../src/ops/progress.ts';
import { pumpTo } from '../../src/ops/pump.ts';
import { refuseParents } from '../../src/ops/same-file.ts';
import { readWatched } from '../../src/ops/source-change.ts';
import { createReadStream } from '../../src/stream/disk-streams.ts';
import { PIECE_BYTES, readAhead, storedPieces } from '../../src/stream/read-ahead.ts';
import { addBreakingFlag, type BreakingFlags, guardChildren } from '../breaking-children.ts';
import { refuseForChain } from '../chain-target.ts';
import { refuseSameFile, streamTarget } from '../endpoints.ts';
import { UsageError } from '../errors.ts';
import { addExamples, addLongFlags, type LongFlags } from '../flags.ts';
import { addInputOptions, type InputFlags, inputOptions } from '../input-options.ts';
import { type DiskRange, diskRange, warnAbout } from '../opened.ts';
import { ProgressDisplay } from '../progress.ts';
import { jsonText, summaryText } from '../report.ts';
import type { Session } from '../session.ts';
import { formatBytes, formatExactly, formatRate, parseBytes } from '../sizes.ts';

interface Flags extends InputFlags, LongFlags, BreakingFlags {
  readonly start: number;
  readonly length?: number | undefined;
  readonly output: string;
  readonly force?: boolean | undefined;
  readonly pad?: boolean | undefined;
}

/** Declares `read IMAGE`. */
export function declare(command: Command, session: Session): void {
  command
    .argument('<image>', 'image to read')
    .option('--start <n>', 'first byte', (text) => parseBytes(text, '--start'), 0)
    .option('--length <n>', 'bytes (default: to the end)', (text) => parseBytes(text, '--length'))
    .option('-o, --output <file>', 'file to write; - is standard output', '-')
    .option('--force', 'replace a file that exists')
    .option('--pad', 'read a raw image as if zeros filled it up to a multiple of 512 bytes');
  addLongFlags(addInputOptions(addBreakingFlag(command)));
  addExamples(command, 'vhd read disk.vhd --length 512 | xxd', 'vhd read disk.vhd --start 1M --length 1M -o part.raw');
  command.action((image: string, flags: Flags) => read(session, image, flags));
}

async function read(session: Session, image: string, flags: Flags): Promise<void> {
  session.files = { input: image, output: flags.output };
  if (image === '-') {
    throw new UsageError('read: expected an image file, found -', 'vhd convert - - --to raw reads a VHD from a pipe');
  }
  const sink = await streamTarget(session, flags.output);
  await refuseSameFile(image, flags.output);
  if (sink === undefined && flags.force === true) {
    await guardChildren([flags.output], flags, session.io.signal).catch((error: unknown) => {
      return refuseForChain(error, image, flags.output, flags);
    });
  }
  const opened = await openDisk(image, { ...inputOptions(flags), pad: flags.pad });
  const progress = new ProgressDisplay(session, flags);
  const startedAt = performance.now();
  try {
    if (sink === undefined) await refuseParents(opened.parentPaths, flags.output);
    const range = diskRange(opened.disk.size, image, flags);
    await warnAbout(session, image, warningsOf(opened.vhd?.findings ?? []));
    const meter = new ProgressMeter('read', range.length, progress.listener);
    const running = { meter, signal: session.io.signal };
    await readWatched(opened, async () => {
      if (sink === undefined) await readToFile(opened, range, flags, running);
      else await readToStream(opened, range, sink.stream, running);
    });
    await sink?.finish();
    progress.clear();
    const seconds = (performance.now() - startedAt) / 1000;
    await tell(session, { opened, range, meter, seconds }, flags);
  } finally {
    progress.clear();
    await opened.disk.close();
  }
}

interface Running {
  readonly meter: ProgressMeter;
  readonly signal: AbortSignal;
}

async function readToStream(
  { disk, checkUnchanged }: OpenedDisk,
  range: DiskRange,
  target: Writable,
  { meter, signal }: Running,
): Promise<void> {
  async function* counted(): AsyncGenerator<Uint8Array> {
    for await (const chunk of createReadStream(disk, { ...range, signal })) {
      const bytes = chunk as Uint8Array;
      yield bytes;
      meter.copied(bytes.length);
    }
  }
  await pumpTo(counted(), target, signal);
  await checkUnchanged();
  meter.finish();
}

/** What is empty on the disk becomes a hole in the file. */
async function readToFile(
  { disk, checkUnchanged }: OpenedDisk,
  range: DiskRange,
  flags: Flags,
  { meter, signal }: Running,
): Promise<void> {
  const { force, lock } = flags;
  const output = await OutputFile.create(flags.output, { force, lock, blockingWrites: true });
  try {
    await output.storage.truncate(range.length);
    for await (const piece of readAhead(disk, storedPieces(disk, range, PIECE_BYTES), { signal })) {
      if (!isAllZeros(piece.bytes)) {
        await output.storage.write(piece.bytes, piece.start - range.start);
        meter.copied(piece.length);
      }
      piece.release();
    }
    meter.skipped(range.length - meter.copiedBytes);
    meter.finish();
    await checkUnchanged();
    await output.commit();
  } catch (error) {
    await output.discard();
    throw error;
  }
}

interface Done {
  readonly opened: OpenedDisk;
  readonly range: DiskRange;
  readonly meter: ProgressMeter;
  readonly seconds: number;
}

async function tell(session: Session, { opened, range, meter, seconds }: Done, flags: Flags): Promise<void> {
  const isDataOnStdout = flags.output === '-';
  const { copiedBytes, skippedBytes } = meter;
  if (session.isJson) {
    const { start, length } = range;
    const about = {
      path: flags.output,
      type: 'raw',
      sourceType: opened.type,
      virtualSize: opened.disk.size,
      start,
      length,
    };
    const report = {
      ...about,
      fileSize: length,
      copiedBytes,
      skippedBytes,
      seconds,
      warnings: warningsOf(opened.vhd?.findings ?? []),
    };
    await session.report(jsonText('read', report, isDataOnStdout), isDataOnStdout);
  } else if (flags.quiet !== true && !isDataOnStdout) {
    const rows = [
      ['bytes', `${formatExactly(range.length)} from ${range.start} on`],
      ['copied', `${formatBytes(copiedBytes)}; ${formatBytes(skippedBytes)} empty, skipped`],
      ['time', `${seconds.toFixed(2)} s${formatRate(copiedBytes, seconds)}`],
    ] as const;
    await session.print(summaryText(`wrote ${flags.output}`, rows));
  }
}

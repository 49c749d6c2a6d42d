import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Command } from 'commander';
import { VhdError } from '../../src/errors.ts';
import { warningsOf } from '../../src/format/rules.ts';
import { type OpenedDisk, openDisk } from '../../src/open.ts';
import { ProgressMeter } from '../../src/ops/progress.ts';
import { readWatched, WatchedFile } from '../../src/ops/source-change.ts';
import { fileState } from '../../src/storage/file-device.ts';
import { createWriteStream } from '../../src/stream/disk-streams.ts';
import { addBreakingFlag, type BreakingFlags, guardChildren } from '../breaking-children.ts';
import { refuseSameFile, streamSource } from '../endpoints.ts';
import { UsageError } from '../errors.ts';
import { addExamples, addLongFlags, type LongFlags } from '../flags.ts';
import { addInputOptions, type InputFlags, inputOptions } from '../input-options.ts';
import { checkStart, HeardWarnings, warnAbout } from '../opened.ts';
import { ProgressDisplay } from '../progress.ts';
import { jsonText, summaryText } from '../report.ts';
import type { Session } from '../session.ts';
import { formatExactly, formatRate, parseBytes } from '../sizes.ts';

interface Flags extends InputFlags, LongFlags, BreakingFlags {
  readonly start: number;
}

/** Declares `write IMAGE [SRC]`. */
export function declare(command: Command, session: Session): void {
  command
    .argument('<image>', 'image to write into')
    .argument('[src]', 'bytes to write; - is standard input', '-')
    .option('--start <n>', 'first byte on the virtual disk', (text) => parseBytes(text, '--start'), 0);
  addLongFlags(addInputOptions(addBreakingFlag(command)));
  addExamples(command, 'vhd write disk.vhd boot.bin', 'cat part.raw | vhd write disk.vhd --start 1M');
  command.action((image: string, source: string, flags: Flags) => write(session, { image, source, flags }));
}

interface Call {
  readonly image: string;
  readonly source: string;
  readonly flags: Flags;
}

interface Source {
  readonly stream: Readable;
  /** Undefined for pipes. */
  readonly byteLength: number | undefined;
  /** Undefined for pipes. */
  readonly file: WatchedFile | undefined;
}

async function write(session: Session, call: Call): Promise<void> {
  const { image, source, flags } = call;
  session.files = { input: source, output: image };
  if (image === '-') throw new UsageError('write: expected an image file, found -', 'vhd write IMAGE [SRC]');
  await refuseSameFile(source, image);
  await guardChildren([image], flags, session.io.signal);
  const { stream, byteLength, file } = await openSource(session, source);
  const heard = new HeardWarnings();
  const opened = await openImage(session, image, flags, heard).catch(async (error: unknown) => {
    stream.destroy();
    await file?.close();
    throw error;
  });
  const progress = new ProgressDisplay(session, flags);
  const startedAt = performance.now();
  try {
    checkFits(opened, call, byteLength);
    const warnings = [...heard.warnings.map(({ message }) => message), ...warningsOf(opened.vhd?.findings ?? [])];
    await warnAbout(session, image, warnings);
    const meter = new ProgressMeter('write', byteLength, progress.listener);
    const { signal } = session.io;
    const move = async (): Promise<void> => {
      const target = createWriteStream(opened.disk, { start: flags.start, signal });
      await pipeline(counted(stream, meter), target, { signal });
      meter.finish();
      await opened.disk.close();
      await file?.checkUnchanged();
    };
    await (file === undefined ? move() : readWatched(file, move)).catch((error: unknown) => {
      throw movingError(error, opened.disk.size - flags.start);
    });
    progress.clear();
    await tell(session, call, {
      opened,
      warnings,
      writtenBytes: meter.copiedBytes,
      seconds: (performance.now() - startedAt) / 1000,
    });
  } finally {
    progress.clear();
    stream.destroy();
    await file?.close();
    await opened.disk.close();
  }
}

/** The image first: what is wrong with it is not to be said of the source. */
async function openImage(
  session: Session,
  image: string,
  flags: Flags,
  { listener: onWarning }: HeardWarnings,
): Promise<OpenedDisk> {
  if (flags.sizeFrom === 'chs') {
    throw new UsageError(
      '--size-from chs: is for reading only',
      'what lies behind that size would be overwritten: leave it away',
    );
  }
  const { files } = session;
  session.files = { input: image, output: image };
  const opened = await openDisk(image, { ...inputOptions(flags), writable: true, onWarning }).catch(
    (error: unknown) => {
      throw isPadError(error) ? wholeSectorsError(error, image) : error;
    },
  );
  session.files = files;
  return opened;
}

/** The library's way out is to pad, which is for reading only. */
function isPadError(error: unknown): error is VhdError {
  return error instanceof VhdError && error.code === 'ERR_VHD_SIZE' && error.remedy?.startsWith('--pad') === true;
}

function wholeSectorsError({ code, message, storage, expected, found }: VhdError, image: string): VhdError {
  const remedy = `truncate -s %512 ${image}   fills it up with zeros`;
  return new VhdError(code, message, { storage, expected, found, remedy });
}

async function openSource(session: Session, source: string): Promise<Source> {
  const stream = await streamSource(session, source);
  if (stream !== undefined) return { stream, byteLength: undefined, file: undefined };
  // A folder can be opened as well.
  await fileState(source);
  const file = await WatchedFile.open(source);
  return { stream: file.createReadStream(session.io.signal), byteLength: file.byteLength, file };
}

/** Everything that can be known is known before the first byte is written. */
function checkFits({ disk }: OpenedDisk, { image, source, flags }: Call, byteLength: number | undefined): void {
  checkStart(flags.start, disk.size, image);
  if (byteLength === undefined || flags.start + byteLength <= disk.size) return;
  const expected = `at most ${disk.size - flags.start} bytes`;
  const message = `it does not fit on the disk: expected ${expected} from byte ${flags.start} on, found ${byteLength} bytes`;
  throw new VhdError('ERR_VHD_SIZE', message, {
    storage: source,
    expected,
    found: `${byteLength} bytes`,
    remedy: 'nothing was written: write less, or make a larger disk with vhd create',
  });
}

/** What went wrong on the way, with what it means for the image. */
function movingError(error: unknown, room: number): unknown {
  if (!(error instanceof VhdError)) return error;
  // How long a pipe is shows only when its bytes run past the end of the disk.
  if (error.code === 'ERR_VHD_SIZE') {
    const { code, message, offset, expected, found } = error;
    const remedy = `what came before was written; there is room for ${room} bytes`;
    return new VhdError(code, message, { offset, expected, found, remedy });
  }
  if (error.code !== 'ERR_VHD_SOURCE_CHANGED') return error;
  const { code, message, storage, expected, found, cause } = error;
  const remedy = `${error.remedy ?? ''}; the image has been written to, in part or with what the source is no more`;
  return new VhdError(code, message, { storage, expected, found, remedy, cause });
}

async function* counted(stream: Readable, meter: ProgressMeter): AsyncGenerator<Uint8Array> {
  for await (const chunk of stream) {
    const bytes = chunk as Uint8Array;
    yield bytes;
    meter.copied(bytes.length);
  }
}

interface Done {
  readonly opened: OpenedDisk;
  readonly writtenBytes: number;
  readonly warnings: readonly string[];
  readonly seconds: number;
}

async function tell(session: Session, { image, flags }: Call, done: Done): Promise<void> {
  const { opened, writtenBytes, warnings, seconds } = done;
  if (session.isJson) {
    const fileSize = (await fileState(image)).size;
    const about = { path: image, type: opened.type, virtualSize: opened.disk.size, fileSize, start: flags.start };
    const moved = {
      copiedBytes: writtenBytes,
      skippedBytes: 0,
      seconds,
      warnings,
    };
    await session.print(jsonText('write', { ...about, ...moved }));
  } else if (flags.quiet !== true) {
    const rows = [
      ['bytes', `${formatExactly(writtenBytes)} from ${flags.start} on`],
      ['time', `${seconds.toFixed(2)} s${formatRate(writtenBytes, seconds)}`],
    ] as const;
    await session.print(summaryText(`wrote to ${image}`, rows));
  }
}

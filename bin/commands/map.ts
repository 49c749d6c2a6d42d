import type { Command } from 'commander';
import type { Disk } from '../../src/disk/disk.ts';
import { VhdError } from '../../src/errors.ts';
import { escapeControls } from '../../src/format/bytes.ts';
import { warningsOf } from '../../src/format/rules.ts';
import type { DiskContents } from '../../src/inspect/partition-table.ts';
import { type OpenedDisk, openDisk } from '../../src/open.ts';
import { type MapProblem, mapRuns } from '../../src/ops/map.ts';
import { MapCounter, type MapFigures } from '../../src/ops/map-figures.ts';
import { refuseParents } from '../../src/ops/same-file.ts';
import { readWatched } from '../../src/ops/source-change.ts';
import { refuseForChain } from '../chain-target.ts';
import { refuseSameFile, statOrNothing } from '../endpoints.ts';
import { UsageError } from '../errors.ts';
import { addExamples, addLongFlags, type LongFlags } from '../flags.ts';
import { addInputOptions, type InputFlags, inputOptions } from '../input-options.ts';
import { CellGrid } from '../map-cells.ts';
import { PartFill } from '../map-partitions.ts';
import { jsonListing, type RunListing, tableListing } from '../map-runs.ts';
import type { SvgViews } from '../map-svg.ts';
import { isUnicode, type MappedImage, pictureCells, pictureText, summaryRows } from '../map-text.ts';
import { type DiskRange, diskRange, warnAbout } from '../opened.ts';
import { columnsOf, ProgressDisplay } from '../progress.ts';
import { isColoured, keyValueTable, paint, summaryText } from '../report.ts';
import type { Session } from '../session.ts';
import { formatBytes, parseBytes } from '../sizes.ts';
import { openTextTarget, type TextTarget } from '../text-target.ts';

interface Flags extends InputFlags, LongFlags {
  readonly start: number;
  readonly length?: number | undefined;
  readonly table?: boolean | undefined;
  readonly svg?: string | undefined;
  readonly force?: boolean | undefined;
  readonly detectZeros?: boolean | undefined;
  readonly coarse?: boolean | undefined;
  readonly pad?: boolean | undefined;
}

/** Declares `map IMAGE`. */
export function declare(command: Command, session: Session): void {
  command
    .argument('<image>', 'image to look at')
    .option('--table', 'list the runs instead of drawing them')
    .option('--svg <file>', 'draw it into an SVG file; - is standard output')
    .option('--start <n>', 'first byte', (text) => parseBytes(text, '--start'), 0)
    .option('--length <n>', 'bytes (default: to the end)', (text) => parseBytes(text, '--length'))
    .option('--detect-zeros', 'read the data too, and show 64 KiB of zeros as zero')
    .option('--coarse', 'take blocks as a whole without reading their bitmaps: quicker on very large images')
    .option('--force', 'replace a file that exists')
    .option('--pad', 'read a raw image as if zeros filled it up to a multiple of 512 bytes');
  addLongFlags(addInputOptions(command));
  addExamples(command, 'vhd map disk.vhd', 'vhd map disk.vhd --svg disk.svg', 'vhd map disk.vhd --json | jq .runs');
  command.action((image: string, flags: Flags) => map(session, image, flags));
}

async function map(session: Session, image: string, flags: Flags): Promise<void> {
  session.files = { input: image, output: flags.svg };
  checkFlags(image, flags);
  if (flags.svg !== undefined) await refuseSameFile(image, flags.svg);
  const target = flags.svg === undefined ? undefined : await openTextTarget(session, flags.svg, flags);
  try {
    const opened = await openDisk(image, { ...inputOptions(flags), pad: flags.pad });
    try {
      await readWatched(opened, () => mapOpened(session, { image, opened, target }, flags));
    } finally {
      await opened.disk.close();
    }
  } catch (error) {
    await target?.discard();
    // The target is ours alone by now: as a parent it could not be opened.
    const isInUse = error instanceof VhdError && error.code === 'ERR_VHD_IN_USE';
    if (flags.svg !== undefined && isInUse) await refuseForChain(error, [image], flags.svg, flags);
    throw error;
  }
}

function checkFlags(image: string, { table, json, svg }: Flags): void {
  if (image === '-') {
    throw new UsageError('map needs both ends of an image: expected a file, found -', 'save it to a file first');
  }
  if (table === true && json === true) {
    throw new UsageError('--table and --json: expected one of them, found both', 'leave one of them out');
  }
  if (svg === '-' && (table === true || json === true)) {
    throw new UsageError(
      `--svg - and ${json === true ? '--json' : '--table'} both go to standard output: expected one of them, found both`,
      'draw into a file: --svg FILE',
    );
  }
}

interface Job {
  readonly image: string;
  readonly opened: OpenedDisk;
  readonly target: TextTarget | undefined;
}

async function mapOpened(session: Session, job: Job, flags: Flags): Promise<void> {
  const { image, opened, target } = job;
  if (flags.svg !== undefined) await refuseParents(opened.parentPaths, flags.svg);
  const range = diskRange(opened.disk.size, image, flags);
  await warnAbout(session, image, warningsOf(opened.vhd?.findings ?? []));
  const fileSize = await fileSizeOf(image, opened);
  const chain = opened.parentPaths.length === 0 ? {} : { chain: [image, ...opened.parentPaths] };
  const about = { path: image, type: opened.type, ...chain, virtualSize: opened.disk.size, fileSize, ...range };
  const views = await viewsOf(session, job, about, flags);
  const { figures, problem } = await gather(session, { disk: opened.disk, views, range }, flags);
  await opened.checkUnchanged();
  await views.listing?.finish(figures);
  if (views.svg !== undefined) await target?.write(views.svg.text(figures, views.fill, problem));
  await target?.finish();
  if (views.listing === undefined) await show(session, { about, figures, views }, flags);
  if (problem !== undefined) await session.fail(unknownError(image, figures, problem));
  // Where the image is damaged, what the partition table suffers from that has been told already.
  else await warnAbout(session, image, views.tableErrors);
}

/** What the runs are gathered for: a list, a picture on the terminal, a picture in a file. */
interface Views {
  readonly listing: RunListing | undefined;
  readonly picture: { readonly grid: CellGrid; readonly cellsPerRow: number } | undefined;
  readonly svg: SvgViews | undefined;
  readonly fill: PartFill;
  /** What is wrong with the partition table, so that partitions may be missing. */
  readonly tableErrors: readonly string[];
}

async function viewsOf(session: Session, job: Job, about: MappedImage, flags: Flags): Promise<Views> {
  const listing = listingOf(session, about, job.opened, flags);
  const svg = job.target === undefined ? undefined : new (await import('../map-svg.ts')).SvgViews(about);
  const { cellBytes, cellsPerRow } = pictureCells(about.length, columnsOf(session.io.stdout));
  const isDrawn = listing === undefined && svg === undefined;
  const picture = isDrawn ? { grid: new CellGrid(about.start, about.length, cellBytes), cellsPerRow } : undefined;
  const contents = isDrawn || svg !== undefined ? await contentsOf(job) : undefined;
  const tableErrors = (contents?.findings ?? [])
    .filter((item) => item.severity === 'error')
    .map((item) => item.message);
  return { listing, picture, svg, fill: new PartFill(contents, about.virtualSize), tableErrors };
}

/** What is on the disk, for a picture. */
async function contentsOf({ opened }: Job): Promise<DiskContents> {
  const { listPartitions } = await import('../../src/inspect/partitions.ts');
  return listPartitions(opened.disk);
}

async function fileSizeOf(image: string, { vhd, disk }: OpenedDisk): Promise<number> {
  if (vhd !== undefined) return vhd.fileSize;
  const stats = await statOrNothing(image);
  return stats?.isFile() === true ? stats.size : disk.size;
}

function listingOf(
  session: Session,
  about: MappedImage,
  { vhd }: OpenedDisk,
  { table }: Flags,
): RunListing | undefined {
  const print = (text: string): Promise<void> => session.print(text);
  if (session.isJson) return jsonListing(about, { findings: vhd?.findings ?? [] }, print);
  return table === true ? tableListing(about, print) : undefined;
}

interface Gathering {
  readonly disk: Disk;
  readonly views: Views;
  readonly range: DiskRange;
}

/** Goes through the runs once, for everything that wants them. */
async function gather(
  session: Session,
  { disk, views, range }: Gathering,
  flags: Flags,
): Promise<{ readonly figures: MapFigures; readonly problem: MapProblem | undefined }> {
  const progress = new ProgressDisplay(session, flags);
  const { detectZeros, coarse } = flags;
  const options = { ...range, detectZeros, coarse, signal: session.io.signal, onProgress: progress.listener };
  const sinks = [views.fill, views.picture?.grid, views.svg].filter((sink) => sink !== undefined);
  const counter = new MapCounter();
  let problem: MapProblem | undefined;
  try {
    for await (const run of mapRuns(disk, options)) {
      counter.add(run);
      for (const sink of sinks) sink.add(run);
      problem ??= run.problem;
      await views.listing?.add(run);
    }
  } finally {
    progress.clear();
  }
  return { figures: counter.figures, problem };
}

interface Shown {
  readonly about: MappedImage;
  readonly figures: MapFigures;
  readonly views: Views;
}

async function show(session: Session, { about, figures, views }: Shown, flags: Flags): Promise<void> {
  const rows = summaryRows(about, figures);
  const { fill, picture } = views;
  if (picture === undefined) {
    if (flags.svg !== '-' && flags.quiet !== true) await session.print(summaryText(`wrote ${flags.svg ?? ''}`, rows));
    return;
  }
  const { stdout, env } = session.io;
  const coloured = isColoured(stdout, env);
  const style = { coloured, unicode: isUnicode(env, process.platform), cellsPerRow: picture.cellsPerRow };
  const heading = paint('bold', escapeControls(about.path), coloured);
  const drawn = pictureText({ image: about, figures, grid: picture.grid, fill }, style);
  await session.print(`${heading}\n${keyValueTable(rows, coloured)}${drawn}`);
}

/** What is wrong with an image of which not everything could be mapped. */
function unknownError(image: string, { unknownBytes }: MapFigures, problem: MapProblem): VhdError {
  const { code, message, offset, remedy } = problem;
  const told = `${formatBytes(unknownBytes)} of the disk cannot be told: ${message}`;
  return new VhdError(code, told, {
    storage: image,
    ...(offset === null ? {} : { offset }),
    ...(remedy === null ? {} : { remedy }),
  });
}

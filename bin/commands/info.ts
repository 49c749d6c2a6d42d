import type { Command } from 'commander';
import { VhdError } from '../../src/errors.ts';
import type { Severity } from '../../src/format/rule.ts';
import { type OpenedDisk, openDisk } from '../../src/open.ts';
import { type ContentFacts, contentFacts, type InfoReport, readInfo } from '../../src/ops/info.ts';
import { UsageError } from '../errors.ts';
import { addExamples, addReportFlags, type ReportFlags } from '../flags.ts';
import { type ImageReport, infoText } from '../info-text.ts';
import { addInputOptions, type InputFlags, inputOptions } from '../input-options.ts';
import { isColoured, jsonText } from '../report.ts';
import type { Session } from '../session.ts';

interface Flags extends InputFlags, ReportFlags {
  readonly strict?: boolean | undefined;
}

/** Declares `info IMAGE…`. */
export function declare(command: Command, session: Session): void {
  command.argument('<image...>', 'images to look at').option('--strict', 'exit with 1 if there are warnings');
  addExamples(addReportFlags(addInputOptions(command)), 'vhd info disk.vhd', 'vhd info --json *.vhd');
  command.action((images: string[], flags: Flags) => info(session, images, flags));
}

async function info(session: Session, images: readonly string[], flags: Flags): Promise<void> {
  let isFirst = true;
  for (const image of images) {
    session.io.signal.throwIfAborted();
    session.files = { input: image };
    try {
      const separator = isFirst || session.isJson ? '' : '\n';
      await showOne(session, image, flags, { separator, isOnly: images.length === 1 });
      isFirst = false;
    } catch (error) {
      // The other images are still to be shown, unless nobody reads them any more.
      if ((await session.fail(error)) > 128) return;
    }
  }
}

async function showOne(
  session: Session,
  image: string,
  flags: Flags,
  place: { readonly separator: string; readonly isOnly: boolean },
): Promise<void> {
  if (image === '-') {
    throw new UsageError('info needs both ends of an image: expected a file, found -', 'save it to a file first');
  }
  const { report, refusal, warning } = await reportOn(image, flags);
  const { stdout, env } = session.io;
  const text = session.isJson ? jsonText('info', report, !place.isOnly) : infoText(report, isColoured(stdout, env));
  await session.print(place.separator + text);
  if (warning !== undefined) await session.warn(`${image}: ${warning}`);
  if (refusal !== undefined) await session.fail(refusal);
  const isUnreadable = report.chainProblem !== null || report.findings.some((item) => item.severity === 'error');
  if (isUnreadable) session.exitWith(3);
  if (flags.strict === true && severities(report).some(isComplaint)) session.exitWith(1);
}

/** How grave the findings are: those about the image, and those about what is on the disk. */
function severities({ findings, partitionTable }: ImageReport): Severity[] {
  return [...findings, ...(partitionTable?.findings ?? [])].map((item) => item.severity);
}

function isComplaint(severity: Severity): boolean {
  return severity !== 'note';
}

interface Shown {
  readonly report: ImageReport;
  readonly refusal?: unknown;
  readonly warning?: string;
}

function isAmbiguous(error: unknown): error is VhdError {
  return error instanceof VhdError && error.code === 'ERR_VHD_AMBIGUOUS';
}

/** Everything about an image, and the error that opening it gives. */
async function reportOn(image: string, flags: Flags): Promise<Shown> {
  const { from, pad: _pad, bitmap: _bitmap, ...reading } = inputOptions(flags);
  const report = await readInfo(image, reading);
  // Only here the name can say something else than the bytes.
  const isNamedRaw = /\.(raw|img)$/i.test(image);
  // Of a child without its parent the report tells what is missing, and what to do.
  const isKnown = report.readable || report.chainProblem !== null;
  if (isKnown && (from === 'vhd' || (from === undefined && !isNamedRaw))) return { report };
  let opened: OpenedDisk;
  try {
    // A raw disk need not be whole to be looked at.
    opened = await openDisk(image, { ...inputOptions(flags), pad: true, lock: false });
  } catch (error) {
    return refused(report, error, image, flags);
  }
  try {
    if (opened.type !== 'raw') return { report };
    return { report: rawReport(report, opened.disk.size, await contentFacts(opened.disk)) };
  } finally {
    await opened.disk.close();
  }
}

async function refused(report: InfoReport, error: unknown, image: string, flags: Flags): Promise<Shown> {
  // What the name has to do with it matters to those who use the image: here a VHD is shown whatever its name is.
  if (report.virtualSize !== null && flags.from === undefined && isAmbiguous(error)) {
    const warning = `${error.message}: other verbs want --from`;
    return { ...(await reportOn(image, { ...flags, from: 'vhd' })), warning };
  }
  return { report: { ...report, refusal: error instanceof Error ? error.message : report.refusal }, refusal: error };
}

/** No footer is no fault of a raw disk. */
function rawReport(report: InfoReport, virtualSize: number, contents: ContentFacts): ImageReport {
  const nothing = {
    chsSize: null,
    geometry: null,
    otherSizes: [],
    blockSize: null,
    creator: null,
    creatorVersion: null,
  };
  const unknown = {
    creatorHostOs: null,
    created: null,
    uuid: null,
    uuidMixedEndian: null,
    parent: null,
    chain: null,
    chainProblem: null,
    savedState: null,
  };
  const findings = report.findings.filter((item) => item.rule === 'file.in-use');
  const raw = { type: 'raw', virtualSize, readable: true, refusal: null, findings } as const;
  return { ...report, ...nothing, ...unknown, ...raw, ...contents };
}

import { realpath } from 'node:fs/promises';
import { BITMAP_POLICIES } from '../disk/bitmap-rule.ts';
import type { FoundBlocks } from '../disk/open-blocks.ts';
import { type Examination, examine, type SoundExamination } from '../disk/recognise.ts';
import { refuseUndecidedEnd } from '../disk/refuse-undecided-end.ts';
import { whyUnchangeable } from '../disk/unchangeable.ts';
import { checkBooleans, checkOneOf, checkOptionNames, VhdError } from '../errors.ts';
import { describeFinding, type Finding } from '../format/rules.ts';
import { shellPath } from '../format/shell.ts';
import { SECTOR_BYTES } from '../format/spec.ts';
import { checkParentOptions, PARENT_OPTIONS } from '../open-parent-options.ts';
import { checkNotEmpty, oddRawSizeError } from '../open-raw.ts';
import { recognise } from '../open-recognise.ts';
import { listenerFor, openWritableFile } from '../open-source.ts';
import { FileStorage } from '../storage/file.ts';
import { FileWatch } from '../storage/file-watch.ts';
import { checkImage } from './check-image.ts';
import { refuseBreakingChildren } from './children.ts';
import { compactBlockImage } from './compact-block-image.ts';
import { compactFlatImage } from './compact-flat-image.ts';
import { COMPACT_OPTIONS, type CompactOptions, type CompactResult } from './compact-options.ts';
import { type CompactOutcome, type CompactSubject, storedBytesAt, storedBytesOf } from './compact-subject.ts';
import { finishBegun } from './journal-begun.ts';
import { checkTarget } from './output-file.ts';
import { refuseSameFile } from './same-file.ts';

/**
 * Gives space of an image back, in place or in a new file. What it reads, its size, identifier and time stamp stay the same.
 *
 * Dynamic and differencing: blocks go that hold nothing but zeros, or nothing that the parent does not have byte for byte;
 * the gaps are filled with blocks from the end, and the file is cut. Stopped at any moment it is a whole image that reads
 * the same, and the same call finishes it. Fixed and raw: zeros become holes of the file, where the system can.
 * @throws VhdError `ERR_VHD_IN_USE` if another program has it open, it is marked hidden, or a machine was saved with it;
 *   `ERR_VHD_CORRUPT` if a check of it finds errors; `ERR_VHD_JOURNAL` if another operation was not finished;
 *   `ERR_VHD_BITMAP`; `ERR_VHD_SIZE` for an empty file, and a raw one of no whole number of sectors without `from`;
 *   `ERR_VHD_UNSUPPORTED` for what is no regular file, and a batmap that cannot be kept right; `ERR_VHD_EXISTS`,
 *   `ERR_VHD_SAME_FILE`, `ERR_VHD_SOURCE_CHANGED` for `output`; with `unusedRanges` in place `ERR_VHD_HAS_CHILDREN`
 */
export async function compact(path: string, options: CompactOptions = {}): Promise<CompactResult> {
  checkOptions(options);
  const start = performance.now();
  const { output, dryRun, force } = options;
  const isInPlace = output === undefined && dryRun !== true;
  if (output !== undefined) {
    await refuseSameFile(path, output);
    if (dryRun !== true) await checkTarget(output, force === true);
  }
  const storage = isInPlace ? await openWritableFile(path, options) : await openForReading(path, options);
  try {
    await checkFile(storage, path);
    const storedBytesBefore = await storedBytesOf(storage);
    const subject: CompactSubject = {
      shown: path,
      path: await realpath(path),
      storage,
      watch: await FileWatch.start(storage),
      storedBytes: storedBytesBefore,
    };
    const outcome = await compactOpen(subject, isInPlace, options);
    const storedBytes = dryRun === true ? null : await storedAfter(storage, output);
    return { ...outcome, storedBytesBefore, storedBytes, seconds: (performance.now() - start) / 1000 };
  } finally {
    await storage.close();
  }
}

/** Of the new file, if there is one. */
function storedAfter(storage: FileStorage, output: string | undefined): Promise<number | null> {
  return output === undefined ? storedBytesOf(storage) : storedBytesAt(output);
}

function checkOptions(options: CompactOptions): void {
  checkOptionNames('compact', options, [...COMPACT_OPTIONS, ...PARENT_OPTIONS]);
  checkBooleans(options, ['dryRun', 'force', 'lock']);
  checkOneOf('from', options.from, ['raw', 'vhd']);
  checkOneOf('bitmap', options.bitmap, BITMAP_POLICIES);
  checkParentOptions(options);
  const { unusedRanges, signal } = options;
  if (unusedRanges !== undefined && typeof unusedRanges !== 'function') {
    throw new TypeError(`unusedRanges: expected a function, found ${typeof unusedRanges}`);
  }
  signal?.throwIfAborted();
}

function openForReading(path: string, options: CompactOptions): Promise<FileStorage> {
  const lock = options.lock === false ? undefined : 'read';
  return FileStorage.open(path, { lock, onWarning: listenerFor(path, options) });
}

/** On a device there is nothing to give back to. */
async function checkFile(storage: FileStorage, shown: string): Promise<void> {
  const stats = await storage.stat();
  if (stats.isFile()) return;
  const found = stats.isBlockDevice() ? 'a block device' : 'no regular file';
  throw new VhdError(
    'ERR_VHD_UNSUPPORTED',
    `only a file has space to give back: expected a regular file, found ${found}`,
    {
      ...{ storage: shown, expected: 'a regular file', found },
      remedy: `vhd convert ${shellPath(shown)} NEW.vhd leaves out what is zero`,
    },
  );
}

async function compactOpen(
  subject: CompactSubject,
  isInPlace: boolean,
  options: CompactOptions,
): Promise<CompactOutcome> {
  const { storage, shown } = subject;
  await finishBegun(subject, 'compact', { mayFinish: isInPlace, journal: 'removed' });
  const found = await examine(storage);
  const kind = options.from ?? (await recognise(storage, found));
  if (isInPlace) await refuseChange(subject, options);
  if (kind === 'raw') {
    checkNotEmpty(found.fileSize, shown);
    if (options.from === undefined && found.fileSize % SECTOR_BYTES !== 0) {
      throw oddRawSizeError(shown, found.fileSize, '--from raw takes it as it is');
    }
    return compactFlatImage(subject, { type: 'raw', size: found.fileSize }, options);
  }
  const image = soundImage(found, shown);
  const { findings, found: blocks } = await soundFindings(subject, image, options);
  if (image.type === 'fixed' || blocks === undefined) {
    return compactFlatImage(subject, { type: 'fixed', size: image.virtualSize }, options);
  }
  const outcome = await compactBlockImage(subject, { image, found: blocks }, options);
  return { ...outcome, warnings: [...leakWarnings(findings), ...outcome.warnings] };
}

/** What nothing refers to is free, unless something did that was lost. */
function leakWarnings(findings: readonly Finding[]): string[] {
  return findings
    .filter(({ rule }) => rule === 'file.leaked')
    .map(({ found = 'space' }) => `${found} that nothing refers to: free, or blocks that the table has lost`);
}

/** What makes others read something else is refused. */
async function refuseChange({ shown }: CompactSubject, { unusedRanges, signal }: CompactOptions): Promise<void> {
  if (unusedRanges === undefined) return;
  await refuseBreakingChildren(shown, { remedy: 'leave unusedRanges away, or compact a copy', signal });
}

function soundImage(found: Examination, shown: string): SoundExamination {
  const { refusal, footer, type, virtualSize } = found;
  if (refusal !== undefined) throw refusal;
  if (footer === undefined || type === undefined || virtualSize === undefined) {
    throw new VhdError('ERR_VHD_NOT_VHD', 'it has no footer of a VHD', { storage: shown });
  }
  const image = { ...found, footer, type, virtualSize };
  const unchangeable = whyUnchangeable(image);
  if (unchangeable === undefined) return image;
  throw new VhdError('ERR_VHD_IN_USE', `it must not be compacted: ${unchangeable.why}`, {
    storage: shown,
    remedy: `vhd convert ${shellPath(shown)} NEW.vhd makes a new image, without what is zero`,
  });
}

/** An image that is damaged may hold its only copy of something where nothing refers to. */
async function soundFindings(
  { storage, shown }: CompactSubject,
  image: SoundExamination,
  { signal }: CompactOptions,
): Promise<{ readonly findings: readonly Finding[]; readonly found: FoundBlocks | undefined }> {
  let found: FoundBlocks | undefined;
  const onBlocks = (blocks: FoundBlocks): void => void (found = blocks);
  const { findings } = await checkImage(storage, { deep: false, nowMilliseconds: Date.now(), signal, onBlocks });
  const error = findings.find(({ severity }) => severity === 'error');
  if (error === undefined) {
    if (found !== undefined) await refuseUndecidedEnd(storage, image, shown, found);
    return { findings, found };
  }
  throw new VhdError('ERR_VHD_CORRUPT', `it is damaged: ${describeFinding(error)}`, {
    ...error,
    storage: shown,
    remedy: `vhd check ${shellPath(shown)}   (tells all of it, and what mends it)`,
  });
}

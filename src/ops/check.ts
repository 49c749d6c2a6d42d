import { openVhdStorage } from '../disk/open-storage.ts';
import type { ExamineOptions } from '../disk/recognise.ts';
import { checkBooleans, checkOneOf, checkOptionNames } from '../errors.ts';
import type { ReaderName } from '../format/reader-facts.ts';
import { type Finding, finding } from '../format/rules.ts';
import type { TableFinding } from '../inspect/partition-table.ts';
import { listPartitions } from '../inspect/partitions.ts';
import type { ResolvedLink } from '../open-chain.ts';
import { journalFindings } from '../open-journal.ts';
import { checkParentOptions, PARENT_OPTIONS, type ParentOptions } from '../open-parent-options.ts';
import { borrowed } from '../storage/borrowed.ts';
import { FileStorage } from '../storage/file.ts';
import type { Storage } from '../storage/storage.ts';
import type { Watched } from './check-bitmaps.ts';
import { needsBitmaps, readerFindings, readersOf } from './check-for.ts';
import { type CheckedImage, type CheckImageOptions, checkImage } from './check-image.ts';
import { type CheckedParents, checkParents } from './check-parents.ts';
import { withParent, withRemedies } from './check-remedies.ts';
import { type CheckFinding, type CheckReport, type PlacedFinding, sortedFindings, verdictsOf } from './check-report.ts';

/** What is checked, and how the image is looked at. */
export interface CheckOptions extends ExamineOptions, ParentOptions, Watched {
  /** Check every image of the chain of a differencing one. Default false: whether its parents are there, and fit. */
  readonly chain?: boolean | undefined;
  /** Read all bitmaps of dynamic images, and the data under bits that are not set. Default false. */
  readonly deep?: boolean | undefined;
  /**
   * Programs of which it is told whether they take the image and give all of it (rules `for.PROGRAM.…`), `all` of them or
   * some. An error means that the program refuses or misreads it, a warning that it complains. Default: none.
   */
  readonly for?: readonly (ReaderName | 'all')[] | undefined;
  /** Find out whether another program has the file locked for writing, and tell so (`file.in-use`). Default true. */
  readonly lock?: boolean | undefined;
  /** The time that time stamps are held against. Default: now. */
  readonly now?: Date | undefined;
}

const CHECK_OPTIONS: readonly string[] = [
  ...['footer', 'sizeFrom', 'chain', 'deep', 'for', 'lock', 'now', 'signal', 'onProgress'],
  ...PARENT_OPTIONS,
];

/**
 * Checks a VHD: footers, header, table, places of the blocks, parents, partition table; every finding with what it means and
 * what mends it. Nothing is changed, and nothing that a file holds makes it reject.
 * @param source path, or a storage, which stays open
 * @throws errors of the system, unwrapped, if the file cannot be read; `signal.reason` after an abort
 * @throws TypeError on an unknown option
 */
export async function check(source: string | Storage, options: CheckOptions = {}): Promise<CheckReport> {
  checkOptionNames('check', options, CHECK_OPTIONS);
  checkBooleans(options, ['chain', 'deep', 'lock']);
  checkOneOf('footer', options.footer, ['start', 'end']);
  checkOneOf('sizeFrom', options.sizeFrom, ['footer', 'chs']);
  checkParentOptions(options);
  options.signal?.throwIfAborted();
  if (typeof source !== 'string') return checkStorage(source, undefined, options);
  const file = await FileStorage.open(source);
  try {
    return await checkStorage(file, source, options);
  } finally {
    await file.close();
  }
}

async function checkStorage(storage: Storage, path: string | undefined, options: CheckOptions): Promise<CheckReport> {
  const readers = readersOf(options.for ?? []);
  const reading = imageOptions(options, readers);
  const ofUse = await useFindings(storage, path, options);
  const image = await checkImage(storage, reading);
  const parents = await parentsOf(image, path, options);
  const isBegun = ofUse.some(({ rule }) => rule === 'file.journal');
  const found = isBegun ? remediesAfter(image.findings) : await withRemedies(storage, image.findings, reading);
  const own = [...ofUse, ...found];
  const ofContents = await contentsOf(own, image, parents, options);
  const links = parents?.links ?? [];
  const findings = sortedFindings([
    ...[...own, ...ofContents].map((item) => ({ path: storage.name, finding: item })),
    ...withParents(parents),
    ...(options.chain === true ? await chainFindings(links, reading) : []),
    ...(await readerFindings(
      readers,
      { storage, path, image: { ...image, findings: found }, parents: links },
      reading,
    )),
  ]);
  const report = reportOf(storage, image, findings);
  return options.for === undefined ? report : { ...report, ...verdictsOf(readers, findings) };
}

/** While an operation was begun and not finished every command that would mend something is refused. */
function remediesAfter(findings: readonly Finding[]): readonly Finding[] {
  const remedy = 'do first what file.journal says; then check it again';
  return findings.map((item) => (item.severity === 'note' ? item : { ...item, remedy }));
}

/** What is wrong with the disk in it, if the image is not. Closes the parents. */
async function contentsOf(
  own: readonly Finding[],
  image: CheckedImage,
  parents: CheckedParents | undefined,
  options: CheckOptions,
): Promise<Finding[]> {
  try {
    return own.some(isError) ? [] : await contentFindings(image, parents, options);
  } finally {
    await parents?.parent?.close();
  }
}

function reportOf({ name }: Storage, { examination }: CheckedImage, findings: readonly CheckFinding[]): CheckReport {
  const { type = null, virtualSize = null } = examination;
  return { path: name, type, virtualSize, ok: !findings.some(isError), findings };
}

function imageOptions(
  { footer, sizeFrom, deep, now, signal, onProgress }: CheckOptions,
  readers: readonly ReaderName[],
): CheckImageOptions {
  const isDeep = deep === true || needsBitmaps(readers);
  return { footer, sizeFrom, deep: isDeep, nowMilliseconds: now?.getTime() ?? Date.now(), signal, onProgress };
}

function isError({ severity }: Finding): boolean {
  return severity === 'error';
}

/** Who else has to do with the file. */
async function useFindings(
  storage: Storage,
  path: string | undefined,
  { lock = true }: CheckOptions,
): Promise<Finding[]> {
  const isInUse = lock && storage instanceof FileStorage && (await storage.isLockedForWriting());
  const ofJournal = path === undefined ? [] : await journalFindings(path);
  return [...(isInUse ? [finding('file.in-use')] : []), ...ofJournal];
}

async function parentsOf(
  { storage, examination }: CheckedImage,
  path: string | undefined,
  options: CheckOptions,
): Promise<CheckedParents | undefined> {
  if (examination.type !== 'differencing' || examination.refusal !== undefined) return undefined;
  const { parentDirs, followParents, strictParent, maxChainLength, allowRawParent } = options;
  const where = { parentDirs, followParents, strictParent, maxChainLength, allowRawParent };
  return checkParents({ storage, path, examination }, where);
}

/** What is wrong with the partition table, if the disk can be read. */
async function contentFindings(
  { storage, examination }: CheckedImage,
  parents: CheckedParents | undefined,
  { footer, sizeFrom }: CheckOptions,
): Promise<Finding[]> {
  const isOrphan = examination.type === 'differencing' && parents?.parent === undefined;
  if (examination.refusal !== undefined || isOrphan || examination.virtualSize === 0) return [];
  // What bytes under bits that are not set mean is another matter: a deep check tells of it.
  const opening = { footer, sizeFrom, bitmap: 'honour', parent: parents?.parent } as const;
  const disk = await openVhdStorage(borrowed(storage), opening);
  try {
    return (await listPartitions(disk)).findings.map(ofGuest);
  } finally {
    await disk.close();
  }
}

/** What is in the disk is the guest's: the image is none the worse for it. */
function ofGuest(item: TableFinding): Finding {
  const isHarmless = item.severity === 'error' && item.rule !== 'partition.unreadable';
  return isHarmless ? { ...item, severity: 'warning' } : item;
}

/** How the images of a chain fit each other; where a finding is mended by naming the parent again, with its path. */
function withParents(parents: CheckedParents | undefined): PlacedFinding[] {
  if (parents === undefined) return [];
  const { links, findings } = parents;
  return findings.map(({ path, finding: item }) => {
    // The first link is the parent of the image itself.
    const child = links.findIndex((link) => link.path === path);
    return { path, finding: withParent(item, path, links[child + 1]) };
  });
}

/** The images behind the first, each checked by itself. */
async function chainFindings(links: readonly ResolvedLink[], reading: CheckImageOptions): Promise<PlacedFinding[]> {
  const placed: PlacedFinding[] = [];
  for (const [index, { path, isRaw, findings }] of links.entries()) {
    if (isRaw) continue;
    const file = await FileStorage.open(path);
    try {
      const own = { ...reading, footer: undefined, sizeFrom: undefined };
      const image = await checkImage(file, own);
      const found = [...findings, ...(await withRemedies(file, image.findings, own))];
      for (const item of found) placed.push({ path, finding: withParent(item, path, links[index + 1]) });
    } finally {
      await file.close();
    }
  }
  return placed;
}

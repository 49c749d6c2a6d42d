import type { Examination, SoundExamination } from '../disk/recognise.ts';
import type { ReaderFacts, ReaderMatch, ReaderName, ReaderRule } from '../format/reader-facts.ts';
import { READERS } from '../format/reader-facts.ts';
import { CONVERT, REPAIR } from '../format/readers-common.ts';
import { commandFor, type Finding, finding, RULES, remedyOf } from '../format/rules.ts';
import { READER_RULES, type ReaderRuleId } from '../format/rules-readers.ts';
import { SECTOR_BYTES } from '../format/spec.ts';
import { FileStorage } from '../storage/file.ts';
import { type FactOptions, type ReadImage, readerFacts } from './check-for-facts.ts';
import { type CheckImageOptions, checkImage } from './check-image.ts';
import { withRemedies } from './check-remedies.ts';
import type { PlacedFinding } from './check-report.ts';

/** Programs that give other bytes, or none, where bytes stand in sectors that are marked as never written. */
const LOOK_AT_BITMAPS: readonly ReaderName[] = ['qemu', '7zip', 'libvhdi'];

/**
 * The programs that are meant, each once, in the order of the table.
 * @throws TypeError on a name that is none
 */
export function readersOf(names: readonly (ReaderName | 'all')[]): ReaderName[] {
  const known: readonly string[] = [...READERS, 'all'];
  const stranger = names.find((name) => !known.includes(name));
  if (stranger !== undefined) throw new TypeError(`for: expected ${known.join(', ')}, found '${stranger}'`);
  return READERS.filter((name) => names.includes('all') || names.includes(name));
}

/** Whether what these programs make of an image depends on its bitmaps. */
export function needsBitmaps(readers: readonly ReaderName[]): boolean {
  return readers.some((name) => LOOK_AT_BITMAPS.includes(name));
}

/** What programs make of an image and of those behind it. Rejects only if reading fails, or `signal` says so. */
export async function readerFindings(
  readers: readonly ReaderName[],
  start: ReadImage,
  options: CheckImageOptions,
): Promise<PlacedFinding[]> {
  const facts: FactOptions = { nowMilliseconds: options.nowMilliseconds, readBitmaps: readers.includes('libvhdi') };
  const placed = await findingsOf(readers, start, facts);
  for (const [index, { path, isRaw }] of start.parents.entries()) {
    if (isRaw) continue;
    const storage = await FileStorage.open(path);
    try {
      const own = { ...options, footer: undefined, sizeFrom: undefined };
      const checked = await checkImage(storage, own);
      const image = { ...checked, findings: await withRemedies(storage, checked.findings, own) };
      const parents = start.parents.slice(index + 1);
      placed.push(...(await findingsOf(readers, { storage, path, image, parents }, facts)));
    } finally {
      await storage.close();
    }
  }
  return placed;
}

async function findingsOf(
  readers: readonly ReaderName[],
  read: ReadImage,
  options: FactOptions,
): Promise<PlacedFinding[]> {
  const path = read.storage.name;
  const { examination } = read.image;
  const findings: Finding[] = damageFindings(readers, read);
  if (isSound(examination)) findings.push(...brokenRules(readers, await readerFacts(read, examination, options), path));
  return findings.map((item) => ({ path, finding: item }));
}

function isSound(examination: Examination): examination is SoundExamination {
  return examination.refusal === undefined;
}

/** What is wrong with an image for every program: its first error. */
function damageFindings(readers: readonly ReaderName[], { storage, image }: ReadImage): Finding[] {
  const damage = image.findings.find((item) => item.severity === 'error' && !hasRulesOfItsOwn(item));
  if (damage === undefined) return [];
  const remedy = remedyOf(damage, storage.name);
  return readers.map((name) => finding(`for.${name}.damaged`, { found: damage.message, remedy }));
}

/** Programs differ in what they make of these. */
function hasRulesOfItsOwn({ rule }: Finding): boolean {
  return rule === 'bitmap.data-under-clear-bit' || rule === 'footer.displaced';
}

function brokenRules(readers: readonly ReaderName[], facts: ReaderFacts, path: string): Finding[] {
  const findings: Finding[] = [];
  for (const [id, rule] of Object.entries(READER_RULES) as [ReaderRuleId, ReaderRule][]) {
    if (!readers.some((name) => id.startsWith(`for.${name}.`))) continue;
    const match = rule.when(facts);
    if (match === false) continue;
    const { mend, ...place } = match === true ? ({} as ReaderMatch) : match;
    const command = commandIn(mend ?? rule.mend, facts);
    findings.push(finding(id, { ...place, remedy: command === undefined ? undefined : commandFor(command, path) }));
  }
  return findings;
}

/** The command that mends an image: a fixed one is mended as one. */
function commandIn(mend: string | undefined, { type, broken, virtualSize }: ReaderFacts): string | undefined {
  if (mend === undefined) return mend;
  // A size that is no whole number of sectors is converted by nobody.
  if (virtualSize % SECTOR_BYTES !== 0) return RULES['footer.size-sectors'].mend;
  if (type !== 'fixed') return mend;
  // Its footer is nowhere else: without it nothing is converted.
  if (broken.has('footer.displaced')) return REPAIR;
  return mend === CONVERT ? `${CONVERT} --to fixed` : mend;
}

import type { FoundBlocks } from '../disk/open-blocks.ts';
import { type Examination, type ExamineOptions, examine, type SoundExamination } from '../disk/recognise.ts';
import { detectForeign, MAGIC_BYTES } from '../format/magic.ts';
import { type Finding, finding } from '../format/rules.ts';
import { remedyFor } from '../format/shell.ts';
import type { Storage } from '../storage/storage.ts';
import { checkBatmap } from './check-batmap.ts';
import { checkBitmaps, type Watched } from './check-bitmaps.ts';
import { checkBlocks } from './check-blocks.ts';
import { findDisplacedImage } from './check-displaced.ts';
import { fieldFindings } from './check-fields.ts';

/** How one image is checked. */
export interface CheckImageOptions extends ExamineOptions, Watched {
  /** Read all bitmaps, and the data under bits that are not set. */
  readonly deep: boolean;
  /** The time, in milliseconds since 1970. */
  readonly nowMilliseconds: number;
  /** Gets what was found of the blocks, for whoever goes on with them. */
  readonly onBlocks?: ((found: FoundBlocks) => void) | undefined;
}

/** An image by itself, without parents and contents. */
export interface CheckedImage {
  /** Its file, up to its footer. */
  readonly storage: Storage;
  /** What its ends and its header say. */
  readonly examination: Examination;
  /** What is wrong or odd. */
  readonly findings: readonly Finding[];
}

/** Checks one image by itself. Rejects only if reading fails, or `signal` says so. */
export async function checkImage(storage: Storage, options: CheckImageOptions): Promise<CheckedImage> {
  const reading = { footer: options.footer, sizeFrom: options.sizeFrom };
  const atEnds = await examine(storage, reading);
  const displaced = reading.footer === undefined ? await findDisplacedImage(storage, atEnds) : undefined;
  const image = displaced?.storage ?? storage;
  const examination = displaced === undefined ? atEnds : await examine(image, reading);
  const findings = [
    ...(displaced === undefined ? [] : [displaced.finding]),
    ...(await withFormat(storage, withoutGuesses(examination))),
    ...fieldFindings(examination, options.nowMilliseconds),
    ...(isSound(examination) ? await tableFindings(image, examination, options) : []),
  ];
  return { storage: image, examination, findings: withoutRepetition(findings) };
}

function isSound(examination: Examination): examination is SoundExamination {
  return examination.refusal === undefined;
}

/** Of a footer that cannot be believed nothing but that is told. */
function withoutGuesses(examination: Examination): Examination {
  return examination.footer === undefined
    ? { ...examination, findings: examination.findings.slice(0, 1) }
    : examination;
}

/** What is no VHD may be another format: then that is what is wrong. */
async function withFormat(storage: Storage, { findings, fileSize }: Examination): Promise<readonly Finding[]> {
  if (!findings.some((item) => item.rule === 'footer.missing')) return findings;
  const head = new Uint8Array(Math.min(MAGIC_BYTES, fileSize));
  await storage.read(head, 0);
  const foreign = detectForeign(head);
  if (foreign === undefined) return findings;
  const remedy = remedyFor(foreign.remedy, storage.name);
  return [finding('footer.missing', { expected: 'a VHD', found: `a file in the format ${foreign.title}`, remedy })];
}

async function tableFindings(
  storage: Storage,
  examination: SoundExamination,
  options: CheckImageOptions,
): Promise<Finding[]> {
  const { header, type } = examination;
  if (header === undefined) return [];
  options.signal?.throwIfAborted();
  const blocks = await checkBlocks(storage, examination);
  options.onBlocks?.(blocks.found);
  const ofBatmap = await checkBatmap(storage, examination, header);
  const ofBitmaps = options.deep && type === 'dynamic' ? await checkBitmaps(storage, blocks, examination, options) : [];
  return [...blocks.findings, ...ofBatmap, ...ofBitmaps];
}

/** A geometry that is too large, or the largest, is another than that of the specification too. */
function withoutRepetition(findings: readonly Finding[]): Finding[] {
  const isTold = findings.some((item) => item.rule === 'geometry.too-large');
  return findings.filter((item) => !(isTold && item.rule === 'geometry.size'));
}

import { examine, readFooter } from '../disk/recognise.ts';
import type { UsedSpace } from '../disk/undecided-end.ts';
import { isZeroBetween } from '../disk/zero-between.ts';
import { NO_OFFSET } from '../format/bytes.ts';
import { type DynamicHeader, decodeDynamicHeader, decodeParentName } from '../format/dynamic-header.ts';
import { decodeFooter, encodeFooter, type Footer, isFooter, withCookie } from '../format/footer.ts';
import { NO_PLATFORM } from '../format/parent-locator.ts';
import type { Finding, RuleId } from '../format/rules.ts';
import {
  DISK_TYPE,
  DYNAMIC_HEADER_BYTES,
  FOOTER_BYTES,
  FORMAT_VERSION,
  SECTOR_BYTES,
  vhdTypeOf,
} from '../format/spec.ts';
import { checkImage } from './check-image.ts';
import { left, type MendContext, type Mender, type MendOutcome, mended, writeFooters } from './repair-context.ts';
import type { Draft } from './repair-draft.ts';
import { writeEnd } from './repair-end.ts';

const FEATURE_RESERVED = 2;
const FEATURE_TEMPORARY = 1;
/** How far into a file a dynamic header is looked for, in bytes. */
const HEADER_SEARCH_BYTES = 64 * 1024;

/** What mends footers whose fields are wrong. */
export const FOOTER_MENDERS: Partial<Record<RuleId, Mender>> = {
  'footer.cookie': restoreCookie,
  'footer.checksum': restoreChecksum,
  'footer.poisoned': unpoison,
  'footer.type': restoreType,
  'footer.data-offset': restoreDataOffset,
  'footer.data-offset-unused': changeFields('the unused data offset is all ones', () => ({ dataOffset: NO_OFFSET })),
  'footer.features': changeFields('the feature bits are those the specification asks for', ({ features }) => ({
    features: FEATURE_RESERVED | (features & FEATURE_TEMPORARY),
  })),
  'footer.hidden-checksum': changeFields('the checksum fits the hidden mark', () => ({})),
  'footer.copy-missing': changeFields('the copy at offset 0 is written from the footer at the end', () => ({})),
  'footer.copy-differs': changeFields('both footers are the one that counts', () => ({})),
  'footer.copy-contradicts': decideFooter,
};

/** Writes the footer that counts again, with some fields changed. */
function changeFields(what: string, fieldsOf: (footer: Footer) => Partial<Footer>): Mender {
  return async (context) => {
    const { footer } = context.image.examination;
    if (footer === undefined) return left('there is no footer that can be believed');
    const chosen = await chosenFooter(context, footer);
    if (chosen === undefined) return left(UNDECIDED);
    await writeFooters(context, { ...chosen, ...fieldsOf(chosen) });
    return mended(what);
  };
}

const UNDECIDED =
  'the footers differ in size, geometry, time or saved state: vhd repair FILE --footer end, or start, says which is right';

/**
 * The footer that is to stand in both places. Of two that differ in what a reader sees, that at the end counts by itself only
 * if it alone fits the table; undefined if that cannot be told.
 */
async function chosenFooter(context: MendContext, footer: Footer): Promise<Footer | undefined> {
  const { image, permits } = context;
  if (!image.findings.some(({ rule }) => rule === 'footer.copy-differs')) return footer;
  const [end, start] = await readings(context.draft);
  const copy = start === undefined ? undefined : decodeFooter(start.bytes).value;
  if (end === undefined || start === undefined || copy === undefined) return undefined;
  if (permits.footer !== undefined) return permits.footer === 'start' ? copy : footer;
  if (seenFields(footer) === seenFields(copy)) return footer;
  const isEndAlone = (await fitsFile(context, end.bytes, end.offset)) && !(await fitsFile(context, start.bytes, 0));
  return isEndAlone ? footer : undefined;
}

/** What of a footer a reader may see the disk by, or tell it by. */
function seenFields({ currentSize, geometry, timestamp, savedState }: Footer): string {
  const { cylinders, heads, sectorsPerTrack } = geometry;
  return [currentSize, cylinders, heads, sectorsPerTrack, timestamp, savedState].join(' ');
}

interface Reading {
  readonly offset: number;
  readonly bytes: Uint8Array;
}

/** What stands where footers belong, the end first. */
async function readings(draft: Draft): Promise<Reading[]> {
  const byteLength = await draft.size();
  if (byteLength < FOOTER_BYTES) return [];
  const end = await readFooter(draft, byteLength - FOOTER_BYTES, FOOTER_BYTES);
  return byteLength === FOOTER_BYTES ? [end] : [end, await readFooter(draft, 0, FOOTER_BYTES)];
}

async function restoreCookie({ draft }: MendContext): Promise<MendOutcome> {
  const damaged = (await readings(draft)).flatMap(({ offset, bytes }) => {
    const restored = withCookie(bytes);
    return restored === undefined ? [] : [{ offset, bytes: restored }];
  });
  const [first] = damaged;
  if (first === undefined) return left('more than the cookie of the footer is damaged');
  const isFixed = decodeFooter(first.bytes).value.diskType === DISK_TYPE.fixed;
  if (isFixed && first.offset === 0) return left('what stands at offset 0 is data of the disk, which is fixed');
  // Each from its own bytes; what stands at the other end may be data, and is a matter of other rules.
  for (const { offset, bytes } of damaged) if (offset > 0 || !isFixed) await draft.write(bytes, offset);
  return mended('the cookie of the footer is put back; its checksum fits again');
}

/** Of footers whose checksums are wrong, one whose fields fit the file: none of them can be told from its checksum alone. */
async function restoreChecksum(context: MendContext): Promise<MendOutcome> {
  const { draft, permits } = context;
  const found = await readings(draft);
  const [end, start] = found;
  const candidates = found.filter(({ offset, bytes }) => {
    const isWanted = permits.footer === undefined || (permits.footer === 'start') === (offset === 0);
    return isWanted && decodeFooter(bytes).findings.every((item) => item.rule !== 'footer.cookie');
  });
  const sound: Uint8Array[] = [];
  for (const { bytes, offset } of candidates) {
    for (const restored of restoredFooters(bytes, offset)) {
      const isSound = await fitsFile(context, restored, offset);
      if (isSound && isSameChecksum(restored, bytes)) {
        return writeRestored(context, found, restored, 'the field that is damaged is put back');
      }
      if (isSound) sound.push(restored);
    }
  }
  const [first] = sound;
  if (first === undefined) return left('the footer says nothing that fits the file');
  if (sound.some((bytes) => !isEqual(bytes, first))) {
    return left('both footers are damaged and say different things: say which is right with --footer end or start');
  }
  const isBoth = end !== undefined && start !== undefined && isEqual(end.bytes, start.bytes);
  const held = isBoth ? 'both copies say the same' : 'identifier, creator and time cannot be held against anything';
  const what = `type, size and places fit the file (${held}): the checksum is redone`;
  return writeRestored(context, found, first, what);
}

/** The same fields with the checksum redone; first, where a field has one right value, with that and the old checksum. */
function* restoredFooters(bytes: Uint8Array, offset: number): Generator<Uint8Array> {
  const { value: footer } = decodeFooter(bytes);
  const constants: Partial<Footer>[] = [
    { features: FEATURE_RESERVED },
    { formatVersion: FORMAT_VERSION },
    { dataOffset: FOOTER_BYTES },
    { dataOffset: NO_OFFSET },
    { originalSize: footer.currentSize },
    { currentSize: footer.originalSize },
    { currentSize: offset },
    ...[DISK_TYPE.fixed, DISK_TYPE.dynamic, DISK_TYPE.differencing].map((diskType) => ({ diskType })),
    { reserved: new Uint8Array(footer.reserved.length) },
  ];
  for (const fields of constants) {
    const restored = encodeFooter({ ...footer, ...fields });
    if (isSameChecksum(restored, bytes)) yield restored;
  }
  yield encodeFooter(footer);
}

function isSameChecksum(first: Uint8Array, second: Uint8Array): boolean {
  return isEqual(first.subarray(64, 68), second.subarray(64, 68));
}

/** The places where what stands there can be restored to the same; whatever else is where a footer belongs may be data. */
function placesOf(found: readonly Reading[], restored: Uint8Array): Reading[] {
  return found.filter(({ offset, bytes }) => {
    const isFooterAtAll = decodeFooter(bytes).findings.every(({ rule }) => rule !== 'footer.cookie');
    return isFooterAtAll && [...restoredFooters(bytes, offset)].some((other) => isEqual(other, restored));
  });
}

async function writeRestored(
  { draft }: MendContext,
  found: readonly Reading[],
  bytes: Uint8Array,
  what: string,
): Promise<MendOutcome> {
  const isFixed = decodeFooter(bytes).value.diskType === DISK_TYPE.fixed;
  for (const { offset } of placesOf(found, bytes)) if (offset > 0 || !isFixed) await draft.write(bytes, offset);
  return mended(what);
}

/** True if what a footer says of type, size and header is so. */
async function fitsFile({ draft }: MendContext, bytes: Uint8Array, offset: number): Promise<boolean> {
  const { value: footer, findings } = decodeFooter(bytes);
  if (findings.some((item) => item.severity === 'error') || vhdTypeOf(footer.diskType) === undefined) return false;
  if (footer.diskType === DISK_TYPE.fixed) return offset > 0 && footer.currentSize === offset;
  const header = await soundHeaderAt(draft, footer.dataOffset);
  return header?.maxTableEntries === Math.ceil(footer.currentSize / (header?.blockSize ?? 1));
}

/** The footer at the end is overwritten while blktap has the image open, and disabled footers have another cookie. */
async function unpoison(context: MendContext): Promise<MendOutcome> {
  const { footer } = context.image.examination;
  if (footer === undefined) return restoreCookie(context);
  if ((await chosenFooter(context, footer)) !== footer) return left(UNDECIDED);
  return writeEnd(context, footer);
}

async function restoreType(context: MendContext): Promise<MendOutcome> {
  const { draft, image } = context;
  const { footer, endFooterOffset } = image.examination;
  if (footer === undefined) return left('there is no footer that can be believed');
  if ((await chosenFooter(context, footer)) !== footer) return left(UNDECIDED);
  const header = await soundHeaderAt(draft, footer.dataOffset);
  const isFixed = header === undefined && footer.currentSize === endFooterOffset;
  if (header === undefined && !isFixed) return left('neither a header nor the size of the file tells the type');
  const diskType = header === undefined ? DISK_TYPE.fixed : typeOf(header);
  await writeFooters(context, { ...footer, diskType });
  return mended(
    `the type is ${vhdTypeOf(diskType) ?? ''}, as ${isFixed ? 'the size of the file' : 'the dynamic header'} tells`,
  );
}

function typeOf({ parentUniqueId, parentLocators, ...header }: DynamicHeader): number {
  const isOrphan =
    parentUniqueId.every((byte) => byte === 0) &&
    decodeParentName({ parentUniqueId, parentLocators, ...header }) === '' &&
    parentLocators.every(({ platformCode }) => platformCode === NO_PLATFORM);
  return isOrphan ? DISK_TYPE.dynamic : DISK_TYPE.differencing;
}

async function soundHeaderAt(draft: Draft, offset: number): Promise<DynamicHeader | undefined> {
  if (offset === NO_OFFSET || offset + DYNAMIC_HEADER_BYTES > (await draft.size())) return undefined;
  const bytes = new Uint8Array(DYNAMIC_HEADER_BYTES);
  await draft.read(bytes, offset);
  const { value, findings } = decodeDynamicHeader(bytes, offset);
  return findings.some((item) => item.severity === 'error') ? undefined : value;
}

/** Makes the footers point to the header: it is where its cookie and its checksum are; one place only may have them. */
export async function restoreDataOffset(context: MendContext): Promise<MendOutcome> {
  const { draft, image } = context;
  const { footer, endFooterOffset } = image.examination;
  if (footer === undefined) return left('there is no footer that can be believed');
  if ((await chosenFooter(context, footer)) !== footer) return left(UNDECIDED);
  const limit = Math.min(HEADER_SEARCH_BYTES, await draft.size());
  const places: number[] = [];
  for (let offset = 0; offset < limit; offset += SECTOR_BYTES) {
    if ((await soundHeaderAt(draft, offset)) !== undefined) places.push(offset);
  }
  const [dataOffset] = places;
  if (dataOffset !== undefined && places.length === 1) {
    await writeFooters(context, { ...footer, dataOffset });
    return mended(`the footer points to the dynamic header, which is at offset ${dataOffset}`);
  }
  if (dataOffset === undefined && footer.dataOffset === NO_OFFSET && footer.currentSize === endFooterOffset) {
    await writeFooters(context, { ...footer, diskType: DISK_TYPE.fixed });
    return mended('the type is fixed: there is no dynamic header, and the file is as long as the disk');
  }
  return left(`a dynamic header was found at ${places.length} places of the first ${HEADER_SEARCH_BYTES} bytes`);
}

/** Decides between two footers that contradict each other: as asked for, or if only one of them fits the file. */
async function decideFooter(context: MendContext): Promise<MendOutcome> {
  const { draft, permits } = context;
  const found = await readings(draft);
  const which = permits.footer ?? (areValid(found) ? await onlyFitting(context) : undefined);
  if (which === undefined) return left(await whyUndecided(draft, found));
  const reading = which === 'start' ? found[1] : found[0];
  const decoded = decodeFooter(reading?.bytes ?? new Uint8Array(FOOTER_BYTES), reading?.offset);
  if (!isFooter(decoded)) return left(await whyUndecided(draft, found));
  const footer = decoded.value;
  if (which === 'end') {
    if (footer.diskType === DISK_TYPE.fixed) {
      return left(
        'the footer at offset 0 is data of the disk, which is fixed: nothing is wrong with it, read it with --footer end',
      );
    }
    await draft.write(encodeFooter(footer), 0);
    return mended('the copy at offset 0 is that of the footer at the end');
  }
  const image = await checkImage(draft, { footer: 'start', deep: false, nowMilliseconds: Date.now() });
  return writeEnd({ ...context, image }, footer);
}

function areValid(found: readonly Reading[]): boolean {
  return found.length === 2 && found.every(({ bytes, offset }) => isFooter(decodeFooter(bytes, offset)));
}

/** Which footers there are to be chosen from: the one near the end may be damaged, or other bytes may follow it. */
async function whyUndecided(draft: Draft, found: readonly Reading[]): Promise<string> {
  if (areValid(found)) {
    return 'which of the footers is right is not certain: say it with --footer end or --footer start';
  }
  const { refusal } = await examine(draft);
  return refusal?.remedy ?? 'vhd info says where a valid footer is, and how to get the data';
}

async function onlyFitting({ draft }: MendContext): Promise<'start' | 'end' | undefined> {
  const fitting: ('start' | 'end')[] = [];
  for (const footer of ['start', 'end'] as const) {
    let used: UsedSpace | undefined;
    const onBlocks = (found: UsedSpace): void => void (used = found);
    const { findings } = await checkImage(draft, { footer, deep: false, nowMilliseconds: Date.now(), onBlocks });
    if ((await isAllOfFile(draft, findings, used)) && findings.every((item) => item.severity !== 'error')) {
      fitting.push(footer);
    }
  }
  return fitting.length === 1 ? fitting[0] : undefined;
}

/** What only one of two disks refers to speaks for the other one: data behind the blocks, entries behind the end of the disk. */
async function isAllOfFile(draft: Draft, findings: readonly Finding[], used: UsedSpace | undefined): Promise<boolean> {
  if (findings.some(({ rule }) => rule === 'file.leaked' || rule === 'bat.long')) return false;
  return used === undefined || isZeroBetween(draft, used.usedEnd, (await draft.size()) - FOOTER_BYTES);
}

function isEqual(first: Uint8Array, second: Uint8Array): boolean {
  return first.length === second.length && first.every((byte, index) => byte === second[index]);
}

import type { Decoded } from '../format/bytes.ts';
import { type Footer, isFooter, withCookie } from '../format/footer.ts';
import { type Finding, finding } from '../format/rules.ts';
import { DISK_TYPE, SECTOR_BYTES } from '../format/spec.ts';
import { formatUuid } from '../format/uuid.ts';

/** A footer as it stands in the file. */
export interface FooterReading {
  /** Byte offset. */
  readonly offset: number;
  /** Its 512 or 511 bytes. */
  readonly bytes: Uint8Array;
  /** What they say. */
  readonly decoded: Decoded<Footer>;
}

/** Which footer counts. */
export interface ChosenFooter {
  /** The footer; undefined if none is valid. */
  readonly footer: Footer | undefined;
  /** What was found in both, and in comparing them. */
  readonly findings: readonly Finding[];
  /** Byte offset of the footer that ends the image; undefined if there is none, or if it is the guest's. */
  readonly endOffset?: number | undefined;
  /** True if what stands at offset 0 is, byte for byte, what belongs there. */
  readonly isCopyCurrent?: boolean | undefined;
  /** What to do about a refusal. */
  readonly remedy?: string | undefined;
}

/**
 * Chooses between the footer at the end and its copy at offset 0: the end counts, the copy if the end is broken and
 * the image is not fixed. If both are valid but differ in identifier, type or header offset there is no right answer
 * (a guest can keep a valid footer in its own data), so that is an error until `prefer` decides.
 */
export function chooseFooter(
  start: FooterReading | undefined,
  end: FooterReading | undefined,
  fileSize: number,
  prefer?: 'start' | 'end',
): ChosenFooter {
  const validStart = start !== undefined && isFooter(start.decoded) ? start : undefined;
  const validEnd = end !== undefined && isFooter(end.decoded) ? end : undefined;
  const choice = choose({ start, end, validStart, validEnd }, fileSize, prefer);
  const poisoned = [end, start].find((reading) => isPoisoned(reading));
  if (poisoned === undefined || choice.footer === undefined) return choice;
  // Whichever footer is good: another program has the image open, or left it so. Reading goes on with a warning.
  return { ...choice, findings: [poisonWarning(poisoned), ...choice.findings] };
}

interface Readings {
  readonly start: FooterReading | undefined;
  readonly end: FooterReading | undefined;
  readonly validStart: FooterReading | undefined;
  readonly validEnd: FooterReading | undefined;
}

function choose(readings: Readings, fileSize: number, prefer: 'start' | 'end' | undefined): ChosenFooter {
  const { start, end, validStart, validEnd } = readings;
  if (prefer === 'end') return validEnd === undefined ? noneAt('end') : chosenAlone(validEnd, validEnd);
  if (prefer === 'start') return validStart === undefined ? noneAt('start') : chosenAlone(validStart, validEnd);
  if (validEnd !== undefined) return withEnd(validEnd, start, validStart);
  if (validStart !== undefined && validStart.decoded.value.diskType !== DISK_TYPE.fixed) {
    return withStart(validStart, end);
  }
  return withNone(start, end, fileSize);
}

function isPoisoned(reading: FooterReading | undefined): boolean {
  return reading?.decoded.findings.some((item) => item.rule === 'footer.poisoned') === true;
}

function poisonWarning(reading: FooterReading): Finding {
  return finding('footer.poisoned', { offset: reading.offset, severity: 'warning' });
}

function noneAt(prefer: 'start' | 'end'): ChosenFooter {
  const message = `there is no valid footer at the ${prefer}`;
  return { footer: undefined, findings: [finding('footer.missing', { message })] };
}

/** The footer the caller asked for; the one at the end counts as the image's only if it tells of the same image. */
function chosenAlone(reading: FooterReading, end: FooterReading | undefined): ChosenFooter {
  const footer = reading.decoded.value;
  const isSame = end !== undefined && contradictionOf(end.decoded.value, footer) === undefined;
  return { footer, findings: reading.decoded.findings, endOffset: isSame ? end.offset : undefined };
}

function withEnd(
  end: FooterReading,
  start: FooterReading | undefined,
  validStart: FooterReading | undefined,
): ChosenFooter {
  const footer = end.decoded.value;
  const findings = [...end.decoded.findings];
  const chosen = { footer, findings, endOffset: end.offset };
  const isFixed = footer.diskType === DISK_TYPE.fixed;
  // A fixed disk has no copy: its first sector is the guest's, even where a fixed footer of another image lies there.
  if (isFixed && (validStart === undefined || validStart.decoded.value.diskType === DISK_TYPE.fixed)) return chosen;
  if (validStart === undefined) {
    if (start !== undefined && !isPoisoned(start)) findings.push(finding('footer.copy-missing', { offset: 0 }));
    return chosen;
  }
  const contradiction = contradictionOf(footer, validStart.decoded.value);
  if (contradiction !== undefined) {
    findings.push(finding('footer.copy-contradicts', { offset: 0, ...contradiction }));
    return { ...chosen, remedy: 'say which one is right: --footer end or --footer start' };
  }
  const isCopyCurrent = sameBytes(end.bytes, validStart.bytes);
  if (!isCopyCurrent) findings.push(finding('footer.copy-differs', { offset: 0 }));
  return { ...chosen, isCopyCurrent };
}

function withStart(start: FooterReading, end: FooterReading | undefined): ChosenFooter {
  const lost = isPoisoned(end) ? [] : [finding('footer.end-missing', { offset: end?.offset })];
  return { footer: start.decoded.value, findings: [...lost, ...start.decoded.findings], isCopyCurrent: true };
}

function withNone(start: FooterReading | undefined, end: FooterReading | undefined, fileSize: number): ChosenFooter {
  const readings = [end, start].filter((reading) => reading !== undefined);
  // The footer of a fixed disk at offset 0 is sound, but of another image: its place is the end.
  const broken = readings.find(
    ({ bytes, decoded }) =>
      !isFooter(decoded) &&
      (decoded.findings.every((item) => item.rule !== 'footer.cookie') || withCookie(bytes) !== undefined),
  );
  if (broken === undefined) {
    const expected = "'conectix' 512 bytes before the end";
    const found = fileSize < SECTOR_BYTES ? `a file of ${fileSize} bytes` : 'other bytes';
    return { footer: undefined, findings: [finding('footer.missing', { expected, found })] };
  }
  return { footer: undefined, findings: broken.decoded.findings };
}

/** What two footers tell differently of which image they belong to; undefined if nothing. */
export function contradictionOf(end: Footer, start: Footer): { expected: string; found: string } | undefined {
  const told = (footer: Footer): string =>
    `type ${footer.diskType}, header at ${footer.dataOffset}, identifier ${formatUuid(footer.uniqueId)}`;
  return told(end) === told(start) ? undefined : { expected: told(end), found: told(start) };
}

function sameBytes(first: Uint8Array, second: Uint8Array): boolean {
  const length = Math.min(first.length, second.length);
  return first.subarray(0, length).every((byte, index) => byte === second[index]);
}

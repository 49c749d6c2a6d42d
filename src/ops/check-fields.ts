import type { Examination } from '../disk/recognise.ts';
import { NO_OFFSET } from '../format/bytes.ts';
import { type DynamicHeader, decodeParentName } from '../format/dynamic-header.ts';
import type { Footer } from '../format/footer.ts';
import { geometryByteLength, geometryFor, isMaximumGeometry } from '../format/geometry.ts';
import { unixMilliseconds } from '../format/new-footer.ts';
import { NO_PLATFORM } from '../format/parent-locator.ts';
import { type Finding, finding } from '../format/rules.ts';
import { SECTOR_BYTES } from '../format/spec.ts';
import { formatUuid } from '../format/uuid.ts';

/** So far ahead a clock may be; what `vhd-util check` allows. */
const CLOCK_TOLERANCE_MILLISECONDS = 1_800_000;

/**
 * What the fields of footer and header say that is no hindrance to reading, and is not told where they are decoded.
 * @param nowMilliseconds the time, in milliseconds since 1970
 */
export function fieldFindings(examination: Examination, nowMilliseconds: number): Finding[] {
  const { footer, header } = examination;
  if (footer === undefined) return [];
  const offset = examination.endFooterOffset ?? 0;
  return [
    ...lengthFindings(examination, footer),
    ...identityFindings(footer, offset, nowMilliseconds),
    ...(examination.findings.some((item) => item.rule === 'footer.size') ? [] : sizeFindings(footer, offset)),
    ...dataOffsetFindings(examination, footer, offset),
    ...(header === undefined ? [] : parentFieldFindings(examination, header)),
  ];
}

/** A file without a whole number of sectors; a disk that has none itself, or a footer of 511 bytes, is told elsewhere. */
function lengthFindings({ fileSize, type, findings }: Examination, { currentSize }: Footer): Finding[] {
  const isExplained =
    findings.some((item) => item.rule === 'footer.legacy') || (type === 'fixed' && currentSize % SECTOR_BYTES !== 0);
  if (fileSize % SECTOR_BYTES === 0 || isExplained) return [];
  return [finding('file.unaligned', { expected: 'a multiple of 512 bytes', found: String(fileSize) })];
}

function identityFindings({ timestamp, uniqueId }: Footer, offset: number, now: number): Finding[] {
  const findings: Finding[] = [];
  const time = unixMilliseconds(timestamp);
  if (time > now + CLOCK_TOLERANCE_MILLISECONDS) {
    const detail = { offset: offset + 24, expected: `${isoTime(now)} or before`, found: isoTime(time) };
    findings.push(finding('footer.future', detail));
  }
  if (isNull(uniqueId)) findings.push(finding('footer.uuid-null', { offset: offset + 68 }));
  return findings;
}

function sizeFindings({ currentSize, originalSize, geometry }: Footer, offset: number): Finding[] {
  const findings: Finding[] = [];
  if (currentSize === 0) findings.push(finding('footer.size-zero', { offset: offset + 48 }));
  if (originalSize !== currentSize) {
    const detail = { offset: offset + 40, expected: String(currentSize), found: String(originalSize) };
    findings.push(finding('footer.original-size', detail));
  }
  const chsSize = geometryByteLength(geometry);
  if (isMaximumGeometry(geometry)) {
    if (!isMaximumGeometry(geometryFor(currentSize))) {
      findings.push(finding('geometry.maximum', { offset: offset + 56 }));
    }
  } else if (chsSize > currentSize) {
    const detail = { offset: offset + 56, expected: `at most ${currentSize} bytes`, found: `${chsSize} bytes` };
    findings.push(finding('geometry.too-large', detail));
  }
  return findings;
}

function dataOffsetFindings({ type, findings }: Examination, { dataOffset }: Footer, offset: number): Finding[] {
  if (type !== 'fixed' || dataOffset === NO_OFFSET || findings.some((item) => item.rule === 'footer.type')) return [];
  return [finding('footer.data-offset-unused', { offset: offset + 16, found: String(dataOffset) })];
}

function parentFieldFindings({ type, footer }: Examination, header: DynamicHeader): Finding[] {
  const offset = footer?.dataOffset ?? 0;
  const isUnknown = isNull(header.parentUniqueId);
  if (type === 'differencing') return isUnknown ? [finding('parent.uuid-null', { offset: offset + 40 })] : [];
  const name = decodeParentName(header);
  const locators = header.parentLocators.filter((locator) => locator.platformCode !== NO_PLATFORM).length;
  if (isUnknown && name === '' && locators === 0) return [];
  const found = `identifier ${formatUuid(header.parentUniqueId)}, a name of ${name.length} characters, ${locators} locators`;
  return [finding('header.parent', { offset: offset + 40, expected: 'nothing', found })];
}

function isNull(uniqueId: Uint8Array): boolean {
  return uniqueId.every((byte) => byte === 0);
}

function isoTime(milliseconds: number): string {
  return new Date(milliseconds).toISOString().replace(/\.\d+Z$/, 'Z');
}

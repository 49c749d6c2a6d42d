import { VhdError, type VhdErrorCode } from '../errors.ts';
import type { Decoded } from '../format/bytes.ts';
import { NO_OFFSET } from '../format/bytes.ts';
import { type DynamicHeader, decodeDynamicHeader, isBlockSize } from '../format/dynamic-header.ts';
import { decodeFooter, type Footer, isFooter } from '../format/footer.ts';
import { geometryByteLength } from '../format/geometry.ts';
import { entryCountFor } from '../format/layout.ts';
import { describeFinding, type Finding, finding, type RuleId } from '../format/rules.ts';
import {
  BAT_ENTRY_BYTES,
  DYNAMIC_HEADER_BYTES,
  FOOTER_BYTES,
  FORMAT_VERSION,
  LEGACY_FOOTER_BYTES,
  MAX_BAT_BYTES,
  SECTOR_BYTES,
  type VhdType,
  vhdTypeOf,
} from '../format/spec.ts';
import type { Storage } from '../storage/storage.ts';
import { withoutContradiction } from './contradicting-footer.ts';
import { type ChosenFooter, chooseFooter, type FooterReading } from './footer-choice.ts';

/** How an image is to be looked at. */
export interface ExamineOptions {
  /** Which footer to believe; default: the one at the end, the copy at offset 0 if that is broken. */
  readonly footer?: 'start' | 'end' | undefined;
  /** Where the virtual size comes from; default `footer`, its current size. */
  readonly sizeFrom?: 'footer' | 'chs' | undefined;
}

/** Everything the ends and the header of a file tell about it, believable or not. */
export interface Examination {
  /** Name of the storage. */
  readonly name: string;
  /** Bytes of the file. */
  readonly fileSize: number;
  /** The footer that counts; undefined if there is no valid one. */
  readonly footer: Footer | undefined;
  /** Byte offset of the footer that ends the image; undefined if there is none, or if it is the guest's. */
  readonly endFooterOffset: number | undefined;
  /** True if the copy at offset 0 is the footer that counts, byte for byte. */
  readonly isCopyCurrent: boolean;
  /** Type of the image, undefined if unknown. */
  readonly type: VhdType | undefined;
  /** Virtual size in bytes, undefined without a footer. */
  readonly virtualSize: number | undefined;
  /** The dynamic header; undefined in fixed images and where the footer does not lead to one. */
  readonly header: DynamicHeader | undefined;
  /** Everything found, in the order of the file's structures. */
  readonly findings: readonly Finding[];
  /** Why the image cannot be opened; undefined if it can. */
  readonly refusal: VhdError | undefined;
}

/** An examination of an image that can be opened. */
export type SoundExamination = Examination & {
  readonly footer: Footer;
  readonly type: VhdType;
  readonly virtualSize: number;
};

/** The rules whose breach makes an image unreadable, and the code that says so. */
const REFUSALS: Partial<Record<RuleId, VhdErrorCode>> = {
  'footer.missing': 'ERR_VHD_NOT_VHD',
  'footer.cookie': 'ERR_VHD_NOT_VHD',
  'footer.checksum': 'ERR_VHD_CORRUPT',
  'footer.poisoned': 'ERR_VHD_IN_USE',
  'footer.copy-contradicts': 'ERR_VHD_FOOTERS_DISAGREE',
  'footer.version': 'ERR_VHD_UNSUPPORTED',
  'footer.type': 'ERR_VHD_UNSUPPORTED',
  'footer.size': 'ERR_VHD_LIMIT',
  'footer.data-offset': 'ERR_VHD_CORRUPT',
  'header.cookie': 'ERR_VHD_CORRUPT',
  'header.checksum': 'ERR_VHD_CORRUPT',
  'header.version': 'ERR_VHD_UNSUPPORTED',
  'header.block-size': 'ERR_VHD_CORRUPT',
  'header.table-offset': 'ERR_VHD_CORRUPT',
  'bat.short': 'ERR_VHD_CORRUPT',
  'bat.limit': 'ERR_VHD_LIMIT',
  'fixed.short': 'ERR_VHD_TRUNCATED',
};

/** Reads both ends of a storage, and the header where there is one. Rejects only if reading fails. */
export async function examine(storage: Storage, options: ExamineOptions = {}): Promise<Examination> {
  const fileSize = await storage.size();
  const end = await readEndFooter(storage, fileSize);
  const start = await readStartFooter(storage, fileSize, end);
  const chosen = await checkedChoice(storage, chooseFooter(start, end, fileSize, options.footer), fileSize, options);
  const { footer } = chosen;
  const ends = {
    name: storage.name,
    fileSize,
    footer,
    endFooterOffset: chosen.endOffset,
    isCopyCurrent: chosen.isCopyCurrent === true,
  };
  const inside = footer === undefined ? UNKNOWN : await examineInside(storage, footer, ends, options);
  const findings = [...chosen.findings, ...inside.findings];
  return { ...ends, ...inside, findings, refusal: refusalOf(storage.name, findings, chosen.remedy) };
}

/** Where the end is lost, what else is near it has to be looked at before the copy is believed. */
async function checkedChoice(
  storage: Storage,
  chosen: ChosenFooter,
  fileSize: number,
  { footer: prefer }: ExamineOptions,
): Promise<ChosenFooter> {
  const { footer, endOffset } = chosen;
  if (footer === undefined || endOffset !== undefined || prefer !== undefined) return chosen;
  return withoutContradiction({ ...chosen, footer }, storage, fileSize);
}

type Inside = Pick<Examination, 'type' | 'virtualSize' | 'header' | 'findings'>;
const UNKNOWN: Inside = { type: undefined, virtualSize: undefined, header: undefined, findings: [] };

/** What the footer says of the rest of the file, held against it. */
async function examineInside(
  storage: Storage,
  footer: Footer,
  ends: Pick<Examination, 'fileSize' | 'endFooterOffset'>,
  options: ExamineOptions,
): Promise<Inside> {
  const { fileSize, endFooterOffset } = ends;
  const virtualSize = options.sizeFrom === 'chs' ? geometryByteLength(footer.geometry) : footer.currentSize;
  const type = vhdTypeOf(footer.diskType);
  if (type === undefined) return { type, virtualSize, header: undefined, findings: [] };
  if (type === 'fixed') {
    const findings = await findInFixed(storage, footer, virtualSize, endFooterOffset ?? fileSize, fileSize);
    return { type, virtualSize, header: undefined, findings };
  }
  const { value: header, findings } = await readHeader(storage, footer, fileSize);
  const tableFindings = header === undefined ? [] : findInTable(header, footer, virtualSize, fileSize);
  return { type, virtualSize, header, findings: [...findings, ...tableFindings] };
}

/** The footer in the last 512 bytes, or in the last 511 where those are one; undefined in a file too short for it. */
async function readEndFooter(storage: Storage, fileSize: number): Promise<FooterReading | undefined> {
  let found: FooterReading | undefined;
  if (fileSize >= FOOTER_BYTES) found = await readFooter(storage, fileSize - FOOTER_BYTES, FOOTER_BYTES);
  if (found !== undefined && isFooter(found.decoded)) return found;
  const isLegacyLength = fileSize >= LEGACY_FOOTER_BYTES && (fileSize - LEGACY_FOOTER_BYTES) % SECTOR_BYTES === 0;
  if (!isLegacyLength) return found;
  const legacy = await readFooter(storage, fileSize - LEGACY_FOOTER_BYTES, LEGACY_FOOTER_BYTES);
  return isFooter(legacy.decoded) ? legacy : (found ?? legacy);
}

/** What stands at offset 0, unless that is the footer at the end itself. */
async function readStartFooter(
  storage: Storage,
  fileSize: number,
  end: FooterReading | undefined,
): Promise<FooterReading | undefined> {
  if (fileSize < FOOTER_BYTES || end?.offset === 0) return undefined;
  return readFooter(storage, 0, FOOTER_BYTES);
}

/** Reads what stands where a footer belongs, of 512 or 511 bytes. */
export async function readFooter(storage: Storage, offset: number, byteLength: number): Promise<FooterReading> {
  const bytes = new Uint8Array(byteLength);
  await storage.read(bytes, offset);
  return { offset, bytes, decoded: decodeFooter(bytes, offset) };
}

async function readHeader(
  storage: Storage,
  footer: Footer,
  fileSize: number,
): Promise<{ value: DynamicHeader | undefined; findings: readonly Finding[] }> {
  const offset = footer.dataOffset;
  if (offset === NO_OFFSET || offset + DYNAMIC_HEADER_BYTES > fileSize) {
    const expected = `an offset from 0 to ${Math.max(0, fileSize - DYNAMIC_HEADER_BYTES)}`;
    const found = offset === NO_OFFSET ? 'none' : String(offset);
    return { value: undefined, findings: [finding('footer.data-offset', { offset: 16, expected, found })] };
  }
  const bytes = new Uint8Array(DYNAMIC_HEADER_BYTES);
  await storage.read(bytes, offset);
  const decoded: Decoded<DynamicHeader> = decodeDynamicHeader(bytes, offset);
  return decoded.findings.some((item) => item.rule === 'header.cookie') ? { ...decoded, value: undefined } : decoded;
}

/** A fixed image must hold its data; one that points to a dynamic header is a dynamic one whose type was damaged. */
async function findInFixed(
  storage: Storage,
  footer: Footer,
  virtualSize: number,
  dataEnd: number,
  fileSize: number,
): Promise<Finding[]> {
  if (footer.dataOffset !== NO_OFFSET && footer.dataOffset + DYNAMIC_HEADER_BYTES <= fileSize) {
    const bytes = new Uint8Array(DYNAMIC_HEADER_BYTES);
    await storage.read(bytes, footer.dataOffset);
    if (decodeDynamicHeader(bytes).findings.every((item) => item.severity !== 'error')) {
      const message = 'the footer says fixed, but points to a dynamic header';
      return [finding('footer.type', { offset: dataEnd + 60, message, expected: '3 or 4', found: '2' })];
    }
  }
  const detail = { expected: `${virtualSize} bytes before the footer`, found: String(dataEnd) };
  if (virtualSize > dataEnd) return [finding('fixed.short', detail)];
  return virtualSize < dataEnd ? [finding('fixed.long', detail)] : [];
}

function findInTable(header: DynamicHeader, footer: Footer, virtualSize: number, fileSize: number): Finding[] {
  if (!isBlockSize(header.blockSize) || header.headerVersion !== FORMAT_VERSION) return [];
  const entryCount = entryCountFor(virtualSize, header.blockSize);
  const findings: Finding[] = [];
  const counts = { expected: `${entryCount} entries`, found: String(header.maxTableEntries) };
  if (header.maxTableEntries < entryCount) findings.push(finding('bat.short', counts));
  if (header.maxTableEntries > entryCount) findings.push(finding('bat.long', counts));
  if (entryCount * BAT_ENTRY_BYTES > MAX_BAT_BYTES) {
    const expected = `a table of at most ${MAX_BAT_BYTES} bytes`;
    const found = `${entryCount * BAT_ENTRY_BYTES} bytes, for blocks of ${header.blockSize} bytes`;
    findings.push(finding('bat.limit', { expected, found }));
  } else {
    const tableEnd = header.tableOffset + entryCount * BAT_ENTRY_BYTES;
    const headerEnd = footer.dataOffset + DYNAMIC_HEADER_BYTES;
    const isOverHeaders =
      header.tableOffset < FOOTER_BYTES || (header.tableOffset < headerEnd && tableEnd > footer.dataOffset);
    const detail = { offset: footer.dataOffset + 16, found: `a table at ${header.tableOffset} to ${tableEnd}` };
    if (isOverHeaders) {
      findings.push(finding('header.table-offset', { ...detail, expected: 'a table behind footer and header' }));
    } else if (tableEnd > fileSize) {
      findings.push(finding('header.table-offset', { ...detail, expected: `a table before the end at ${fileSize}` }));
    }
  }
  return findings;
}

/**
 * The error for the first finding that makes an image unreadable; undefined if none does.
 * @param remedy what to do about it, where there is more to say than the error does
 */
export function refusalOf(name: string, findings: readonly Finding[], remedy?: string): VhdError | undefined {
  for (const item of findings) {
    const code = REFUSALS[item.rule];
    if (code === undefined || item.severity !== 'error') continue;
    return new VhdError(code, describeFinding(item), { ...item, storage: name, remedy });
  }
  return undefined;
}

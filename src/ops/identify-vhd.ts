import type { Examination } from '../disk/recognise.ts';
import type { VhdErrorCode } from '../errors.ts';
import { NO_OFFSET, quote } from '../format/bytes.ts';
import { type DynamicHeader, decodeDynamicHeader, decodeParentName } from '../format/dynamic-header.ts';
import { decodeFooter, type Footer, isFooter } from '../format/footer.ts';
import { describeFinding, warningsOf } from '../format/rules.ts';
import { DYNAMIC_HEADER_BYTES, FOOTER_BYTES, LEGACY_FOOTER_BYTES, type VhdType, vhdTypeOf } from '../format/spec.ts';
import { type FileEnds, TAIL_BYTES } from '../inspect/containers.ts';
import type { ReadableDisk } from '../inspect/partition-table.ts';
import type { Storage } from '../storage/storage.ts';
import type { Verdict } from './identification.ts';
import { footerFacts } from './info.ts';
import { lookInside } from './look-inside.ts';

/** A file to be identified. */
export interface Subject {
  /** Where it is. */
  readonly storage: Storage;
  /** Its bytes. */
  readonly file: ReadableDisk;
  /** Both of its ends. */
  readonly ends: FileEnds;
  /** How far back from its end a footer is looked for; bytes. */
  readonly searchBytes: number;
}

/** Media type that `file` and VirtualBox use; shared-mime-info knows it as an alias. */
const VHD_MIME = 'application/x-virtualbox-vhd';

/** How the codes of refusals are told. */
const STATES: Partial<Record<VhdErrorCode, string>> = {
  ERR_VHD_CORRUPT: 'damaged',
  ERR_VHD_TRUNCATED: 'damaged',
  ERR_VHD_IN_USE: 'in use, or left so',
};

/** A VHD as its valid footer tells, opened if it can be. */
export async function identifySound(subject: Subject, examination: Examination, footer: Footer): Promise<Verdict> {
  const { refusal, findings, header, endFooterOffset } = examination;
  const type = examination.type ?? guessedType(footer);
  const verdict = { ...vhdVerdict(type, footer, header), footerOffset: endFooterOffset ?? null };
  if (refusal !== undefined) {
    const told = `${STATES[refusal.code] ?? 'cannot be opened'}: ${refusal.message}`;
    const others = warningsOf(findings).filter((text) => text !== refusal.message);
    const remedy = refusal.code === 'ERR_VHD_FOOTERS_DISAGREE' ? refusal.remedy : undefined;
    return { ...verdict, problems: [told, ...others], ...(remedy === undefined ? {} : { remedy }) };
  }
  // What it does not hold is in its parent.
  if (type === 'differencing') return { ...verdict, problems: warningsOf(findings) };
  const inside = await lookInside(subject.storage, subject.file.size);
  return { ...verdict, contents: inside.contents, problems: [...warningsOf(inside.findings), ...inside.problems] };
}

/** What a footer and a header say of the image, with nothing held against them. */
export function vhdVerdict(type: VhdType, footer: Footer, header: DynamicHeader | undefined): Verdict {
  const { creator, creatorVersion, created, uuid } = footerFacts(footer);
  const parent = type === 'differencing' && header !== undefined ? decodeParentName(header) : null;
  const told = creator?.replace(/\0+$/, '') ?? '';
  const remarks = [];
  if (told !== '') remarks.push(`creator ${quote(told)} ${creatorVersion ?? ''}`);
  // Some programs leave it at zero, the year 2000.
  if (footer.timestamp !== 0) remarks.push(`made ${created?.slice(0, 10) ?? ''}`);
  if (parent !== null && parent !== '') remarks.push(`parent ${quote(parent)}`);
  return {
    kind: `vhd-${type}`,
    mime: VHD_MIME,
    title: `${type} VHD`,
    virtualSize: footer.currentSize,
    type,
    creator,
    creatorVersion,
    created,
    uuid,
    parent,
    remarks,
  };
}

/** The type of an image whose footer names none that is known: only dynamic ones point to a header. */
function guessedType(footer: Footer): VhdType {
  return footer.dataOffset === NO_OFFSET ? 'fixed' : 'dynamic';
}

/**
 * A VHD without a valid footer at either end: one that begins with its cookie, but is damaged or poisoned, or the
 * header of a dynamic one, which is sound. Undefined if there is nothing of that.
 */
export function identifyDamaged({ ends, file }: Subject): Verdict | undefined {
  const header = soundHeader(ends.head, FOOTER_BYTES);
  const damaged = damagedFooter(ends, file.size);
  const told = damaged?.footer;
  if (damaged !== undefined && told !== undefined) {
    const type = vhdTypeOf(told.diskType) ?? (header === undefined ? guessedType(told) : headerType(header));
    return { ...vhdVerdict(type, told, header), problems: [damaged.problem] };
  }
  if (header === undefined) return undefined;
  const type = headerType(header);
  const problem = damaged?.problem ?? `damaged: its dynamic header is at offset ${FOOTER_BYTES}, but it has no footer`;
  return { kind: `vhd-${type}`, mime: VHD_MIME, title: `${type} VHD`, type, problems: [problem] };
}

/** True if the last bytes are a footer, or what is left of one or was put in its place: nothing was appended then. */
export function endsInFooter(ends: FileEnds): boolean {
  return hasCookie(ends.tail);
}

function hasCookie(bytes: Uint8Array): boolean {
  return decodeFooter(bytes).findings.every((item) => item.rule !== 'footer.cookie');
}

/** What is wrong with the footer at the end, or else at the start; and the footer, unless nothing of it is left. */
function damagedFooter(
  { head, tail }: FileEnds,
  fileSize: number,
): { readonly footer: Footer | undefined; readonly problem: string } | undefined {
  const places = [
    [tail, fileSize - TAIL_BYTES],
    [head.subarray(0, FOOTER_BYTES), 0],
  ] as const;
  // The word alone is no footer.
  if (fileSize < LEGACY_FOOTER_BYTES) return undefined;
  for (const [bytes, offset] of places) {
    const decoded = decodeFooter(bytes, offset);
    const [first] = decoded.findings;
    if (first === undefined || isFooter(decoded) || !hasCookie(bytes)) continue;
    const isPoisoned = first.rule === 'footer.poisoned';
    const isOverwritten = isPoisoned && bytes.every((byte) => byte === bytes[0]);
    const problem = `${isPoisoned ? '' : 'damaged: '}${describeFinding(first)}`;
    return { footer: isOverwritten ? undefined : decoded.value, problem };
  }
  return undefined;
}

/** The dynamic header at an offset of the head, if nothing is wrong with it. */
export function soundHeader(head: Uint8Array, offset: number): DynamicHeader | undefined {
  if (offset < 0 || offset + DYNAMIC_HEADER_BYTES > head.length) return undefined;
  const { value, findings } = decodeDynamicHeader(head.subarray(offset, offset + DYNAMIC_HEADER_BYTES), offset);
  return findings.some((item) => item.severity === 'error') ? undefined : value;
}

function headerType(header: DynamicHeader): VhdType {
  return header.parentUniqueId.every((byte) => byte === 0) ? 'dynamic' : 'differencing';
}

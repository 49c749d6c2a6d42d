import { escapeControls } from '../src/format/bytes.ts';
import { describeFinding, type Finding } from '../src/format/rules.ts';
import type { InfoReport } from '../src/ops/info.ts';
import { contentsText } from './partition-text.ts';
import { keyValueTable, paint, type Row, severityMark } from './report.ts';
import { formatBytes, formatExactly } from './sizes.ts';

/** What `info` prints: that of the library, or the little there is to say about a raw disk. */
export type ImageReport = Omit<InfoReport, 'type'> & { readonly type: InfoReport['type'] | 'raw' };

/** Everything about an image, for people. */
export function infoText(report: ImageReport, coloured: boolean): string {
  const groups = [diskRows(report), fileRows(report), originRows(report)];
  const tables = groups.map((rows) => keyValueTable(pad(rows), coloured)).filter((text) => text !== '');
  const findings = report.findings.map((item) => findingLine(item, coloured)).join('');
  const parts = [...tables, contentsText(report, coloured), findings].filter((text) => text !== '');
  return `${paint('bold', escapeControls(report.path), coloured)}\n${parts.join('\n')}`;
}

/** One width of keys for all groups. */
function pad(rows: readonly Row[]): Row[] {
  return rows.map(([key, value]) => [key.padEnd(14), value]);
}

function diskRows(report: ImageReport): Row[] {
  const { virtualSize, chsSize, geometry, parent } = report;
  const chs = geometry === null ? '' : ` = ${geometry.cylinders}/${geometry.heads}/${geometry.sectorsPerTrack}`;
  return [
    ['type', typeText(report)],
    ['virtual size', sizeText(virtualSize)],
    ['minimum size', sizeText(report.minimumSize)],
    ['CHS size', chsSize === null ? undefined : `${formatExactly(chsSize)}${chs}`],
    ...report.otherSizes.map((other): Row => ['seen by others', `${other.program}: ${formatExactly(other.size)}`]),
    ['parent', parent === null ? undefined : `${parent.name === '' ? 'no name' : parent.name} (uuid ${parent.uuid})`],
    ...chainRows(report),
    ['saved state', report.savedState === true ? 'a virtual machine is saved with it' : undefined],
    ['readable', report.readable ? undefined : 'no'],
  ];
}

/** Most images of a chain that are listed. */
const LISTED_LINKS = 12;

/** The parents that were found, by their depth as `map` gives it; of a long chain its ends. */
function chainRows({ chain, chainProblem }: ImageReport): Row[] {
  const parents = (chain ?? []).slice(1).map((link, index): Row => {
    const size = link.virtualSize === null ? '' : `, ${formatBytes(link.virtualSize)}`;
    return ['chain', `${index + 1}: ${link.path}, ${link.type ?? 'unknown'}${size}`];
  });
  const hidden = parents.length - LISTED_LINKS;
  const gap: Row = ['chain', `   … and ${hidden + 1} more`];
  const listed = hidden > 0 ? [...parents.slice(0, LISTED_LINKS - 2), gap, ...parents.slice(-1)] : parents;
  if (chainProblem === null) return listed;
  const remedy = chainProblem.remedy === null ? '' : `; ${chainProblem.remedy}`;
  return [...listed, ['chain', `${parents.length + 1}: not to be had${remedy}`]];
}

function typeText({ type, readable }: ImageReport): string {
  if (type === 'raw') return 'raw, no footer of a VHD';
  return type ?? (readable ? 'unknown' : 'not known');
}

function fileRows(report: ImageReport): Row[] {
  const { fileSize, fileAllocatedBytes, allocatedBytes, allocatedBlocks, blockSize, virtualSize, dataAlignment } =
    report;
  const blockCount =
    blockSize === null || blockSize === 0 || virtualSize === null ? 0 : Math.ceil(virtualSize / blockSize);
  const allocated =
    allocatedBlocks === null
      ? undefined
      : `${formatExactly(allocatedBytes ?? 0)}, ${allocatedBlocks} of ${blockCount} blocks`;
  return [
    ['file size', formatExactly(fileSize)],
    ['on the medium', fileAllocatedBytes === null ? undefined : formatExactly(fileAllocatedBytes)],
    ['allocated', allocated],
    ['block size', blockSize === null ? undefined : formatBytes(blockSize)],
    ['data alignment', dataAlignment === null ? undefined : formatBytes(dataAlignment)],
  ];
}

function originRows(report: ImageReport): Row[] {
  const { creator, creatorVersion, creatorHostOs } = report;
  return [
    ['creator', creator === null ? undefined : `'${creator}' ${creatorVersion ?? ''} on '${creatorHostOs ?? ''}'`],
    ['created', report.created ?? undefined],
    ['uuid', report.uuid ?? undefined],
    ['uuid, Windows', report.uuidMixedEndian ?? undefined],
  ];
}

function sizeText(bytes: number | null): string | undefined {
  return bytes === null ? undefined : formatExactly(bytes);
}

function findingLine(item: Finding, coloured: boolean): string {
  const text = `${escapeControls(describeFinding(item))} [${item.rule}]`;
  return `${severityMark(item.severity, coloured)}${text}\n`;
}

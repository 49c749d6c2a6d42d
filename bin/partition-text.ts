import { escapeControls } from '../src/format/bytes.ts';
import type { FileSystem, Partition, TableFinding } from '../src/inspect/partition-table.ts';
import type { ContentFacts, PartitionTable } from '../src/ops/info.ts';
import { columnTable, keyValueTable, paint, severityMark } from './report.ts';
import { formatBytes } from './sizes.ts';

const KIB = 1024;
const MIB = 1024 * KIB;
const KEY_WIDTH = 14;
const TITLES: readonly string[] = ['#', 'start', 'size', 'type', 'name', 'file system'];
const NAME_COLUMN = TITLES.indexOf('name');
/** These have no data, so it does not matter where they begin: extended partitions, and Microsoft reserved. */
const TYPES_WITHOUT_DATA: readonly string[] = ['0x05', '0x0f', '0x85', 'E3C9E316-0B5C-4DB8-817D-F92DF00215AE'];

type PlacedContents = Pick<ContentFacts, 'partitionTable' | 'partitions'>;

/** What is on a disk, for people; empty if it cannot be read. */
export function contentsText({ partitionTable, partitions }: PlacedContents, coloured: boolean): string {
  if (partitionTable === null || partitions === null) return '';
  const heading = keyValueTable([headingRow(partitionTable)], coloured);
  const findings = [...partitionTable.findings.map(describeTableFinding), ...alignmentFindings(partitions)];
  const lines = findings.map(([severity, text]) => `${severityMark(severity, coloured)}${escapeControls(text)}\n`);
  return `${heading}${partitionRows(partitions, coloured)}${lines.join('')}`;
}

function headingRow({ scheme, diskId, fileSystem }: PartitionTable): [key: string, value: string] {
  const name = scheme.toUpperCase();
  if (scheme !== 'none') return ['partitions'.padEnd(KEY_WIDTH), diskId === null ? name : `${name}, disk ${diskId}`];
  const text =
    fileSystem === null ? 'no partition table, no known file system' : `${systemText(fileSystem)}, no partition table`;
  return ['contents'.padEnd(KEY_WIDTH), text];
}

function partitionRows(partitions: readonly Partition[], coloured: boolean): string {
  if (partitions.length === 0) return '';
  const rows = partitions.map((partition) => [
    String(partition.number),
    formatPlace(partition.start),
    formatBytes(partition.length),
    escapeControls([partition.typeName ?? partition.type, ...partition.flags].join(', ')),
    escapeControls(partition.name ?? ''),
    partition.fileSystem === null ? '' : escapeControls(systemText(partition.fileSystem)),
  ]);
  const hasNames = partitions.some((partition) => partition.name !== null);
  const shown = [TITLES, ...rows].map((row) => row.filter((_, index) => hasNames || index !== NAME_COLUMN));
  const [titles = '', ...lines] = columnTable(shown, 'rrrl').trimEnd().split('\n');
  return [paint('dim', titles, coloured), ...lines].map((line) => `    ${line}\n`).join('');
}

/** Type, version and label of a file system. */
function systemText({ type, version, label }: FileSystem): string {
  // The version of a FAT is its name; that of LVM says its name again.
  const name =
    version === null || version.startsWith('LVM') ? type : version.startsWith('FAT') ? version : `${type} ${version}`;
  return label === null ? name : `${name} '${label}'`;
}

/** A position, exactly, in the largest unit that makes it a short number. */
function formatPlace(position: number): string {
  const rounded = formatBytes(position);
  const factor = { KiB: KIB, MiB: MIB, GiB: KIB * MIB, TiB: MIB * MIB }[rounded.split(' ')[1] ?? ''] ?? 1;
  if (Number.parseFloat(rounded) * factor === position) return rounded;
  return position % MIB === 0 ? `${position / MIB} MiB` : `${position / KIB} KiB`;
}

type FindingText = readonly [severity: TableFinding['severity'], text: string];

function describeTableFinding({ severity, message, offset }: TableFinding): FindingText {
  return [severity, `${message} (byte ${offset} of the disk)`];
}

function alignmentFindings(partitions: readonly Partition[]): FindingText[] {
  const withData = partitions.filter((partition) => !TYPES_WITHOUT_DATA.includes(partition.type));
  const badly = withData.filter((partition) => partition.alignment < 4 * KIB);
  const unusually = withData.filter((partition) => partition.alignment >= 4 * KIB && partition.alignment < MIB);
  const texts: FindingText[] = [];
  if (badly.length > 0) {
    const text = `${whichBegin(badly)} on 4 KiB: slow wherever the storage below has sectors of 4 KiB, as in a cloud`;
    texts.push(['warning', text]);
  }
  if (unusually.length > 0) texts.push(['note', `${whichBegin(unusually)} on 1 MiB, as is usual`]);
  return texts;
}

function whichBegin(partitions: readonly Partition[]): string {
  const numbers = partitions.map((partition) => partition.number).join(', ');
  return partitions.length === 1 ? `partition ${numbers} does not begin` : `partitions ${numbers} do not begin`;
}

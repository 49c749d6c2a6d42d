import { escapeControls } from '../src/format/bytes.ts';
import type { ComparedImage, ComparedTail, Comparison } from '../src/ops/compare-report.ts';
import { partitionsTable, rangesTable } from './ranges-text.ts';
import { keyValueTable, paint, type Row } from './report.ts';
import { formatBytes, formatExactly } from './sizes.ts';

/** What was asked. */
export interface ComparedHow {
  /** True if it stopped at the first difference. */
  readonly isFirstOnly: boolean;
  /** True if zeros behind the end of the shorter one do not count. */
  readonly isTailIgnored: boolean;
}

/** The answer for people. */
export function compareText(comparison: Comparison, how: ComparedHow, coloured: boolean): string {
  const { equal, a, b, partitions, partitionsOf, ranges, rangeCount } = comparison;
  const [nameA, nameB] = [escapeControls(a.path), escapeControls(b.path)];
  const answer = equal ? paint('green', 'equal', coloured) : paint('red', 'different', coloured);
  const heading = `${nameA} and ${nameB}: ${answer}\n`;
  if (how.isFirstOnly && rangeCount > 0) return heading + keyValueTable(firstRows(comparison), coloured);
  const owner = partitionsOf === 'b' ? nameB : nameA;
  const isPlaced = partitionsOf !== null;
  return [
    heading,
    keyValueTable(comparisonRows(comparison, how), coloured),
    partitionsTable({
      title: `partitions of ${owner} that differ`,
      rows: partitions.map((partition) => [partition, partition.differingBytes]),
      coloured,
    }),
    rangesTable(
      {
        title: 'ranges that differ: start, length',
        rows: ranges.map((range) => ({ ...range, partitions: isPlaced ? range.partitions : undefined })),
        coloured,
      },
      rangeCount,
    ),
  ].join('');
}

function comparisonRows(comparison: Comparison, how: ComparedHow): Row[] {
  const { a, b, tail, firstDifference, differingBytes, rangeCount } = comparison;
  const where = rangeCount === 1 ? '1 range' : `${rangeCount} ranges`;
  return [
    ...imageRows(a, b),
    ['differing', rangeCount === 0 ? undefined : `${formatExactly(differingBytes)}, in ${where}`],
    ['first', firstDifference === null ? undefined : `byte ${firstDifference}`],
    ['size', tail === null ? undefined : tailText(comparison, tail, how)],
    ['compared', comparedText(comparison)],
  ];
}

function firstRows({ a, b, firstDifference, ranges, partitionsOf, partitions }: Comparison): Row[] {
  const [range] = ranges;
  const inside = partitions.map(({ number }) => `partition ${number}`).join(', ');
  const place = partitionsOf === null ? '' : `, ${inside === '' ? 'in no partition' : inside}`;
  return [
    ...imageRows(a, b),
    ['first', `byte ${firstDifference ?? range?.start ?? 0}${place}; what follows was not compared`],
  ];
}

function imageRows(a: ComparedImage, b: ComparedImage): Row[] {
  const text = ({ type, virtualSize }: ComparedImage): string => `${type}, ${formatExactly(virtualSize)}`;
  return [
    ['a', text(a)],
    ['b', text(b)],
  ];
}

/** What the longer one has more, and whether that counts. */
function tailText(
  { a, b, rangeCount }: Comparison,
  { of, start, length, allZero, firstData }: ComparedTail,
  { isTailIgnored }: ComparedHow,
): string {
  const longer = of === 'a' ? a : b;
  const common = rangeCount === 0 ? `equal up to ${formatExactly(start)}; ` : '';
  const more = `${common}${longer.path} has ${formatExactly(length)} more, `;
  if (allZero !== true) return `${more}not all zero: byte ${firstData ?? start} is not`;
  if (isTailIgnored) return `${more}all zero, which do not count`;
  return `${more}all zero${rangeCount === 0 ? ': equal with --ignore-tail' : ''}`;
}

function comparedText({ comparedBytes, skippedBytes }: Comparison): string {
  if (comparedBytes === 0) return 'nothing had to be read: empty on both sides, or the same place of the same file';
  const rest =
    skippedBytes === 0 ? '' : `; ${formatBytes(skippedBytes)} empty on both sides, or the same by their place`;
  return `${formatBytes(comparedBytes)}${rest}`;
}

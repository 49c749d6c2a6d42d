import { escapeControls } from '../src/format/bytes.ts';
import type { Partition } from '../src/inspect/partition-table.ts';
import { columnTable, paint } from './report.ts';
import { formatBytes } from './sizes.ts';

/** Further ranges are counted and not listed. */
export const MAX_LISTED = 20;

/** A table, and what stands over it. */
interface Titled<T> {
  readonly title: string;
  readonly rows: readonly T[];
  readonly coloured: boolean;
}

function indented({ title, rows, coloured }: Titled<readonly string[]>, sides: string): string {
  const lines = columnTable(rows, sides).trimEnd().split('\n');
  return `\n  ${paint('dim', title, coloured)}\n${lines.map((line) => `    ${line}\n`).join('')}`;
}

/** A partition, and how many of its bytes it is about. */
type PartitionShare = readonly [partition: Partition, byteLength: number];

/** The partitions that something was found in, and how much of each; empty if there are none. */
export function partitionsTable({ title, rows, coloured }: Titled<PartitionShare>): string {
  if (rows.length === 0) return '';
  const cells = rows.map(([{ number, length, type, typeName, name, fileSystem }, byteLength]) => [
    String(number),
    escapeControls(fileSystem?.type ?? typeName ?? type),
    escapeControls(fileSystem?.label ?? name ?? ''),
    `${formatBytes(byteLength)} of ${formatBytes(length)}`,
  ]);
  return indented({ title, rows: cells, coloured }, 'rl');
}

/** A range of a disk, and the numbers of the partitions it lies in; undefined where partitions are nothing to the purpose. */
interface PlacedRange {
  readonly start: number;
  readonly length: number;
  readonly partitions: readonly number[] | undefined;
}

/** The first ranges, and how many more there are. */
export function rangesTable({ title, rows, coloured }: Titled<PlacedRange>, rangeCount: number): string {
  if (rows.length === 0) return '';
  const cells = rows
    .slice(0, MAX_LISTED)
    .map(({ start, length, partitions }) => [`${start}`, `${length}`, placeText(partitions)]);
  const more = rangeCount - cells.length;
  const rest = more === 0 ? '' : `    and ${more} more: --json lists all\n`;
  return indented({ title, rows: cells, coloured }, 'rrl') + rest;
}

function placeText(numbers: readonly number[] | undefined): string {
  if (numbers === undefined) return '';
  if (numbers.length === 0) return 'in no partition';
  return `partition${numbers.length === 1 ? '' : 's'} ${numbers.join(', ')}`;
}

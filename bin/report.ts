import { styleText } from 'node:util';
import { escapeControls } from '../src/format/bytes.ts';
import type { Severity } from '../src/format/rule.ts';

/** The styles in use. */
export type Style = 'bold' | 'cyan' | 'dim' | 'green' | 'red' | 'yellow';

/** Colour goes to terminals that can show it, unless `NO_COLOR` says otherwise. */
export function isColoured(
  stream: { readonly isTTY?: boolean | undefined },
  env: Readonly<Record<string, string | undefined>>,
): boolean {
  return stream.isTTY === true && (env['NO_COLOR'] ?? '') === '' && env['TERM'] !== 'dumb';
}

/** Text in a style, where there is colour. */
export function paint(style: Style, text: string, coloured: boolean): string {
  // Whether the stream takes colour is decided by the caller: the stream is not always that of the process.
  return coloured ? styleText(style, text, { validateStream: false }) : text;
}

const MARKS: Readonly<Record<Severity, Style>> = { error: 'red', warning: 'yellow', note: 'cyan' };

/** What the line of a finding begins with. */
export function severityMark(severity: Severity, coloured: boolean): string {
  return `  ${paint(MARKS[severity], severity.padEnd(7), coloured)}  `;
}

/** A line of a key/value table; a row without a value is left out. */
export type Row = readonly [key: string, value: string | undefined];

/** Keys and values in two columns, indented by two; control characters are escaped. */
export function keyValueTable(rows: readonly Row[], coloured = false): string {
  const told = rows.flatMap(([key, value]) => (value === undefined ? [] : [[key, value] as const]));
  const width = Math.max(0, ...told.map(([key]) => key.length));
  return told
    .map(([key, value]) => `  ${paint('dim', key.padEnd(width), coloured)}  ${escapeControls(value)}\n`)
    .join('');
}

/** What was done, then a key/value table about it; control characters are escaped. */
export function summaryText(heading: string, rows: readonly Row[]): string {
  return `${escapeControls(heading)}\n${keyValueTable(rows)}`;
}

/**
 * Cells in aligned columns.
 * @param rows the cells
 * @param sides a letter a column, `l` for left or `r` for right; the last one holds for all further columns
 */
export function columnTable(rows: readonly (readonly string[])[], sides = 'lr'): string {
  const widths: number[] = [];
  for (const row of rows) {
    for (const [index, cell] of row.entries()) widths[index] = Math.max(widths[index] ?? 0, cell.length);
  }
  const cellText = (cell: string, index: number): string => {
    const isLeft = (sides[index] ?? sides.at(-1)) === 'l';
    return isLeft ? cell.padEnd(widths[index] ?? 0) : cell.padStart(widths[index] ?? 0);
  };
  const line = (row: readonly string[]): string => row.map(cellText).join('  ').trimEnd();
  return rows.map((row) => `${line(row)}\n`).join('');
}

/** A report as JSON: on one line, or indented for a single object. */
export function jsonText(verb: string, report: object, isOneLine = false): string {
  return `${JSON.stringify({ schema: `vhdkit/${verb}/1`, ...report }, undefined, isOneLine ? undefined : 2)}\n`;
}

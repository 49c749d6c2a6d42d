import { escapeControls } from '../src/format/bytes.ts';
import type { MapFigures } from '../src/ops/map-figures.ts';
import { type CellGrid, cellBytesFor, SHADE_COUNT, shadeOf } from './map-cells.ts';
import { type DiskPart, fullLabel, type PartFill, partLabel } from './map-partitions.ts';
import { columnTable, paint, type Row, type Style } from './report.ts';
import { formatBytes, formatExactly } from './sizes.ts';

/** What the image is, beside its runs. */
export interface MappedImage {
  readonly path: string;
  readonly type: string;
  readonly virtualSize: number;
  /** Bytes of the file. */
  readonly fileSize: number;
  /** The range that was mapped. */
  readonly start: number;
  readonly length: number;
}

/** Everything a picture shows. */
export interface MapPicture {
  readonly image: MappedImage;
  readonly figures: MapFigures;
  readonly grid: CellGrid;
  readonly fill: PartFill;
}

/** How a picture is drawn with characters. */
export interface TextStyle {
  readonly coloured: boolean;
  /** False: ASCII only. */
  readonly unicode: boolean;
  /** Slices in a row. */
  readonly cellsPerRow: number;
}

interface Marks {
  /** By shade, the empty one first. */
  readonly shades: readonly string[];
  readonly unknown: string;
  readonly border: string;
}

const UNICODE_MARKS: Marks = { shades: ['·', '░', '▒', '▓', '█'], unknown: '?', border: '╷' };
const ASCII_MARKS: Marks = { shades: ['.', '-', '+', '*', '#'], unknown: '?', border: '|' };

const LABEL_COLUMNS = 10;
const INDENT = '  ';
const MAX_ROWS = 16;

/** The slices of a picture that fits a window of so many columns: a power of two in a row, so that rows start at round places. */
export function pictureCells(
  length: number,
  columns: number,
): { readonly cellBytes: number; readonly cellsPerRow: number } {
  const room = columns - INDENT.length * 2 - LABEL_COLUMNS;
  let cellsPerRow = 8;
  while (cellsPerRow * 2 <= Math.min(room, 128)) cellsPerRow *= 2;
  return { cellBytes: cellBytesFor(length, cellsPerRow * MAX_ROWS), cellsPerRow };
}

/** Whether the terminal or pipe takes more than ASCII, as the locale says. */
export function isUnicode(env: Readonly<Record<string, string | undefined>>, platform: string): boolean {
  const locale = [env['LC_ALL'], env['LC_CTYPE'], env['LANG']].find((value) => value !== undefined && value !== '');
  // Windows has no such variables, and takes UTF-8 in every terminal of today.
  return locale === undefined ? platform === 'win32' : /utf-?8/i.test(locale);
}

/** The picture: figures, the disk slice by slice, what the signs mean, and the partitions. */
export function pictureText(picture: MapPicture, style: TextStyle): string {
  const marks = style.unicode ? UNICODE_MARKS : ASCII_MARKS;
  const parts = partsTable(picture.fill, picture.image);
  return `\n${cellRows(picture, style, marks)}\n${legend(picture, style, marks)}${parts === '' ? '' : `\n${parts}`}`;
}

/** Sizes and sums, as rows of a table. */
export function summaryRows(image: MappedImage, figures: MapFigures): Row[] {
  const { start, length, virtualSize, fileSize } = image;
  const isPart = length !== virtualSize;
  const { parentBytes, storedZeroBytes, unknownBytes } = figures;
  return [
    ['type', image.type],
    ['virtual size', formatExactly(virtualSize)],
    ['file size', formatExactly(fileSize)],
    ['mapped', isPart ? `${formatExactly(length)} from ${start} on` : undefined],
    ['data', `${formatExactly(figures.dataBytes)}${percent(figures.dataBytes, length)}`],
    ['in a parent', parentBytes === 0 ? undefined : formatExactly(parentBytes)],
    ['zero', `${formatExactly(figures.zeroBytes)}${percent(figures.zeroBytes, length)}`],
    ['stored zeros', storedZeroBytes === 0 ? undefined : `${formatExactly(storedZeroBytes)} of these`],
    ['not known', unknownBytes === 0 ? undefined : `${formatExactly(unknownBytes)}: the image is damaged`],
    ['in the file', fileOrder(figures)],
  ];
}

/** How the data lies in the file, in words; undefined where there is none. */
export function fileOrder({ dataRunCount, fragmentCount, backwardCount }: MapFigures): string | undefined {
  if (dataRunCount === 0) return undefined;
  const runs = counted(dataRunCount, 'run');
  if (fragmentCount === 1) return `${runs}, in the order of the disk`;
  return `${runs} in ${fragmentCount} fragments, ${backwardCount === 0 ? 'none' : backwardCount} of them out of order`;
}

/** A number and its noun. */
export function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`;
}

/** A part of a whole in words to put behind a size; nothing of nothing is nothing. */
function percent(bytes: number, whole: number): string {
  return whole === 0 ? '' : `, ${share(bytes, whole)}`;
}

/** A part of a whole in per cent, never rounded to none or to all. */
export function share(bytes: number, whole: number): string {
  if (bytes <= 0 || whole <= 0) return '0 %';
  if (bytes >= whole) return '100 %';
  const value = (bytes / whole) * 100;
  if (value < 0.1) return '< 0.1 %';
  return value > 99.9 ? '> 99.9 %' : `${value.toFixed(1).replace(/\.0$/, '')} %`;
}

function cellRows({ grid, fill }: MapPicture, style: TextStyle, marks: Marks): string {
  const lines: string[] = [];
  for (let first = 0; first < grid.cellCount; first += style.cellsPerRow) {
    const end = Math.min(first + style.cellsPerRow, grid.cellCount);
    const ruler = rulerLine(grid, fill.parts, { first, end: first + style.cellsPerRow }, marks);
    const position = formatBytes(grid.start + first * grid.cellBytes).replace(/ bytes?$/, '');
    const line = (label: string, content: string): string => {
      return `${INDENT}${paint('dim', label.padStart(LABEL_COLUMNS), style.coloured)}${INDENT}${content}`;
    };
    if (ruler !== '') lines.push(line('', paint('dim', ruler, style.coloured)));
    lines.push(line(position, cellRow(grid, first, end, { style, marks })));
  }
  return lines.map((line) => `${line}\n`).join('');
}

/** The beginnings of parts in one row: a mark over the slice, and behind it as much of the label as there is room for. */
function rulerLine(
  grid: CellGrid,
  parts: readonly DiskPart[],
  row: { readonly first: number; readonly end: number },
  marks: Marks,
): string {
  const columns = parts.flatMap((part) => {
    const cell = Math.floor((part.start - grid.start) / grid.cellBytes);
    return cell >= row.first && cell < Math.min(row.end, grid.cellCount) ? [{ column: cell - row.first, part }] : [];
  });
  let line = '';
  for (const [index, { column, part }] of columns.entries()) {
    // Several in one slice share its mark; the table below has them all.
    if (column < line.length) continue;
    const room =
      (columns.slice(index + 1).find((next) => next.column > column)?.column ?? row.end - row.first) - column;
    line = line.padEnd(column) + marks.border + shortened(escapeControls(partLabel(part)), room - 2);
  }
  return line;
}

/** The first characters of a text, as many as fit. */
function shortened(text: string, columns: number): string {
  return Array.from(text).slice(0, Math.max(columns, 0)).join('').trimEnd();
}

/** One row of slices; neighbours of one colour are painted together. */
function cellRow(
  grid: CellGrid,
  first: number,
  end: number,
  { style, marks }: { readonly style: TextStyle; readonly marks: Marks },
): string {
  let [line, pending, pendingStyle] = ['', '', 'dim' as Style];
  for (let index = first; index < end; index++) {
    const { data, parent, unknown } = grid.fill(index);
    const mark = unknown > 0 ? marks.unknown : (marks.shades[shadeOf(data)] ?? '');
    const cellStyle: Style = unknown > 0 ? 'red' : data === 0 ? 'dim' : parent > data / 2 ? 'yellow' : 'cyan';
    if (cellStyle !== pendingStyle) {
      line += pending === '' ? '' : paint(pendingStyle, pending, style.coloured);
      [pending, pendingStyle] = ['', cellStyle];
    }
    pending += mark;
  }
  return line + paint(pendingStyle, pending, style.coloured);
}

function legend({ grid, figures }: MapPicture, style: TextStyle, { shades, unknown }: Marks): string {
  const some = shades.slice(1, SHADE_COUNT).join('');
  const signs = [`${shades[0] ?? ''} empty`, `${some} some data`, `${shades[SHADE_COUNT] ?? ''} full`];
  if (figures.unknownBytes > 0) signs.push(`${unknown} not known`);
  if (figures.parentBytes > 0 && style.coloured) signs.push('yellow: in a parent');
  return `${INDENT}${paint('dim', `a sign is ${formatBytes(grid.cellBytes)}:  ${signs.join('   ')}`, style.coloured)}\n`;
}

function partsTable(fill: PartFill, image: MappedImage): string {
  if (fill.parts.length === 0) return '';
  const rows = fill.parts.map((part, index) => [
    escapeControls(fullLabel(part)),
    formatBytes(part.start),
    formatBytes(part.length),
    partShare(fill, index, image),
  ]);
  const hidden = fill.hiddenCount === 0 ? '' : `${INDENT}and ${counted(fill.hiddenCount, 'more partition')}\n`;
  return (
    columnTable([['partition', 'start', 'size', 'data'], ...rows])
      .replaceAll(/^/gm, INDENT)
      .trimEnd() + `\n${hidden}`
  );
}

/** How much of what was mapped of a part is data. */
export function partShare(fill: PartFill, index: number, { start, length }: MappedImage): string {
  const part = fill.parts[index] ?? { start: 0, length: 0 };
  const mapped = Math.min(part.start + part.length, start + length) - Math.max(part.start, start);
  return mapped <= 0 ? '-' : share(fill.dataBytes(index), mapped);
}

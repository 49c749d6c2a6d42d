import { type CellFill, type CellGrid, SHADE_COUNT, shadeOf } from './map-cells.ts';
import { fullLabel, type PartFill, partLabel } from './map-partitions.ts';
import { counted, type MappedImage, partShare, share } from './map-text.ts';
import { formatBytes } from './sizes.ts';
import { label, tag, textLine, xmlText } from './svg.ts';

/** Width of everything, without the margins. */
export const INNER_WIDTH = 896;
/** Left of what is drawn to scale: room for the labels of rows and axes. */
export const LABEL_WIDTH = 64;
/** Width of what is drawn to scale. */
export const SCALE_WIDTH: number = INNER_WIDTH - LABEL_WIDTH;

/** A part of the picture, from its own top left corner. */
export interface Section {
  readonly height: number;
  readonly body: string;
}

const MAX_LISTED_PARTS = 12;
const STRIP_HEIGHT = 28;
const PART_HEIGHT = 36;

/** The colours a slice can have. */
function cellClass({ data, parent, unknown }: CellFill): string {
  if (unknown > 0) return 'u';
  const shade = shadeOf(data);
  return shade === 0 ? 'e' : `${parent > data / 2 ? 'p' : 'd'}${shade}`;
}

/** A slice, its colour given as a class; what is not known is hatched. */
function box(className: string, place: Readonly<Record<string, number>>, content = ''): string {
  if (className === 'u') return tag('rect', { fill: 'url(#vhd-map-unknown)', ...place }, content);
  return tag('rect', { class: className, ...place }, content);
}

/** The whole range in one strip, the partitions over it and an axis below. */
export function stripSection(strip: CellGrid, fill: PartFill, image: MappedImage): Section {
  const partsHeight = fill.parts.length === 0 ? 0 : PART_HEIGHT + 4;
  const top = 14 + partsHeight;
  const axis = axisBelow(image.start, image.length, top + STRIP_HEIGHT);
  const table = partsTable(fill, image, top + STRIP_HEIGHT + 42);
  const title = label('The disk', { class: 'heading', x: 0, y: 0 });
  const body = title + partBoxes(fill, image, 14) + stripBoxes(strip, top) + axis + table.body;
  return { height: top + STRIP_HEIGHT + 28 + table.height, body };
}

function stripBoxes(strip: CellGrid, y: number): string {
  const scale = SCALE_WIDTH / strip.length;
  let body = tag('rect', { class: 'e', x: LABEL_WIDTH, y, width: SCALE_WIDTH, height: STRIP_HEIGHT });
  let first = 0;
  for (let index = 1; index <= strip.cellCount; index++) {
    const className = cellClass(strip.fill(first));
    if (index < strip.cellCount && cellClass(strip.fill(index)) === className) continue;
    if (className !== 'e') {
      const x = LABEL_WIDTH + first * strip.cellBytes * scale;
      const width = Math.min(index * strip.cellBytes, strip.length) * scale - (x - LABEL_WIDTH);
      body += box(className, { x, y, width, height: STRIP_HEIGHT });
    }
    first = index;
  }
  return body;
}

function partBoxes(fill: PartFill, { start, length }: MappedImage, y: number): string {
  return fill.parts
    .map((part) => {
      const from = (Math.max(part.start, start) - start) / length;
      const to = (Math.min(part.start + part.length, start + length) - start) / length;
      if (to <= from) return '';
      const width = Math.max((to - from) * SCALE_WIDTH, 1.5);
      // A picture of its own: nothing reaches over its border, however wide the fonts are.
      const label = width < 24 ? '' : partWords(partLabel(part), formatBytes(part.length), width);
      const edge = tag('rect', { class: 'part', x: 0, y: 0, width, height: PART_HEIGHT });
      const side = tag('path', { class: 'edge', d: `M0.5 0v${PART_HEIGHT}` });
      const title = tag('title', {}, xmlText(fullLabel(part)));
      return tag(
        'svg',
        { x: LABEL_WIDTH + from * SCALE_WIDTH, y, width, height: PART_HEIGHT },
        title + edge + side + label,
      );
    })
    .join('');
}

function partWords(label: string, size: string, width: number): string {
  const maxWidth = width - 10;
  return (
    textLine(label, { x: 6, y: 15 }, { font: 12, maxWidth }) +
    textLine(size, { class: 'muted', x: 6, y: 30 }, { font: 12, maxWidth })
  );
}

/** The partitions as lines of a table: in the strip most of them are too narrow for their names. */
function partsTable(fill: PartFill, image: MappedImage, y: number): Section {
  if (fill.parts.length === 0) return { height: 0, body: '' };
  const shown = fill.parts.slice(0, MAX_LISTED_PARTS);
  const columns = [LABEL_WIDTH + 480, LABEL_WIDTH + 600, LABEL_WIDTH + 720] as const;
  const end = (text: string, x: number, lineY: number, extra = ''): string =>
    label(text, { class: `end${extra}`, x, y: lineY });
  const heads = ['start', 'size', 'data'].map((text, index) => end(text, columns[index] ?? 0, y, ' muted')).join('');
  const lines = shown.map((part, index) => {
    const lineY = y + 18 * (index + 1);
    const cells = [formatBytes(part.start), formatBytes(part.length), partShare(fill, index, image)];
    const label = textLine(fullLabel(part), { x: LABEL_WIDTH, y: lineY }, { font: 12, maxWidth: 400 });
    return label + cells.map((text, column) => end(text, columns[column] ?? 0, lineY)).join('');
  });
  const restCount = fill.parts.length - shown.length + fill.hiddenCount;
  const restY = y + 18 * (shown.length + 1);
  const rest =
    restCount === 0
      ? ''
      : label(`and ${counted(restCount, 'more partition')}`, { class: 'muted', x: LABEL_WIDTH, y: restY });
  const head = label('partition', { class: 'muted', x: LABEL_WIDTH, y }) + heads;
  return { height: 18 * (shown.length + (restCount === 0 ? 1 : 2)) + 6, body: head + lines.join('') + rest };
}

/** An axis of positions on the disk, under something that is `SCALE_WIDTH` wide and ends at `y`. */
export function axisBelow(start: number, length: number, y: number): string {
  return ticksOf(start, length, 8)
    .map((position) => {
      const x = LABEL_WIDTH + ((position - start) / length) * SCALE_WIDTH;
      const anchor = x < LABEL_WIDTH + 20 ? 'muted' : x > INNER_WIDTH - 24 ? 'muted end' : 'muted middle';
      const mark = tag('path', { class: 'line', d: `M${x.toFixed(1)} ${y}v5` });
      return mark + label(tickLabel(position), { class: anchor, x, y: y + 18 });
    })
    .join('');
}

/** Round positions inside a range, at most `count` and a few. */
export function ticksOf(start: number, length: number, count: number): number[] {
  let step = 512;
  while (step * count < length) step *= 2;
  const first = Math.ceil(start / step);
  const last = Math.floor((start + length) / step);
  return Array.from({ length: Math.max(last - first + 1, 0) }, (_, index) => (first + index) * step);
}

/** A position in words: that of the start is short. */
export function tickLabel(position: number): string {
  return position === 0 ? '0' : formatBytes(position);
}

const CELL_PITCH = 13;
/** Slices in a row of the grid. */
export const GRID_COLUMNS: number = SCALE_WIDTH / CELL_PITCH;
/** Rows of the grid at most. */
export const GRID_ROWS = 16;

/** The range slice by slice, in rows, with what the colours mean. */
export function gridSection(grid: CellGrid, hasParents: boolean, hasUnknown: boolean): Section {
  const rowCount = Math.ceil(grid.cellCount / GRID_COLUMNS);
  let body = label(`Slices of ${formatBytes(grid.cellBytes)}`, { class: 'heading', x: 0, y: 0 });
  let empty = '';
  for (let row = 0; row < rowCount; row++) {
    const y = 14 + row * CELL_PITCH;
    const position = grid.start + row * GRID_COLUMNS * grid.cellBytes;
    body += label(tickLabel(position), { class: 'muted end', x: LABEL_WIDTH - 8, y: y + 10.5 });
  }
  for (let index = 0; index < grid.cellCount; index++) {
    const x = LABEL_WIDTH + (index % GRID_COLUMNS) * CELL_PITCH;
    const y = 14 + Math.floor(index / GRID_COLUMNS) * CELL_PITCH;
    const fill = grid.fill(index);
    const className = cellClass(fill);
    const title = tag('title', {}, xmlText(cellTitle(grid, index, fill)));
    if (className === 'e') empty += `M${x} ${y}h12v12h-12z`;
    else body += box(className, { x, y, width: 12, height: 12, rx: 2 }, title);
  }
  const emptyPath = empty === '' ? '' : tag('path', { class: 'e', d: empty });
  const legendY = 14 + rowCount * CELL_PITCH + 14;
  return { height: legendY + 14, body: emptyPath + body + legend(legendY, hasParents, hasUnknown) };
}

function cellTitle(grid: CellGrid, index: number, { data, unknown }: CellFill): string {
  const words = unknown > 0 ? `${share(unknown, 1)} not known` : `${share(data, 1)} data`;
  return `${tickLabel(grid.start + index * grid.cellBytes)}: ${words}`;
}

function legend(y: number, hasParents: boolean, hasUnknown: boolean): string {
  let x = LABEL_WIDTH;
  let body = '';
  const swatches = (classNames: readonly string[], words: string): void => {
    for (const className of classNames) {
      body += box(className, { x, y: y - 10, width: 12, height: 12, rx: 2 });
      x += 14;
    }
    body += label(words, { class: 'muted', x: x + 4, y });
    x += 4 + words.length * 7 + 20;
  };
  const shades = (letter: string): string[] =>
    Array.from({ length: SHADE_COUNT }, (_, index) => `${letter}${index + 1}`);
  swatches(['e'], 'empty');
  swatches(shades('d'), 'data: some to all of the slice');
  if (hasParents) swatches(shades('p'), 'data in a parent');
  if (hasUnknown) swatches(['u'], 'not known: the image is damaged');
  return body;
}

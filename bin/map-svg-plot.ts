import type { MapFigures } from '../src/ops/map-figures.ts';
import type { PlotGrid } from './map-plot.ts';
import { axisBelow, LABEL_WIDTH, SCALE_WIDTH, type Section, tickLabel, ticksOf } from './map-svg-parts.ts';
import { fileOrder, type MappedImage } from './map-text.ts';
import { label, tag } from './svg.ts';

const DOT = 4;
/** Columns of the plot: positions on the disk. */
export const PLOT_COLUMNS: number = SCALE_WIDTH / DOT;
/** Rows of the plot: places in the file. */
export const PLOT_ROWS = 52;

/** From this part of a column on a dot is drawn in that shade. */
const SHADES = [
  { className: 's2', from: 0 },
  { className: 's3', from: 1 / 16 },
  { className: 's4', from: 1 / 3 },
] as const;

/** Positions on the disk against places in the file: data in order is a rising line, scattered data a cloud. */
export function plotSection(plot: PlotGrid, image: MappedImage, figures: MapFigures): Section {
  const title = label('Order in the file', { class: 'heading', x: 0, y: 0 });
  const sentence = plainCase(image, figures);
  if (sentence !== undefined) {
    return { height: 22, body: title + label(sentence, { class: 'muted', x: LABEL_WIDTH, y: 22 }) };
  }
  const top = 36;
  const height = PLOT_ROWS * DOT;
  const words = `${fileOrder(figures) ?? ''}; up: place in the file, to the right: position on the disk`;
  const caption = label(words, { class: 'muted', x: LABEL_WIDTH, y: 22 });
  const frame = tag('rect', { class: 'line', x: LABEL_WIDTH, y: top, width: SCALE_WIDTH, height });
  const body = title + caption + fileAxis(image.fileSize, top, height) + dots(plot, top) + frame;
  return { height: top + height + 22, body: body + axisBelow(image.start, image.length, top + height) };
}

function plainCase({ type }: MappedImage, { dataRunCount }: MapFigures): string | undefined {
  if (dataRunCount === 0) return 'Nothing of this is stored in the file.';
  if (type === 'fixed' || type === 'raw') return 'The file holds the disk one to one, from its start to its end.';
  return undefined;
}

function fileAxis(fileSize: number, top: number, height: number): string {
  return ticksOf(0, fileSize, 6)
    .map((offset) => {
      const y = top + height - (offset / fileSize) * height;
      const line = tag('path', { class: 'line', d: `M${LABEL_WIDTH} ${y.toFixed(1)}h${SCALE_WIDTH}` });
      return line + label(tickLabel(offset), { class: 'muted end', x: LABEL_WIDTH - 8, y: y + 4 });
    })
    .join('');
}

/** One stroke for each shade, in units of dots; neighbours in a row are drawn in one go. */
function dots(plot: PlotGrid, top: number): string {
  const paths = SHADES.map(() => '');
  const shadeAt = (column: number, row: number): number => {
    const density = column < plot.columnCount ? plot.density(column, row) : 0;
    return density === 0 ? -1 : SHADES.findLastIndex((shade) => density >= shade.from);
  };
  for (let row = 0; row < plot.rowCount; row++) {
    let first = 0;
    for (let column = 1; column <= plot.columnCount; column++) {
      const shade = shadeAt(first, row);
      if (column < plot.columnCount && shadeAt(column, row) === shade) continue;
      if (shade >= 0) paths[shade] = `${paths[shade] ?? ''}M${first} ${plot.rowCount - 1 - row}h${column - first}`;
      first = column;
    }
  }
  const strokes = paths.map((d, shade) => (d === '' ? '' : tag('path', { class: SHADES[shade]?.className, d })));
  // Half a dot down: a stroke lies on both sides of its line.
  return tag('g', { transform: `translate(${LABEL_WIDTH} ${top + DOT / 2}) scale(${DOT})` }, strokes.join(''));
}

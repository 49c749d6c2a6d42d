import { basename } from 'node:path';
import type { MapProblem, MapRun } from '../src/ops/map.ts';
import type { MapFigures } from '../src/ops/map-figures.ts';
import { CellGrid, cellBytesFor, type RunSink } from './map-cells.ts';
import type { PartFill } from './map-partitions.ts';
import { PlotGrid } from './map-plot.ts';
import {
  GRID_COLUMNS,
  GRID_ROWS,
  gridSection,
  INNER_WIDTH,
  SCALE_WIDTH,
  type Section,
  stripSection,
} from './map-svg-parts.ts';
import { PLOT_COLUMNS, PLOT_ROWS, plotSection } from './map-svg-plot.ts';
import { ROOT_CLASS, STYLE_SHEET } from './map-svg-style.ts';
import { type MappedImage, share } from './map-text.ts';
import { formatBytes } from './sizes.ts';
import { label, tag, textLine, wrapText, xmlText } from './svg.ts';

const MARGIN = 32;
const SECTION_GAP = 34;
/** Two pixels a slice of the strip. */
const STRIP_CELLS: number = SCALE_WIDTH / 2;

/** Everything the picture shows, gathered run by run in a space that does not grow. */
export class SvgViews implements RunSink {
  readonly #image: MappedImage;
  readonly #strip: CellGrid;
  readonly #grid: CellGrid;
  readonly #plot: PlotGrid;

  /** For the range of an image that is mapped. */
  constructor(image: MappedImage) {
    const { start, length } = image;
    this.#image = image;
    this.#strip = new CellGrid(start, length, Math.max(1, Math.ceil(length / STRIP_CELLS)));
    this.#grid = new CellGrid(start, length, cellBytesFor(length, GRID_COLUMNS * GRID_ROWS));
    const size = { columnCount: PLOT_COLUMNS, rowCount: PLOT_ROWS };
    this.#plot = new PlotGrid({ start, length, fileSize: image.fileSize }, size);
  }

  add(run: MapRun): void {
    this.#strip.add(run);
    this.#grid.add(run);
    this.#plot.add(run);
  }

  /** The picture as the text of an SVG file. */
  text(figures: MapFigures, fill: PartFill, problem: MapProblem | undefined): string {
    const image = this.#image;
    const sections = [
      header(image),
      ...(problem === undefined ? [] : [alarm(figures, problem)]),
      tiles(image, figures),
    ];
    if (image.length > 0) {
      sections.push(
        stripSection(this.#strip, fill, image),
        gridSection(this.#grid, figures.parentBytes > 0, figures.unknownBytes > 0),
        plotSection(this.#plot, image, figures),
      );
    }
    return documentOf(image, sections);
  }
}

function documentOf(image: MappedImage, sections: readonly Section[]): string {
  let y = MARGIN + 14;
  let body = '';
  for (const section of sections) {
    body += `\n${tag('g', { transform: `translate(${MARGIN} ${y})` }, section.body)}`;
    y += section.height + SECTION_GAP;
  }
  const [width, height] = [INNER_WIDTH + 2 * MARGIN, y - SECTION_GAP + MARGIN];
  const title = tag('title', {}, xmlText(`Map of ${basename(image.path)}`));
  const hatch =
    tag('rect', { class: 'alarm-bg', width: 6, height: 6 }) +
    tag('path', { class: 'hatch', d: 'M-1 7L7 -1M-1 1L1 -1M5 7L7 5' });
  const pattern = tag('pattern', { id: 'vhd-map-unknown', width: 6, height: 6, patternUnits: 'userSpaceOnUse' }, hatch);
  const head = `\n${title}\n${tag('style', {}, STYLE_SHEET)}\n${tag('defs', {}, pattern)}`;
  const ground = `\n${tag('rect', { class: 'bg', width, height })}`;
  const size = { width, height, viewBox: `0 0 ${width} ${Math.round(height)}` };
  const root = { xmlns: 'http://www.w3.org/2000/svg', class: ROOT_CLASS, ...size, role: 'img' };
  return `<?xml version="1.0" encoding="UTF-8"?>\n${tag('svg', root, `${head}${ground}${body}\n`)}\n`;
}

function header(image: MappedImage): Section {
  const { type, virtualSize, fileSize, start, length } = image;
  const kind = type === 'raw' ? 'raw image' : `${type} VHD`;
  const words = [kind, `${formatBytes(virtualSize)} virtual`, `${formatBytes(fileSize)} file`];
  if (length !== virtualSize) words.push(`shown: ${formatBytes(length)} from ${formatBytes(start)} on`);
  const title = textLine(basename(image.path), { class: 'title', x: 0, y: 4 }, { font: 22, maxWidth: INNER_WIDTH });
  return { height: 26, body: title + label(words.join(' · '), { class: 'muted', x: 0, y: 26 }) };
}

function alarm({ unknownBytes }: MapFigures, problem: MapProblem): Section {
  const words = `${formatBytes(unknownBytes)} cannot be told, the image is damaged: ${problem.message}`;
  const lines = wrapText(words, { font: 12, maxWidth: INNER_WIDTH - 28 }, 3);
  const height = 12 + 16 * lines.length;
  const ground = tag('rect', { class: 'alarm-bg', x: 0, y: -18, width: INNER_WIDTH, height, rx: 4 });
  const edge = tag('rect', { class: 'alarm', x: 0, y: -18, width: 4, height });
  const text = lines.map((line, index) => label(line, { x: 14, y: 16 * index }));
  return { height: height - 20, body: ground + edge + text.join('') };
}

/** The figures, side by side. */
function tiles(image: MappedImage, figures: MapFigures): Section {
  const { length } = image;
  const { dataBytes, zeroBytes, unknownBytes, parentBytes, storedZeroBytes, dataRunCount, fragmentCount } = figures;
  const ofIt = (bytes: number): string => `${share(bytes, length)} of ${formatBytes(length)}`;
  const shown: (readonly [name: string, value: string, note: string])[] = [
    ['data', formatBytes(dataBytes), parentBytes > 0 ? `${formatBytes(parentBytes)} in a parent` : ofIt(dataBytes)],
    ['zero', formatBytes(zeroBytes), storedZeroBytes > 0 ? `${formatBytes(storedZeroBytes)} stored` : ofIt(zeroBytes)],
  ];
  if (unknownBytes > 0) shown.push(['not known', formatBytes(unknownBytes), ofIt(unknownBytes)]);
  const meanRun = dataRunCount === 0 ? 0 : Math.round((dataBytes - parentBytes) / dataRunCount);
  const meanFragment = fragmentCount === 0 ? 0 : Math.round((dataBytes - parentBytes) / fragmentCount);
  shown.push(
    ['runs of data', String(dataRunCount), `mean ${formatBytes(meanRun)}`],
    ['fragments in the file', String(fragmentCount), `mean ${formatBytes(meanFragment)}`],
    ['out of order', String(figures.backwardCount), 'go back in the file'],
  );
  const width = INNER_WIDTH / shown.length;
  const body = shown.map(([name, value, note], index) => {
    const x = index * width;
    const line = index === 0 ? '' : tag('path', { class: 'line', d: `M${(x - 14).toFixed(1)} -10v52` });
    return (
      line +
      label(name, { class: 'muted', x, y: 0 }) +
      label(value, { class: 'value', x, y: 22 }) +
      textLine(note, { class: 'muted', x, y: 40 }, { font: 12, maxWidth: width - 16 })
    );
  });
  return { height: 42, body: body.join('') };
}

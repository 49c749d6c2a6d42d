// The bar chart of a benchmark, drawn by echarts (Apache-2.0). In a file of its own of the built command, which is loaded
// when there is something to draw.
import type { CustomSeriesRenderItem } from 'echarts';
import { BarChart, CustomChart } from 'echarts/charts';
import { GridComponent, LegendComponent, TitleComponent } from 'echarts/components';
import * as echarts from 'echarts/core';
import { SVGRenderer } from 'echarts/renderers';
import type { Spread } from '../src/ops/bench-report.ts';

/** What is drawn. */
export interface Chart {
  readonly title: string;
  /** Lines under the title: the unit, the date, the machine. */
  readonly subtitle: readonly string[];
  /** The bars of a panel, in order. */
  readonly series: readonly Series[];
  /** One panel a workload, each with a scale of its own. */
  readonly panels: readonly Panel[];
}

/** A kind of bar. */
export interface Series {
  readonly name: string;
  readonly colour: string;
}

/** The bars of one workload. */
export interface Panel {
  readonly name: string;
  /** A value a series; undefined leaves the bar out. */
  readonly values: readonly (Spread | undefined)[];
}

const TEXT = '#1f2328';
const MUTED = '#57606a';
const LINE = '#d0d7de';
// Without quotation marks: echarts puts them into an attribute as they are.
const FONT = 'system-ui, -apple-system, Segoe UI, Roboto, Noto Sans, sans-serif';
const STYLE_SHEET = /<style ?><!\[CDATA\[[^\]]*\]\]>\s*<\/style>\s*/;
const BAR_GAPS = { barGap: '12%', barCategoryGap: '14%' };
const WIDTH = 960;
const COLUMNS = 3;
const PANEL = { width: 260, height: 150, left: 45, gapX: 50, gapY: 70 };

echarts.use([BarChart, CustomChart, GridComponent, LegendComponent, TitleComponent, SVGRenderer]);

/** The chart as an SVG file, on a white ground: readable wherever it is shown. */
export function drawChart(chart: Chart): string {
  const top = 110 + 16 * chart.subtitle.length;
  const rows = Math.ceil(chart.panels.length / COLUMNS);
  const height = top + rows * (PANEL.height + PANEL.gapY) - PANEL.gapY + 25;
  const drawing = echarts.init(null, null, { renderer: 'svg', ssr: true, width: WIDTH, height });
  try {
    drawing.setOption(optionsOf(chart, top));
    // The style sheet at the end is for what happens under a pointer, and a picture in a page has none.
    return `${drawing.renderToSVGString().replace(STYLE_SHEET, '')}\n`;
  } finally {
    drawing.dispose();
  }
}

function optionsOf(chart: Chart, top: number): echarts.EChartsCoreOption {
  const boxes = chart.panels.map((_, index) => ({
    left: PANEL.left + (index % COLUMNS) * (PANEL.width + PANEL.gapX),
    top: top + Math.floor(index / COLUMNS) * (PANEL.height + PANEL.gapY),
    ...{ width: PANEL.width, height: PANEL.height },
  }));
  return {
    animation: false,
    backgroundColor: '#ffffff',
    textStyle: { fontFamily: FONT },
    title: [headline(chart), ...chart.panels.map(({ name }, index) => panelTitle(name, boxes[index]))],
    legend: {
      ...{ data: chart.series.map(({ name }) => name), left: 8, top: 44 + 16 * chart.subtitle.length, itemGap: 24 },
      ...{ itemWidth: 14, textStyle: { color: TEXT } },
    },
    grid: boxes,
    xAxis: chart.panels.map((_, gridIndex) => ({
      ...{ gridIndex, type: 'category', data: [''] },
      ...{ axisTick: { show: false }, axisLine: { lineStyle: { color: LINE } } },
    })),
    yAxis: chart.panels.map((_, gridIndex) => ({
      ...{ gridIndex, type: 'value', min: 0, splitNumber: 4, boundaryGap: [0, '10%'] },
      ...{ axisLabel: { color: MUTED, fontSize: 11 }, splitLine: { lineStyle: { color: '#eaeef2' } } },
    })),
    series: chart.panels.flatMap((panel, index) => barsOf(chart.series, panel, index)),
  };
}

function headline({ title, subtitle }: Chart): object {
  return {
    ...{ text: title, subtext: subtitle.join('\n'), left: 8, top: 6, itemGap: 8 },
    textStyle: { color: TEXT, fontSize: 18, fontWeight: 600 },
    subtextStyle: { color: MUTED, fontSize: 12, lineHeight: 16 },
  };
}

function panelTitle(name: string, box: { left: number; top: number } | undefined): object {
  const { left = 0, top = 0 } = box ?? {};
  return {
    ...{ text: name, left: left - 5, top: top - 32, padding: 5 },
    textStyle: { color: TEXT, fontSize: 12, fontWeight: 600, width: PANEL.width, overflow: 'truncate' },
  };
}

/** Bars of medians; every series takes part in every panel, so that each keeps its place. */
function barsOf(series: readonly Series[], panel: Panel, axis: number): object[] {
  const place = { xAxisIndex: axis, yAxisIndex: axis };
  const bars = series.map(({ name, colour }, index) => ({
    ...{ name, type: 'bar', ...place, ...BAR_GAPS, itemStyle: { color: colour } },
    data: [panel.values[index]?.median ?? null],
  }));
  const spreads = panel.values.flatMap((value, index) =>
    value === undefined ? [] : [[0, value.max, value.min, index, value.median]],
  );
  const whisker = whiskerFor(series.length);
  return [...bars, { type: 'custom', ...place, renderItem: whisker, encode: { x: 0, y: [1, 2] }, data: spreads, z: 3 }];
}

/** A line from the slowest to the fastest run of a bar, and its median above that. */
function whiskerFor(count: number): CustomSeriesRenderItem {
  return (_, api) => {
    const [fastest = 0, slowest = 0, index = 0, median = 0] = [1, 2, 3, 4].map((it) => Number(api.value(it)));
    const [middle = 0, top = 0] = api.coord([0, fastest]);
    const [, bottom = 0] = api.coord([0, slowest]);
    const x = middle + (api.barLayout({ ...BAR_GAPS, count })?.[index]?.offsetCenter ?? 0);
    const style = {
      text: figure(median),
      x,
      y: top - 3,
      fill: TEXT,
      align: 'center',
      verticalAlign: 'bottom',
    } as const;
    return {
      type: 'group',
      children: [
        { type: 'line', shape: { x1: x, y1: top, x2: x, y2: bottom }, style: { stroke: TEXT, lineWidth: 1 } },
        { type: 'text', style: { ...style, fontSize: 11 } },
      ],
    };
  };
}

function figure(value: number): string {
  return value >= 10 ? value.toFixed(0) : value.toPrecision(2);
}

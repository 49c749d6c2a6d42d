import type { BenchReport, BenchResult, BenchTarget, Spread } from '../src/ops/bench-report.ts';
import type { Chart } from './bench-chart.ts';
import { columnTable } from './report.ts';
import { formatBytes } from './sizes.ts';

/** The targets in the order of the columns, what they are called, and their colour in pictures. */
const COLUMNS: readonly (readonly [BenchTarget, string, string])[] = [
  ['plain', 'plain file', '#8c959f'],
  ['fixed', 'fixed', '#56b4e9'],
  ['fixedPreallocated', 'preallocated', '#a8d8f5'],
  ['dynamic', 'dynamic', '#0072b2'],
  ['qemuFixed', 'qemu fixed', '#f0b95c'],
  ['qemuDynamic', 'qemu dynamic', '#d55e00'],
];

/** A benchmark for people: where, how, the rates, the processor time. */
export function benchText(report: BenchReport): string {
  const { machine, results, peakMemory, qemu } = report;
  const { processors, memory, system, node, fileSystem } = machine;
  const on = fileSystem === undefined ? '' : `, on ${fileSystem}`;
  const where = `${processors}, ${formatBytes(memory)}, ${system}, Node ${node}${on}`;
  const columns = columnsOf(results);
  const ratios = ['dyn/fixed', 'dyn/plain', ...(qemu === undefined ? [] : ['dyn/qemu dyn'])];
  const rates = [
    ['workload', ...columns.map(([, name]) => name), ...ratios],
    ...results.map((it) => rateRow(it, report)),
  ];
  const ours = columns.filter(([target]) => results.some(({ cpuSeconds }) => cpuSeconds[target] !== undefined));
  const seconds = [['CPU seconds', ...ours.map(([, name]) => name)], ...results.map((result) => cpuRow(result, ours))];
  const tail = `peak memory ${formatBytes(peakMemory)}${qemu === undefined ? '' : `; ${qemu}, start included`}`;
  return `${where}\n${how(report)}\n\n${columnTable(rates)}\n${columnTable(seconds)}\n${tail}\n`;
}

function how({ rounds, diskBytes, sequentialBytes }: BenchReport): string {
  const times = `MiB/s, median (min-max) of ${rounds} round${rounds === 1 ? '' : 's'}, disks of ${formatBytes(diskBytes)}`;
  const part = sequentialBytes < diskBytes ? `; in a row their first ${formatBytes(sequentialBytes)}` : '';
  return `${times}, flush included${part}`;
}

/** The targets that were measured, in order. */
function columnsOf(results: readonly BenchResult[]): typeof COLUMNS {
  return COLUMNS.filter(([target]) => results.some((result) => result[target] !== undefined));
}

function rateRow(result: BenchResult, { results, qemu }: BenchReport): string[] {
  const { dynamicToFixed, dynamicToPlain, dynamicToQemuDynamic } = result;
  const rates = columnsOf(results).map(([target]) => spreadText(result[target]));
  const ratios = [dynamicToFixed, dynamicToPlain, ...(qemu === undefined ? [] : [dynamicToQemuDynamic])];
  return [rowName(result), ...rates, ...ratios.map(ratioText)];
}

function cpuRow(result: BenchResult, columns: typeof COLUMNS): string[] {
  return [rowName(result), ...columns.map(([target]) => result.cpuSeconds[target]?.toFixed(2) ?? '')];
}

function rowName({ workload, fresh }: BenchResult): string {
  if (workload.startsWith('read-')) return workload;
  return `${workload} ${fresh ? 'fresh' : 'again'}`;
}

function spreadText(spread: Spread | undefined): string {
  if (spread === undefined) return '-';
  const { median, min, max } = spread;
  return `${median.toFixed(0)} (${min.toFixed(0)}-${max.toFixed(0)})`;
}

function ratioText(ratio: number | undefined): string {
  return ratio === undefined ? '-' : `${ratio.toFixed(2)} x`;
}

/** What to draw of a benchmark. */
export function benchChart(report: BenchReport): Chart {
  const { machine, rounds, diskBytes, measuredAt, qemu, results } = report;
  const columns = columnsOf(results);
  const { processors, node, fileSystem } = machine;
  const where = [
    processors,
    ...(fileSystem === undefined ? [] : [fileSystem]),
    `Node ${node}`,
    ...(qemu === undefined ? [] : [qemu]),
  ];
  return {
    title: 'vhd bench: MiB/s, more is better',
    subtitle: [
      `medians of ${rounds} round${rounds === 1 ? '' : 's'}, disks of ${formatBytes(diskBytes)}, flush included, lines from slowest to fastest; ${measuredAt.slice(0, 10)}`,
      where.join(', '),
    ],
    series: columns.map(([, name, colour]) => ({ name, colour })),
    panels: results.map((result) => ({ name: panelName(result), values: columns.map(([target]) => result[target]) })),
  };
}

const WORDS: Readonly<Record<BenchResult['workload'], string>> = {
  'seq-1m': 'write 1 MiB in a row',
  'seq-4k': 'write 4 KiB in a row',
  'rand-4k': 'write 4 KiB anywhere',
  'read-seq': 'read 1 MiB in a row',
  'read-rand-4k': 'read 4 KiB anywhere',
};

function panelName({ workload, fresh }: BenchResult): string {
  const name = WORDS[workload];
  if (workload.startsWith('read-')) return name;
  return `${name}, ${fresh ? 'fresh' : 'again'}`;
}

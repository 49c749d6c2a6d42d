// The figures as text, as Markdown for the README, and as a picture.
import type { Chart } from '../../bin/bench-chart.ts';
import { columnTable } from '../../bin/report.ts';
import type { BenchMachine } from '../../src/ops/bench-report.ts';
import type { Comparison, Measured, Verdict } from './compare.ts';
import type { CommandComparison } from './converts.ts';
import type { Counts } from './counts.ts';
import type { Timing } from './interleave.ts';
import { WRITE_LIMITS } from './write-calls.ts';

/** Everything that one call of the script measured; the shape of `--json`. */
export interface BenchRun {
  readonly schema: 'vhdkit/bench-run/1';
  readonly measuredAt: string;
  readonly machine: BenchMachine;
  readonly qemu: string | undefined;
  readonly rounds: number;
  readonly comparisons: readonly Comparison[];
  readonly conversions: readonly CommandComparison[];
  readonly writeCalls: { readonly ours: Counts; readonly qemu: Counts | undefined } | undefined;
}

const MIB = 1024 * 1024;
const HEAD = [
  '',
  'seconds',
  'MiB/s',
  'CPU s',
  'peak MiB',
  'calls',
  'writes',
  'batches',
  'reads',
  'barriers',
  'I/O calls/MiB',
];

/** A scenario for people: a row a target, and what is asked of the ratios. */
export function comparisonText({ title, rounds, targets, verdicts }: Comparison): string {
  const rows = targets.map((target) => [target.name, ...cells(target)]);
  const asked = verdicts.map((verdict) => `  dynamic against ${verdict.against}: ${verdictText(verdict)}\n`);
  return `${title} (${rounds} rounds)\n${columnTable([HEAD, ...rows])}${asked.join('')}\n`;
}

function cells({ seconds, median, byteLength, cpuSeconds, peakMemory, counts }: Measured): string[] {
  const range = `${Math.min(...seconds).toFixed(3)}-${Math.max(...seconds).toFixed(3)}`;
  const callsOf = (counted: Counts): number[] => [
    counted.calls,
    counted.writes,
    counted.batches,
    counted.reads,
    counted.barriers,
  ];
  const perMebibyte = (counted: Counts): string => {
    return ((counted.writes + counted.batches + counted.reads + counted.barriers) / (byteLength / MIB)).toFixed(2);
  };
  return [
    `${median.toFixed(3)} (${range})`,
    (byteLength / MIB / median).toFixed(0),
    cpuSeconds?.toFixed(2) ?? '-',
    peakMemory === undefined ? '-' : (peakMemory / MIB).toFixed(0),
    ...(counts === undefined ? ['-', '-', '-', '-', '-', '-'] : [...callsOf(counts).map(String), perMebibyte(counts)]),
  ];
}

function verdictText({ ratio, asked }: Verdict): string {
  const figure = `${ratio.toFixed(2)} x`;
  return asked === undefined ? figure : `${figure}, asked ${asked.toFixed(2)}: ${ratio >= asked ? 'met' : 'missed'}`;
}

/** Whole commands for people: a line each, and the ratio to the last. */
export function conversionText({ title, timings }: CommandComparison): string {
  const rows = timings.map((timing) => {
    const range = `(${Math.min(...timing.seconds).toFixed(3)}-${Math.max(...timing.seconds).toFixed(3)})`;
    return [`  ${timing.name}`, `${timing.median.toFixed(3)} s`, range, `${toLast(timing, timings).toFixed(2)} x`];
  });
  return `${title}\n${columnTable(rows)}\n`;
}

function toLast(timing: Timing, timings: readonly Timing[]): number {
  return timing.median / (timings.at(-1)?.median ?? Number.NaN);
}

/** How many calls `vhd write` makes, for people. */
export function writeCallsText({ ours, qemu }: NonNullable<BenchRun['writeCalls']>): string {
  const row = (name: string, { calls, writes, batches, barriers }: Counts): string[] => {
    return [name, ...[calls, writes, batches, barriers].map(String)];
  };
  const isMet = ours.writes <= WRITE_LIMITS.writes && ours.barriers <= WRITE_LIMITS.barriers;
  const rows = [['', 'calls', 'writes', 'batches', 'barriers'], row('vhd write', ours)];
  if (qemu !== undefined) rows.push(row('qemu-img bench', qemu));
  const asked = `asked at most ${WRITE_LIMITS.writes} writes and ${WRITE_LIMITS.barriers} barriers`;
  return `256 MiB into a fresh dynamic disk\n${columnTable(rows)}  ${asked}: ${isMet ? 'met' : 'missed'}\n\n`;
}

/** The tables of the README. */
export function markdown(run: BenchRun): string {
  const { comparisons, conversions, writeCalls, machine, measuredAt, rounds, qemu } = run;
  const { processors, fileSystem = 'an unknown file system', node } = machine;
  const against = qemu === undefined ? '' : `, ${qemu}`;
  const where = `${processors}, ${fileSystem}, Node ${node}${against}, medians of ${rounds} rounds, ${measuredAt.slice(0, 10)}`;
  const parts = [
    where,
    comparisons.length === 0 ? '' : table(COMPARISON_HEAD, comparisons.map(comparisonRow)),
    comparisons.some(({ targets }) => targets.some(({ counts }) => counts !== undefined)) ? countsTable(run) : '',
    conversions.length === 0 ? '' : table(CONVERSION_HEAD, conversions.flatMap(conversionRows)),
    writeCalls === undefined ? '' : writeCallsText(writeCalls).trim(),
  ];
  return `${parts.filter((part) => part !== '').join('\n\n')}\n`;
}

const RATIO_TARGETS = ['plain', 'fixed', 'qemu-fixed', 'qemu-dynamic'] as const;
const COMPARISON_HEAD = [
  'MiB/s',
  'plain file',
  'fixed',
  'dynamic',
  'qemu fixed',
  'qemu dynamic',
  'dynamic against these',
];
const CONVERSION_HEAD = ['command', 'vhd', 'qemu-img', 'ratio'];

function comparisonRow({ title, targets, verdicts }: Comparison): string[] {
  const rate = (name: string): string => {
    const target = targets.find((each) => each.name === name);
    return target === undefined ? '' : (target.byteLength / MIB / target.median).toFixed(0);
  };
  const dynamic = targets.find(({ name }) => name === 'dynamic')?.median ?? Number.NaN;
  const ratios = RATIO_TARGETS.flatMap((name) => {
    const target = targets.find((each) => each.name === name);
    if (target === undefined) return [];
    const asked = verdicts.find(({ against }) => against === name)?.asked;
    const ratio = (target.median / dynamic).toFixed(2);
    return [asked === undefined ? `${name} ${ratio}` : `${name} ${ratio} (≥ ${asked})`];
  });
  return [title, ...['plain', 'fixed', 'dynamic', 'qemu-fixed', 'qemu-dynamic'].map(rate), ratios.join(', ')];
}

function countsTable({ comparisons }: BenchRun): string {
  const rows = comparisons.flatMap(({ title, targets }) =>
    targets
      .filter(({ name, counts }) => counts !== undefined && name !== 'plain' && name !== 'fixed')
      .map((target) => {
        const [, , cpu = '', peak = '', , writes = '', batches = '', reads = '', barriers = '', perMebibyte = ''] =
          cells(target);
        return [title, target.name, cpu, peak, writes, batches, reads, barriers, perMebibyte];
      }),
  );
  return table(['', '', 'CPU s', 'peak MiB', 'writes', 'batches', 'reads', 'barriers', 'calls a MiB'], rows);
}

function conversionRows({ title, timings }: CommandComparison): string[][] {
  if (timings.at(-1)?.name !== 'qemu-img') {
    return timings.slice(0, -1).map((timing) => [timing.name, '', '', toLast(timing, timings).toFixed(2)]);
  }
  return [[title, ...timings.map(({ median }) => `${median.toFixed(2)} s`), toLast(timings[0]!, timings).toFixed(2)]];
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cellsOfLine: readonly string[]): string => `| ${cellsOfLine.join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}

const SERIES = [
  ['plain', 'plain file', '#8c959f'],
  ['fixed', 'fixed', '#56b4e9'],
  ['dynamic', 'dynamic', '#0072b2'],
  ['qemu-fixed', 'qemu-img bench, fixed', '#f0b95c'],
  ['qemu-dynamic', 'qemu-img bench, dynamic', '#d55e00'],
] as const;

/** What to draw. */
export function chartOf({ comparisons, machine, measuredAt, rounds, qemu }: BenchRun): Chart {
  const valueOf = (targets: readonly Measured[], name: string): Chart['panels'][number]['values'][number] => {
    const target = targets.find((each) => each.name === name);
    if (target === undefined) return undefined;
    const rates = target.seconds.map((seconds) => target.byteLength / MIB / seconds);
    return { median: target.byteLength / MIB / target.median, min: Math.min(...rates), max: Math.max(...rates) };
  };
  const where = [machine.processors, machine.fileSystem, `Node ${machine.node}`, qemu];
  return {
    title: 'Virtual disks: MiB/s of whole processes, more is better',
    subtitle: [
      `medians of ${rounds} rounds, lines from slowest to fastest, start and last flush included; ${measuredAt.slice(0, 10)}`,
      where.filter((part) => part !== undefined).join(', '),
    ],
    series: SERIES.map(([, name, colour]) => ({ name, colour })),
    panels: comparisons.map(({ title, targets }) => ({
      name: title,
      values: SERIES.map(([name]) => valueOf(targets, name)),
    })),
  };
}

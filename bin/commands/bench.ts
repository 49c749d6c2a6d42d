import type { Command } from 'commander';
import { runBench } from '../../src/ops/bench.ts';
import type { BenchReport } from '../../src/ops/bench-report.ts';
import { benchChart, benchText } from '../bench-text.ts';
import { UsageError } from '../errors.ts';
import { addExamples, addLongFlags, type LongFlags } from '../flags.ts';
import { ProgressDisplay } from '../progress.ts';
import { jsonText } from '../report.ts';
import type { Session } from '../session.ts';
import { parseDiskSize } from '../sizes.ts';
import { openTextTarget } from '../text-target.ts';

interface Flags extends LongFlags {
  readonly size?: number | undefined;
  readonly rounds?: number | undefined;
  readonly qemu?: boolean | undefined;
  readonly svg?: string | undefined;
  readonly force?: boolean | undefined;
}

/** Declares `bench [DIR]`. */
export function declare(command: Command, session: Session): void {
  command
    .argument('[dir]', 'where the test files go; they are removed', '.')
    .option('--size <size>', 'size of the test disks (default: 256M, at least 16M)', parseTestSize)
    .option('--rounds <n>', 'rounds, of which the median counts (default: 5)', parseRounds)
    .option('--qemu', 'measure qemu-img bench too, on images of its own')
    .option('--svg <file>', 'draw it into an SVG file; - is standard output')
    .option('--force', 'replace a file that exists');
  addExamples(
    addLongFlags(command),
    'vhd bench /dev/shm --size 16M --rounds 1',
    'vhd bench /dev/shm --size 16M --rounds 1 --qemu --svg bench.svg',
  );
  command.action((directory: string, flags: Flags) => bench(session, directory, flags));
}

async function bench(session: Session, directory: string, flags: Flags): Promise<void> {
  const { svg, force = false } = flags;
  session.files = { input: directory, output: svg };
  if (svg === '-' && session.isJson) {
    throw new UsageError(
      '--svg - and --json both go to standard output: expected one of them, found both',
      'draw into a file: --svg FILE',
    );
  }
  const target = svg === undefined ? undefined : await openTextTarget(session, svg, { force });
  try {
    // What fails from here on is about the test files, until the picture is written.
    session.files = { input: directory, output: directory };
    const report = await measure(session, directory, flags);
    if (svg !== '-') await session.print(session.isJson ? jsonText('bench', report) : benchText(report));
    session.files = { input: directory, output: svg };
    await target?.write(await chartText(report));
    await target?.finish();
  } catch (error) {
    await target?.discard();
    throw error;
  }
}

async function chartText(report: BenchReport): Promise<string> {
  // Loaded when it is needed: the library that draws is larger than everything else together.
  const { drawChart } = await import('../bench-chart.ts');
  return drawChart(benchChart(report));
}

async function measure(session: Session, directory: string, flags: Flags): Promise<BenchReport> {
  const progress = new ProgressDisplay(session, flags);
  const { size: sizeBytes, rounds, qemu } = flags;
  const { signal } = session.io;
  try {
    const report = await runBench({ directory, sizeBytes, rounds, qemu, onProgress: progress.listener, signal });
    progress.clear();
    if (qemu === true && report.qemu === undefined) await session.warn('qemu-img not found: it was not measured');
    return report;
  } finally {
    progress.clear();
  }
}

function parseTestSize(text: string): number {
  const bytes = parseDiskSize(text, '--size');
  if (bytes >= 16 * 1024 ** 2) return bytes;
  throw new UsageError(
    `--size: expected 16M or more, found '${text}'`,
    'smaller disks measure the calls, not the disk',
  );
}

function parseRounds(text: string): number {
  const rounds = /^\d{1,4}$/.test(text) ? Number(text) : 0;
  if (rounds >= 1) return rounds;
  throw new UsageError(`--rounds: expected a whole number from 1 to 9999, found '${text}'`);
}

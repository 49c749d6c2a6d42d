import type { Command } from 'commander';
import { type BenchReport, type BenchResult, runBench, type Spread } from '../../src/ops/bench.ts';
import { UsageError } from '../errors.ts';
import { addExamples, addLongFlags, type LongFlags } from '../flags.ts';
import { ProgressDisplay } from '../progress.ts';
import { columnTable, jsonText } from '../report.ts';
import type { Session } from '../session.ts';
import { formatBytes, parseDiskSize } from '../sizes.ts';

interface Flags extends LongFlags {
  readonly size?: number | undefined;
  readonly rounds?: number | undefined;
}

/** Declares `bench [DIR]`. */
export function declare(command: Command, session: Session): void {
  command
    .argument('[dir]', 'where the test files go; they are removed', '.')
    .option('--size <size>', 'size of the test disks (default: 256M, at least 16M)', parseTestSize)
    .option('--rounds <n>', 'rounds, of which the median counts (default: 5)', parseRounds);
  addExamples(addLongFlags(command), 'vhd bench /dev/shm --size 16M --rounds 1');
  command.action((directory: string, flags: Flags) => bench(session, directory, flags));
}

async function bench(session: Session, directory: string, flags: Flags): Promise<void> {
  session.files = { input: directory, output: directory };
  const progress = new ProgressDisplay(session, flags);
  let report: BenchReport;
  try {
    const { size: sizeBytes, rounds } = flags;
    report = await runBench({ directory, sizeBytes, rounds, onProgress: progress.listener, signal: session.io.signal });
  } finally {
    progress.clear();
  }
  await session.print(session.isJson ? jsonText('bench', report) : benchText(report));
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

function benchText({ machine, rounds, diskBytes, results }: BenchReport): string {
  const { processors, memory, system, node } = machine;
  const where = `${processors}, ${formatBytes(memory)}, ${system}, Node ${node}`;
  const what = `MiB/s, median (min-max) of ${rounds} round${rounds === 1 ? '' : 's'}, disks of ${formatBytes(diskBytes)}, flush included`;
  const head = ['workload', 'plain file', 'fixed', 'preallocated', 'dynamic', 'dyn/fixed', 'dyn/plain'];
  return `${where}\n${what}\n\n${columnTable([head, ...results.map(benchRow)])}`;
}

function benchRow(result: BenchResult): string[] {
  const { workload, fresh, plain, fixed, fixedPreallocated, dynamic, dynamicToFixed, dynamicToPlain } = result;
  const rates = [plain, fixed, fixedPreallocated, dynamic].map(spreadText);
  return [`${workload} ${fresh ? 'fresh' : 'again'}`, ...rates, ratioText(dynamicToFixed), ratioText(dynamicToPlain)];
}

function spreadText({ median, min, max }: Spread): string {
  return `${median.toFixed(0)} (${min.toFixed(0)}-${max.toFixed(0)})`;
}

function ratioText(ratio: number): string {
  return `${ratio.toFixed(2)} x`;
}

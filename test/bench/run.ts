/**
 * `npm run bench -- [DIR] [ROUNDS]`: whole processes, ours against a plain file and qemu-img, with the same bytes, in turn.
 * DIR decides the file system (default: /dev/shm where there is one). On a disk the outputs of our conversions are durable
 * when the command ends and qemu-img's are not. Options: `--only NAME` (again and again: a scenario, `convert` or
 * `write-calls`), `--json FILE`, `--svg FILE`, `--markdown` (the tables of the README, at the end),
 * `--from FILE` (again and again: what `--json` kept is shown together, and nothing measured).
 */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { drawChart } from '../../bin/bench-chart.ts';
import { qemuVersion } from '../../src/ops/bench-qemu.ts';
import { describeMachine } from '../../src/ops/bench-report.ts';
import { findProgram } from '../support/peers.ts';
import { readWords, refuse } from '../support/words.ts';
import { type Comparison, compare } from './compare.ts';
import { type CommandComparison, compareConversions } from './converts.ts';
import { Programs } from './programs.ts';
import { SCENARIOS } from './scenarios.ts';
import { type BenchRun, chartOf, comparisonText, conversionText, markdown, writeCallsText } from './tables.ts';
import { countWriteCalls } from './write-calls.ts';

const names = [...SCENARIOS.map(({ id }) => id), 'write-calls', 'convert'];
const HELP = `npm run bench -- [DIR] [ROUNDS] [--only NAME]... [--json FILE] [--svg FILE] [--markdown] [--from FILE]...
  DIR          the file system that is measured (default: /dev/shm where there is one)
  ROUNDS       default 15
  --only NAME  ${names.join(', ')}
  --json FILE  keeps the figures
  --svg FILE   draws them
  --markdown   prints them as tables of Markdown, at the end
  --from FILE  shows what --json kept, and measures nothing`;

const { values: flags, positionals } = readWords(HELP, {
  allowPositionals: true,
  options: {
    only: { type: 'string', multiple: true, default: [] },
    json: { type: 'string' },
    svg: { type: 'string' },
    markdown: { type: 'boolean', default: false },
    from: { type: 'string', multiple: true, default: [] },
  },
});
const [base = existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), roundsText = '15'] = positionals;
const rounds = Number(roundsText);
const unknown = flags.only.filter((name) => !names.includes(name));
if (unknown.length > 0) refuse(HELP, `--only: expected ${names.join(', ')}, found ${unknown.join(', ')}`);
if (!Number.isInteger(rounds) || rounds < 1) refuse(HELP, `ROUNDS: expected a whole number, found ${roundsText}`);
if (!existsSync(base)) refuse(HELP, `DIR: expected a directory that is there, found ${base}`);

function isWanted(name: string): boolean {
  return flags.only.length === 0 || flags.only.includes(name);
}

async function measure(directory: string): Promise<BenchRun> {
  const measuredAt = new Date().toISOString();
  const machine = await describeMachine(directory);
  const qemu = await qemuVersion(undefined);
  const programs = await Programs.build(directory);
  const place = { programs, directory, rounds, isMemory: machine.fileSystem === 'tmpfs' };
  const comparisons: Comparison[] = [];
  for (const scenario of SCENARIOS.filter(({ id }) => isWanted(id))) {
    const comparison = compare(scenario, place);
    process.stdout.write(comparisonText(comparison));
    comparisons.push(comparison);
  }
  const writeCalls = isWanted('write-calls') ? countWriteCalls(programs) : undefined;
  if (writeCalls !== undefined) process.stdout.write(writeCallsText(writeCalls));
  const conversions: CommandComparison[] = [];
  for (const conversion of isWanted('convert') && findProgram('qemu-img') ? compareConversions(place) : []) {
    process.stdout.write(conversionText(conversion));
    conversions.push(conversion);
  }
  return { schema: 'vhdkit/bench-run/1', measuredAt, machine, qemu, rounds, comparisons, conversions, writeCalls };
}

/** Runs that were measured in parts, as one. */
function together(runs: readonly BenchRun[]): BenchRun {
  const [first, ...others] = runs;
  if (first === undefined) throw new Error('expected a file after --from');
  const order = SCENARIOS.map(({ id }) => id);
  return others.reduce((whole, part) => {
    const comparisons = [...whole.comparisons, ...part.comparisons];
    comparisons.sort((a, b) => order.indexOf(a.id) - order.indexOf(b.id));
    const conversions = [...whole.conversions, ...part.conversions];
    const rounds = Math.min(whole.rounds, part.rounds);
    return { ...whole, rounds, comparisons, conversions, writeCalls: whole.writeCalls ?? part.writeCalls };
  }, first);
}

async function measureIn(base: string): Promise<BenchRun> {
  const directory = mkdtempSync(join(resolve(base), 'vhdkit-bench-'));
  try {
    return await measure(directory);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

const kept = flags.from.map((file) => JSON.parse(readFileSync(file, 'utf8')) as BenchRun);
const result = kept.length > 0 ? together(kept) : await measureIn(base);
if (flags.json !== undefined) writeFileSync(flags.json, `${JSON.stringify(result, undefined, 2)}\n`);
if (flags.svg !== undefined) writeFileSync(flags.svg, drawChart(chartOf(result)));
if (flags.markdown) process.stdout.write(markdown(result));

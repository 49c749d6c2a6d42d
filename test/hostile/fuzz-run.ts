/**
 * `npm run test:fuzz -- [--seed S] [--cases N] [--case K] [--only made|real]`: as many mutations as wanted of images made
 * here and, where the corpus is, of real ones. A failure is told with what runs it again, and the exit code is 1.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { corpusImages, unpackCorpus } from '../support/corpus.ts';
import { type CaseResult, describeFailure, runCase } from '../support/fuzz.ts';
import { corpusSeeds, generatedSeeds, type Seed } from '../support/fuzz-seeds.ts';
import { readWords, refuse } from '../support/words.ts';

const HELP = `npm run test:fuzz -- [--seed S] [--cases N] [--case K] [--only made|real]
  --seed S   the seed of the run (default: of the clock)
  --cases N  how many mutations (default 100000)
  --case K   only the case of this number
  --only W   mutate only images made here, or only real ones (default: both)`;

/** Memory that all of it may take, in bytes. */
const MAX_RSS_BYTES = 256 * 1024 * 1024;
/** Memory from which on what is not needed any more is given back at once (`--expose-gc`). */
const TIDY_RSS_BYTES = 176 * 1024 * 1024;
const MAX_FAILURES = 10;
/** Cases after which it is told how far it is. */
const TOLD_CASES = 10_000;

const { values } = readWords(HELP, {
  options: {
    seed: { type: 'string' },
    cases: { type: 'string', default: '100000' },
    case: { type: 'string' },
    only: { type: 'string' },
  },
});

process.exitCode = await run();

/** What came of the cases so far. */
interface Tally {
  readonly counts: Map<string, number>;
  failureCount: number;
  slowest: number;
  largest: number;
}

async function run(): Promise<number> {
  const seed = values.seed === undefined ? Date.now() % 1_000_000_000 : wholeNumber('--seed', values.seed);
  const first = values.case === undefined ? 0 : wholeNumber('--case', values.case);
  const end = values.case === undefined ? wholeNumber('--cases', values.cases) : first + 1;
  const only = subsetOf(values.only);
  const seeds = await seedsFor(only);
  console.log(`seed ${seed}, ${seeds.length} images`);
  const tally: Tally = { counts: new Map(), failureCount: 0, slowest: 0, largest: 0 };
  for (let number = first; number < end && tally.failureCount < MAX_FAILURES; number++) {
    const result = await runCase(seeds, seed, number);
    count(tally, result);
    if (result.failure !== undefined) console.log(describeFailure(seed, number, result, only));
    if ((number + 1) % TOLD_CASES === 0) console.log(`${number + 1} cases, ${megabytes(tally.largest)} MiB at most`);
  }
  return conclude(tally);
}

function count(tally: Tally, { kind, ending, failure, milliseconds }: CaseResult): void {
  const what = `${kind} ${ending ?? 'failed'}`;
  tally.counts.set(what, (tally.counts.get(what) ?? 0) + 1);
  tally.slowest = Math.max(tally.slowest, milliseconds);
  const rss = process.memoryUsage.rss();
  tally.largest = Math.max(tally.largest, rss);
  // What the cases before left behind is none of the next one's.
  if (rss > TIDY_RSS_BYTES) globalThis.gc?.();
  if (failure !== undefined) tally.failureCount++;
}

/** Tells what came of it; the exit code. */
function conclude({ counts, failureCount, slowest, largest }: Tally): number {
  for (const [what, times] of [...counts].sort()) console.log(`${what}: ${times}`);
  console.log(`the slowest took ${Math.round(slowest)} ms; ${megabytes(largest)} MiB of memory at most`);
  if (largest > MAX_RSS_BYTES) console.log(`expected at most ${megabytes(MAX_RSS_BYTES)} MiB of memory`);
  return failureCount > 0 || largest > MAX_RSS_BYTES ? 1 : 0;
}

function subsetOf(word: string | undefined): 'made' | 'real' | undefined {
  if (word === undefined || word === 'made' || word === 'real') return word;
  return refuse(HELP, `--only: expected made or real, found '${word}'`);
}

async function seedsFor(only: 'made' | 'real' | undefined): Promise<Seed[]> {
  const made = only === 'real' ? [] : generatedSeeds();
  if (only === 'made') return made;
  if (corpusImages.length === 0) {
    if (only === 'real') refuse(HELP, 'there is no corpus beside the repository (../shared/corpus)');
    console.log('no real images: there is no corpus beside the repository (../shared/corpus)');
    return made;
  }
  const folder = await mkdtemp(join(tmpdir(), 'vhdkit-fuzz-'));
  try {
    await unpackCorpus(folder);
    return [...made, ...(await corpusSeeds(folder))];
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function megabytes(byteLength: number): number {
  return Math.round(byteLength / 1024 / 1024);
}

function wholeNumber(name: string, text: string): number {
  const value = Number(text);
  if (text === '' || !Number.isSafeInteger(value) || value < 0) {
    refuse(HELP, `${name}: expected a whole number, found '${text}'`);
  }
  return value;
}

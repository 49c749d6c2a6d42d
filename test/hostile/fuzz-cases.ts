/**
 * The cases of `npm run test:fuzz`, in a process of their own: fuzz-run.ts starts it, and watches. Before each case its
 * number goes, as a line, to the descriptor 3.
 */
import { writeSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { corpusImages, unpackCorpus } from '../support/corpus.ts';
import { type CaseResult, describeFailure, runCase } from '../support/fuzz.ts';
import { corpusSeeds, generatedSeeds, type Seed } from '../support/fuzz-seeds.ts';
import { FOUND_SOMETHING } from '../support/fuzz-watch.ts';
import type { FuzzWords } from '../support/fuzz-words.ts';

/** Memory that all of it may take, in bytes. */
const MAX_RSS_BYTES = 256 * 1024 * 1024;
/** Memory from which on what is not needed any more is given back at once (`--expose-gc`). */
const TIDY_RSS_BYTES = 176 * 1024 * 1024;
const MAX_FAILURES = 10;
/** Cases after which it is told how far it is. */
const TOLD_CASES = 10_000;

process.exitCode = await run(JSON.parse(process.argv[2] ?? '') as FuzzWords);

/** What came of the cases so far. */
interface Tally {
  readonly counts: Map<string, number>;
  failureCount: number;
  slowest: Peak;
  largest: Peak;
}

/** The most of something, and the number of the case it was met in. */
interface Peak {
  readonly most: number;
  readonly number: number;
}

function higher(peak: Peak, most: number, number: number): Peak {
  return most > peak.most ? { most, number } : peak;
}

async function run({ seed, first, end, only }: FuzzWords): Promise<number> {
  const seeds = await seedsFor(only);
  console.log(`seed ${seed}, ${seeds.length} images`);
  const none = { most: 0, number: first };
  const tally: Tally = { counts: new Map(), failureCount: 0, slowest: none, largest: none };
  for (let number = first; number < end && tally.failureCount < MAX_FAILURES; number++) {
    writeSync(3, `${number}\n`);
    const result = await runCase(seeds, seed, number);
    count(tally, result, number);
    if (result.failure !== undefined) console.log(describeFailure(seed, number, result, only));
    if ((number + 1) % TOLD_CASES !== 0) continue;
    console.log(`${number + 1} cases, ${megabytes(tally.largest.most)} MiB at most`);
  }
  return conclude(tally);
}

function count(tally: Tally, { kind, ending, failure, milliseconds }: CaseResult, number: number): void {
  const what = `${kind} ${ending ?? 'failed'}`;
  tally.counts.set(what, (tally.counts.get(what) ?? 0) + 1);
  tally.slowest = higher(tally.slowest, milliseconds, number);
  const rss = process.memoryUsage.rss();
  tally.largest = higher(tally.largest, rss, number);
  // What the cases before left behind is none of the next one's.
  if (rss > TIDY_RSS_BYTES) globalThis.gc?.();
  if (failure !== undefined) tally.failureCount++;
}

/** Tells what came of it; the exit code. */
function conclude({ counts, failureCount, slowest, largest }: Tally): number {
  for (const [what, times] of [...counts].sort()) console.log(`${what}: ${times}`);
  const memory = `${megabytes(largest.most)} MiB of memory at most, after case ${largest.number}`;
  console.log(`the slowest, case ${slowest.number}, took ${Math.round(slowest.most)} ms; ${memory}`);
  const isTooLarge = largest.most > MAX_RSS_BYTES;
  if (isTooLarge) console.log(`expected at most ${megabytes(MAX_RSS_BYTES)} MiB of memory`);
  return failureCount > 0 || isTooLarge ? FOUND_SOMETHING : 0;
}

async function seedsFor(only: 'made' | 'real' | undefined): Promise<Seed[]> {
  const made = only === 'real' ? [] : generatedSeeds();
  if (only === 'made') return made;
  if (corpusImages.length === 0) {
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

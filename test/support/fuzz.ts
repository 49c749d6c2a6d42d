// One case of the fuzzer: its seed and its number say everything.
import { type Ending, fuzzImage } from './fuzz-images.ts';
import type { Seed } from './fuzz-seeds.ts';
import { fuzzCompressed, fuzzJournal, fuzzManifest, fuzzName, fuzzTable } from './fuzz-texts.ts';
import { mix, Random } from './seed.ts';

/** Processor time a case may take, in milliseconds. */
export const MAX_CASE_MILLISECONDS = 2000;

/** How a case went. */
export interface CaseResult {
  /** What was mutated. */
  readonly kind: string;
  /** Whether anything could be opened; undefined if the case failed. */
  readonly ending: Ending | undefined;
  /** What must not have happened; undefined if nothing did. */
  readonly failure: string | undefined;
  /** Processor time of the case in milliseconds. */
  readonly milliseconds: number;
}

const OTHERS: readonly (readonly [kind: string, job: (random: Random) => Promise<Ending>])[] = [
  ['table', fuzzTable],
  ['manifest', fuzzManifest],
  ['journal', fuzzJournal],
  ['name', fuzzName],
  ['compressed', fuzzCompressed],
];

/** Runs the case of a seed with a number. Never rejects. */
export async function runCase(seeds: readonly Seed[], seed: number, number: number): Promise<CaseResult> {
  const random = new Random(mix(seed, number));
  // Three of four are images.
  const [kind, job] = OTHERS[random.below(OTHERS.length * 4)] ?? ['image', undefined];
  const before = process.cpuUsage();
  let ending: Ending | undefined;
  let failure: string | undefined;
  try {
    ending = await (job === undefined ? fuzzImage(seeds, random) : job(random));
  } catch (error) {
    failure = error instanceof Error ? (error.stack ?? error.message) : String(error);
  }
  const { user, system } = process.cpuUsage(before);
  const milliseconds = (user + system) / 1000;
  if (milliseconds > MAX_CASE_MILLISECONDS) failure ??= `it took ${Math.round(milliseconds)} ms`;
  return { kind, ending, failure, milliseconds };
}

/** How a case is told, with what runs it again. */
export function describeFailure(seed: number, number: number, { kind, failure = '' }: CaseResult): string {
  return `${kind}: npm run test:fuzz -- --seed ${seed} --case ${number}\n${failure}`;
}

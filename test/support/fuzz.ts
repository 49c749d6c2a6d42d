// One case of the fuzzer: its seed and its number say everything.
import { type Ending, fuzzImage } from './fuzz-images.ts';
import type { Seed } from './fuzz-seeds.ts';
import { fuzzCompressed, fuzzJournal, fuzzManifest, fuzzName, fuzzTable } from './fuzz-texts.ts';
import { rerunOf } from './fuzz-words.ts';
import { mix, Random } from './seed.ts';

/** Time a case may take, in milliseconds: of the processor, where the clock says more. */
export const MAX_CASE_MILLISECONDS = 2000;

/** How a case went. */
export interface CaseResult {
  /** What was mutated. */
  readonly kind: string;
  /** Whether anything could be opened; undefined if the case failed. */
  readonly ending: Ending | undefined;
  /** What must not have happened; undefined if nothing did. */
  readonly failure: string | undefined;
  /** Time of the case in milliseconds. */
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
  const startedAt = performance.now();
  const result = await attempt(seeds, seed, number);
  const milliseconds = performance.now() - startedAt;
  if (milliseconds <= MAX_CASE_MILLISECONDS || result.failure !== undefined) return { ...result, milliseconds };
  // Other programs may have had the processor: the same again, counting its own time.
  const before = process.cpuUsage();
  await attempt(seeds, seed, number);
  const { user, system } = process.cpuUsage(before);
  const own = (user + system) / 1000;
  const failure = own > MAX_CASE_MILLISECONDS ? `it takes ${Math.round(own)} ms` : undefined;
  return { ...result, failure, milliseconds: own };
}

async function attempt(
  seeds: readonly Seed[],
  seed: number,
  number: number,
): Promise<Omit<CaseResult, 'milliseconds'>> {
  const random = new Random(mix(mix(seed, 1), number));
  // Three of four are images.
  const [kind, job] = OTHERS[random.below(OTHERS.length * 4)] ?? ['image', undefined];
  try {
    const ending = await (job === undefined ? fuzzImage(seeds, random) : job(random));
    return { kind, ending, failure: undefined };
  } catch (error) {
    const failure = error instanceof Error ? (error.stack ?? error.message) : String(error);
    return { kind, ending: undefined, failure };
  }
}

/** How a case is told, with what runs it again. */
export function describeFailure(
  seed: number,
  number: number,
  { kind, failure = '' }: CaseResult,
  only?: 'made' | 'real',
): string {
  return `${kind}: ${rerunOf(seed, number, only)}\n${failure}`;
}

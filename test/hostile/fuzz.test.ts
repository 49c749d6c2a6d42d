// Mutated images, tables, manifests, journals, names and streams. The long run: npm run test:fuzz.
import { beforeAll, expect, it } from 'vitest';
import { describeWithCorpus, unpackCorpus } from '../support/corpus.ts';
import { describeFailure, runCase } from '../support/fuzz.ts';
import { corpusSeeds, generatedSeeds, type Seed } from '../support/fuzz-seeds.ts';
import { numberFromEnv } from '../support/seed.ts';
import { useTempFolder } from '../support/temp.ts';

const SEED = numberFromEnv('VHDKIT_SEED', 20_260_101);
const CASES = numberFromEnv('VHDKIT_RUNS', 600);

async function fuzz(seeds: readonly Seed[], only: 'made' | 'real'): Promise<void> {
  const ends = { opened: 0, refused: 0 };
  const failures: string[] = [];
  for (let number = 0; number < CASES && failures.length < 5; number++) {
    const result = await runCase(seeds, SEED, number);
    if (result.ending !== undefined) ends[result.ending]++;
    if (result.failure !== undefined) failures.push(describeFailure(SEED, number, result, only));
  }
  expect(failures).toEqual([]);
  // Else the mutations would be too gentle, or too rough, to say anything.
  if (CASES >= 300) expect(Math.min(ends.opened, ends.refused)).toBeGreaterThan(CASES / 10);
}

it(`gives a documented error or the right bytes, from images made here (seed ${SEED})`, async () => {
  await fuzz(generatedSeeds(), 'made');
});

describeWithCorpus(`real images, mutated (seed ${SEED})`, () => {
  const folder = useTempFolder('fuzz');
  let seeds: readonly Seed[] = [];

  beforeAll(async () => {
    await unpackCorpus(folder.path);
    seeds = await corpusSeeds(folder.path);
  });

  it('give a documented error or the right bytes', async () => {
    expect(seeds.length).toBeGreaterThan(100);
    await fuzz(seeds, 'real');
  });
});

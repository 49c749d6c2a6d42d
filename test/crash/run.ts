/**
 * `npm run test:crash -- [--seed S] [--states N] [--image NAME]`: crash states, as many as wanted, over all images or
 * one of them. A failure is told with its seed and the shortest program that still fails, and the exit code is 1.
 */
import { readWords, refuse } from '../support/words.ts';
import { search } from './search.ts';
import { SUBJECTS } from './subjects.ts';

const HELP = `npm run test:crash -- [--seed S] [--states N] [--image NAME]
  --seed S      the seed of the first program; the next has S + 1 (default: of the clock)
  --states N    how many different files left by a crash are looked at (default 100000)
  --image NAME  only of one image, or of all whose name has the word: ${SUBJECTS.map(({ name }) => name).join('; ')}
Processes that are killed, as many as wanted: VHDKIT_KILL_ROUNDS=300 npm run test:all -- test/interop/killed.long.test.ts`;

const { values } = readWords(HELP, {
  options: {
    seed: { type: 'string' },
    states: { type: 'string', default: '100000' },
    image: { type: 'string' },
  },
});

process.exitCode = await run(values);

async function run({ seed, states, image }: { seed?: string; states: string; image?: string }): Promise<number> {
  const first = seed === undefined ? Date.now() % 1_000_000_000 : wholeNumber('--seed', seed);
  const exact = SUBJECTS.filter(({ name }) => name === image);
  const subjects = exact.length > 0 ? exact : SUBJECTS.filter(({ name }) => name.includes(image ?? ''));
  if (subjects.length === 0) refuse(HELP, `--image: expected one of the names below, found '${image ?? ''}'`);
  const weights = subjects.reduce((sum, { weight }) => sum + weight, 0);
  const wanted = wholeNumber('--states', states);
  let total = 0;
  console.log(`seed ${first}`);
  for (const subject of subjects) {
    const start = performance.now();
    const found = await search(subject, first, Math.ceil((wanted * subject.weight) / weights));
    total += found.stateCount;
    const seconds = ((performance.now() - start) / 1000).toFixed(1);
    console.log(`${subject.name}: ${found.stateCount} states of ${found.programCount} programs, ${seconds} s`);
    if (found.failure !== undefined) {
      console.log(found.failure);
      return 1;
    }
  }
  console.log(`${total} states, all as they must be`);
  return 0;
}

function wholeNumber(name: string, text: string): number {
  const value = Number(text);
  if (text === '' || !Number.isSafeInteger(value) || value < 0) {
    refuse(HELP, `${name}: expected a whole number, found '${text}'`);
  }
  return value;
}

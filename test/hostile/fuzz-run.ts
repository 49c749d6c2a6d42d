/**
 * `npm run test:fuzz -- [--seed S] [--cases N] [--case K] [--only made|real] [--patience SECONDS]`: as many mutations as
 * wanted of images made here and, where the corpus is, of real ones. A failure is told with what runs it again, and the
 * exit code is 1.
 *
 * The cases run in a process of their own (fuzz-cases.ts), which says the number of each before it begins. When it says
 * nothing for so many seconds, as in a loop without an end, or when it dies, of too little memory say, the case it was at
 * is told in the same way, and the run ends.
 *
 * All of it may take 256 MiB of memory. At the end the most it took is told, with the number of the case after which that
 * was so; more than that makes the exit code 1 too. (The limit is on what is resident, and looked at after every case.)
 */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { corpusImages } from '../support/corpus.ts';
import { watchCases } from '../support/fuzz-watch.ts';
import { type FuzzWords, rerunOf } from '../support/fuzz-words.ts';
import { readWords, refuse } from '../support/words.ts';

const HELP = `npm run test:fuzz -- [--seed S] [--cases N] [--case K] [--only made|real] [--patience SECONDS]
  --seed S            the seed of the run (default: of the clock)
  --cases N           how many mutations (default 100000)
  --case K            only the case of this number
  --only W            mutate only images made here, or only real ones (default: both)
  --patience SECONDS  a case that takes longer has no end (default 60)`;

const { values } = readWords(HELP, {
  options: {
    seed: { type: 'string' },
    cases: { type: 'string', default: '100000' },
    case: { type: 'string' },
    only: { type: 'string' },
    patience: { type: 'string', default: '60' },
  },
});

process.exitCode = await run();

async function run(): Promise<number> {
  const seed = values.seed === undefined ? Date.now() % 1_000_000_000 : wholeNumber('--seed', values.seed);
  const first = values.case === undefined ? 0 : wholeNumber('--case', values.case);
  const end = values.case === undefined ? wholeNumber('--cases', values.cases) : first + 1;
  const only = subsetOf(values.only);
  if (only === 'real' && corpusImages.length === 0) {
    refuse(HELP, 'there is no corpus beside the repository (../shared/corpus)');
  }
  const words: FuzzWords = { seed, first, end, only };
  const args = [...process.execArgv, join(import.meta.dirname, 'fuzz-cases.ts'), JSON.stringify(words)];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'inherit', 'inherit', 'pipe'] });
  const { isClean, wrong, number } = await watchCases(child, wholeNumber('--patience', values.patience) * 1000);
  if (wrong === undefined) return isClean ? 0 : 1;
  console.log(number === undefined ? `${wrong} before the first case` : `${wrong}: ${rerunOf(seed, number, only)}`);
  return 1;
}

function subsetOf(word: string | undefined): 'made' | 'real' | undefined {
  if (word === undefined || word === 'made' || word === 'real') return word;
  return refuse(HELP, `--only: expected made or real, found '${word}'`);
}

function wholeNumber(name: string, text: string): number {
  const value = Number(text);
  if (text === '' || !Number.isSafeInteger(value) || value < 0) {
    refuse(HELP, `${name}: expected a whole number, found '${text}'`);
  }
  return value;
}

import { spawn } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { FOUND_SOMETHING, type WatchedEnd, watchCases } from './fuzz-watch.ts';
import { rerunOf } from './fuzz-words.ts';

/** Runs a piece of JavaScript in which `begin(number)` says that a case begins. */
function watch(code: string, patienceMs = 20_000): Promise<WatchedEnd> {
  const begin = `const begin = (number) => require('node:fs').writeSync(3, number + '\\n');`;
  const child = spawn(process.execPath, ['-e', begin + code], { stdio: ['ignore', 'ignore', 'ignore', 'pipe'] });
  return watchCases(child, patienceMs);
}

describe('the watch over the cases of the fuzzer', () => {
  it.concurrent('names the case that has no end, and ends it', async () => {
    const end = await watch('begin(17); begin(18); for (;;);', 300);
    expect(end).toMatchObject({ number: 18, wrong: 'no end within 0.3 s' });
  });

  it.concurrent('names the case that took the process with it', async () => {
    expect(await watch('begin(5); process.kill(process.pid, 9);')).toMatchObject({
      number: 5,
      wrong: 'the process ended with SIGKILL',
    });
    expect(await watch('begin(6); process.exit(7);')).toMatchObject({
      number: 6,
      wrong: 'the process ended with code 7',
    });
  });

  it.concurrent.each([0, FOUND_SOMETHING])('takes the exit code %i for an answer', async (code) => {
    const many = 'for (let number = 0; number < 50000; number++) begin(number);';
    const end = await watch(`${many} process.exitCode = ${code};`);
    expect(end).toEqual({ isClean: code === 0, wrong: undefined, number: 49_999 });
  });

  it.concurrent('says so when there was no case yet', async () => {
    expect(await watch('process.exit(1)')).toMatchObject({ number: undefined, wrong: 'the process ended with code 1' });
  });

  it('tells a case by what runs it again', () => {
    expect(rerunOf(5, 18, 'made')).toBe('npm run test:fuzz -- --seed 5 --case 18 --only made');
  });
});

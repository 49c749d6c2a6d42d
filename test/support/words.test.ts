// The scripts of package.json say how they are called, in place of a stack, and in place of running with nothing to do.
import { spawn } from 'node:child_process';
import { expect, it } from 'vitest';
import { ended } from './cli.ts';

it.concurrent.each([
  ['test/bench/run.ts', ['--help'], 0, ''],
  ['test/crash/run.ts', ['--sed', '5'], 2, "Unknown option '--sed'"],
  ['test/crash/teeth.ts', ['nosuch'], 2, "expected a word of a name below, found 'nosuch'"],
])('%s %j', async (script, words, exitCode, sentence) => {
  const child = spawn(process.execPath, ['--import', 'tsx', script, ...words], { stdio: ['ignore', 'pipe', 'pipe'] });
  const { code, stdout, stderr } = await ended(child);
  const [said, usage] = sentence === '' ? ['', stdout] : stderr.split('\n\n');
  expect([code, said]).toEqual([exitCode, sentence]);
  expect(usage).toMatch(/^npm run (bench|test:crash|test:teeth) .*\n {2}/);
});

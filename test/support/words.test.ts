// The scripts of package.json say how they are called, in place of a stack, and in place of running with nothing to do.
import { spawn } from 'node:child_process';
import { symlink } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { build } from 'esbuild';
import { beforeAll, expect, it } from 'vitest';
import { ended } from './cli.ts';
import { useTempFolder } from './temp.ts';

const root = join(import.meta.dirname, '../..');
const folder = useTempFolder('words');

type Call = readonly [script: string, words: readonly string[], exitCode: number, sentence: string];

/** It cannot be bundled: it takes itself for the build then, which it imports. */
const BENCH = 'test/bench/run.ts';

const CALLS: readonly Call[] = [
  [BENCH, ['--help'], 0, ''],
  ['test/crash/run.ts', ['--sed', '5'], 2, "Unknown option '--sed'"],
  ['test/crash/teeth.ts', ['nosuch'], 2, "expected a word of a name below, found 'nosuch'"],
  ['test/hostile/fuzz-run.ts', ['--only', 'some'], 2, "--only: expected made or real, found 'some'"],
];

/** The others as plain JavaScript: to load them by tsx takes a second each. */
beforeAll(async () => {
  await symlink(join(root, 'node_modules'), folder.file('node_modules'));
  await build({
    absWorkingDir: root,
    entryPoints: CALLS.map(([script]) => script).filter((script) => script !== BENCH),
    outbase: root,
    outdir: folder.path,
    outExtension: { '.js': '.mjs' },
    bundle: true,
    format: 'esm',
    platform: 'node',
    packages: 'external',
    logLevel: 'warning',
  });
});

it.concurrent.each(CALLS)('%s %j', async (script, words, exitCode, sentence) => {
  const bundled = folder.file(join(script, '..', `${basename(script, '.ts')}.mjs`));
  const start = script === BENCH ? ['--import', 'tsx', script] : [bundled];
  const { code, stdout, stderr } = await ended(
    spawn(process.execPath, [...start, ...words], { stdio: ['ignore', 'pipe', 'pipe'] }),
  );
  const [said, usage] = sentence === '' ? ['', stdout] : stderr.split('\n\n');
  expect([code, said]).toEqual([exitCode, sentence]);
  expect(usage).toMatch(/^npm run (bench|test:crash|test:teeth|test:fuzz) .*\n {2}/);
});

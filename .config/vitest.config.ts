import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { TestProjectInlineConfiguration, ViteUserConfig } from 'vitest/config';

const root = fileURLToPath(new URL('..', import.meta.url));

/**
 * Marks of a file that gets a process of its own: it changes modules or the process for good, measures memory (a child
 * inherits the peak of its parent), or starts many processes, each of which costs more the larger the one is that does.
 */
const MARKS =
  /\bvi\.(mock|doMock|resetModules)\(|\.(chdir|memoryUsage|resourceUsage)\(|setFlagsFromString|useBuiltCommand|useExampleLines|\bspawn(Sync)?\(/;
const FOLDERS = /^test\/(interop|package)\//;

const files = readdirSync(`${root}test`, { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.test.ts'))
  .map((name) => `test/${name.replaceAll('\\', '/')}`);
const alone = files.filter((name) => FOLDERS.test(name) || MARKS.test(readFileSync(root + name, 'utf8')));

/** Two kinds: a process for each file, and files that share two processes and what these have loaded. */
function project(name: string, isolate: boolean): TestProjectInlineConfiguration {
  const which = isolate ? { include: alone } : { include: ['test/**/*.test.ts'], exclude: alone };
  return { extends: true, test: { name, isolate, unstubEnvs: true, unstubGlobals: true, ...which } };
}

const config: ViteUserConfig = {
  root,
  resolve: {
    alias: [
      { find: /^vhdkit$/, replacement: `${root}src/index.ts` },
      { find: /^vhdkit\/(core|format)$/, replacement: `${root}src/$1.ts` },
    ],
  },
  test: {
    pool: 'forks',
    maxWorkers: 2,
    testTimeout: 60_000,
    hookTimeout: 120_000,
    globalSetup: ['test/support/shared-folder.ts'],
    projects: [project('alone', true), project('shared', false)],
  },
};

export default config;

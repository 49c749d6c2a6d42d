import { existsSync, readdirSync, readFileSync, statfsSync } from 'node:fs';
import { freemem, tmpdir } from 'node:os';
import { fileURLToPath } from 'node:url';
import { defineConfig, type TestProjectInlineConfiguration, type ViteUserConfig } from 'vitest/config';
import { LongestFirst } from './longest-first.ts';

const root = fileURLToPath(new URL('..', import.meta.url));

/**
 * Marks of a file that gets a process of its own: it changes modules or the process for good, or measures memory (a child
 * inherits the peak of its parent).
 */
const ALONE = /\bvi\.(mock|doMock|resetModules)\(|\.(chdir|memoryUsage|resourceUsage)\(|setFlagsFromString/;
/** Marks of a file that starts many processes, each of which costs more the larger the one is that does. */
const STARTS = /useBuiltCommand|useExampleLines|\bspawn(Sync)?\(/;
const STARTS_IN = /^test\/(interop|package)\//;

/** Files for `npm run test:all` only: what takes long, and what few changes can break. */
const LONG = '.long.test.ts';

const files = readdirSync(`${root}test`, { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.test.ts'))
  .map((name) => `test/${name.replaceAll('\\', '/')}`)
  .map((name) => ({ name, text: readFileSync(root + name, 'utf8') }));
const alone = files.filter(({ text }) => ALONE.test(text)).map(({ name }) => name);
const starting = files
  .filter(({ name, text }) => !ALONE.test(text) && (STARTS_IN.test(name) || STARTS.test(text)))
  .map(({ name }) => name);

/** Three kinds: a process for each file; files that start processes; all others. These two share what they have loaded. */
function project(
  name: string,
  isolate: boolean,
  { include, exclude = [] }: { readonly include: string[]; readonly exclude?: string[] },
): TestProjectInlineConfiguration {
  return { extends: true, test: { name, isolate, unstubEnvs: true, unstubGlobals: true, include, exclude } };
}

/** Room for temporary files that has to be in memory, in bytes: some four times what they take at once. */
const ROOM_IN_MEMORY = 4 * 1024 ** 3;

/**
 * Where temporary files go: into memory, where there is room and nobody says otherwise by TMPDIR. What is flushed, many
 * thousands of times, is to be written in the right order, which other tests show; that it takes milliseconds shows nothing.
 */
function temporaryFolder(): string {
  const memory = '/dev/shm';
  if (process.platform !== 'linux' || process.env['TMPDIR'] !== undefined || !existsSync(memory)) return tmpdir();
  const { bavail, bsize } = statfsSync(memory);
  return Math.min(bavail * bsize, freemem()) >= ROOM_IN_MEMORY ? memory : tmpdir();
}

// Some tests are about what file systems tell: these want both.
process.env['VHDKIT_DISK_TMPDIR'] ??= tmpdir();
process.env['TMPDIR'] = temporaryFolder();

/** `--mode all`: the long files too, and for all what is else done for some. */
const configOf = (isAll: boolean): ViteUserConfig => ({
  root,
  resolve: {
    alias: [
      { find: /^vhdkit$/, replacement: `${root}src/index.ts` },
      { find: /^vhdkit\/(core|format)$/, replacement: `${root}src/$1.ts` },
    ],
  },
  test: {
    sequence: { sequencer: LongestFirst },
    pool: 'forks',
    // One more than the processors that are meant: there is always one that waits, for a process or a file.
    maxWorkers: 3,
    testTimeout: 60_000,
    hookTimeout: 120_000,
    globalSetup: ['test/support/shared-folder.ts'],
    ...(isAll ? { env: { VHDKIT_THOROUGH: '1' } } : {}),
    projects: [
      project('alone', true, { include: wanted(alone, isAll) }),
      project('starting', false, { include: wanted(starting, isAll) }),
      project('others', false, {
        include: ['test/**/*.test.ts'],
        exclude: [...alone, ...starting, ...(isAll ? [] : [`test/**/*${LONG}`])],
      }),
    ],
  },
});

function wanted(names: readonly string[], isAll: boolean): string[] {
  return names.filter((name) => isAll || !name.endsWith(LONG));
}

export default defineConfig(({ mode }) => configOf(mode === 'all' || process.env['VHDKIT_THOROUGH'] === '1'));

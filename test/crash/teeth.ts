/**
 * `npm run test:teeth [WORD]`: shows that the crash states find a broken order. Each mutation changes one thing in a
 * copy of the sources, and the crash states of that copy must fail. WORD: only mutations whose name has it.
 */
import { execFile } from 'node:child_process';
import { cp, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { readWords, refuse } from '../support/words.ts';
import { MUTATIONS, type Mutation } from './mutations.ts';

const run = promisify(execFile);
const root = join(import.meta.dirname, '../..');
const STATES = 40_000;
const HELP = `npm run test:teeth [WORD]: only the mutations whose name has WORD; default: all, which are
${MUTATIONS.map(({ name }) => `  ${name}\n`).join('')}`.trimEnd();

const { positionals } = readWords(HELP, { allowPositionals: true, options: {} });
const [word = ''] = positionals;
const mutations = MUTATIONS.filter(({ name }) => name.includes(word));
if (mutations.length === 0) refuse(HELP, `expected a word of a name below, found '${word}'`);

const folder = await mkdtemp(join(tmpdir(), 'vhdkit-teeth-'));
try {
  for (const name of ['src', 'test', 'package.json', 'tsconfig.json']) {
    await cp(join(root, name), join(folder, name), { recursive: true });
  }
  await symlink(join(root, 'node_modules'), join(folder, 'node_modules'));
  let missed = 0;
  for (const mutation of mutations) {
    const found = await findIn(mutation);
    if (found === undefined) missed++;
    console.log(`${mutation.name}: ${found ?? `NOT FOUND in ${STATES} states`}\n`);
  }
  process.exitCode = missed === 0 ? 0 : 1;
} finally {
  await rm(folder, { recursive: true, force: true });
}

/** What the crash states say of a mutation; undefined if they find nothing. */
async function findIn({ file, from, to, image }: Mutation): Promise<string | undefined> {
  const path = join(folder, 'src/disk', file);
  const text = await readFile(path, 'utf8');
  if (text.split(from).length !== 2) throw new Error(`${file}: expected once, found otherwise:\n${from}`);
  await writeFile(
    path,
    text.replace(from, () => to),
  );
  try {
    const args = ['--import', 'tsx', 'test/crash/run.ts', '--seed', '1', '--states', `${STATES}`];
    if (image !== undefined) args.push('--image', image);
    await run(process.execPath, args, { cwd: folder, timeout: 600_000 });
    return undefined;
  } catch (error) {
    const { code, stdout } = error as { code?: unknown; stdout?: string };
    if (code !== 1 || stdout?.includes('the shortest program') !== true) throw error;
    return `found\n${stdout.replaceAll(/^/gm, '    ')}`;
  } finally {
    await writeFile(path, text);
  }
}

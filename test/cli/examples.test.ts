// Every example that the help of any verb shows is run, in a folder with the files of test/support/example-files.ts.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chmod, cp, mkdir, rm, writeFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { VERBS } from '../../bin/verbs.ts';
import { ended, type ProcessResult, useBuiltCommand, vhd } from '../support/cli.ts';
import { EXAMPLE_FILES, filesFor, makeExampleFiles, strangersIn } from '../support/example-files.ts';
import { findProgram, stub } from '../support/peers.ts';
import { useTempFolder } from '../support/temp.ts';

const folder = useTempFolder('cli-examples');
const command = useBuiltCommand();

/** The lines under the heading of the examples. */
async function examplesOf(args: readonly string[]): Promise<string[]> {
  const { stdout } = await vhd([...args, '--help']);
  const [, after = ''] = stdout.split(/^Examples?:\n/m);
  return (after.split(/\n(?! )/)[0] ?? '').split('\n').flatMap((line) => (line.startsWith('  ') ? [line.trim()] : []));
}

const examples = new Map<string, string[]>([['vhd', await examplesOf([])]]);
for (const verb of Object.keys(VERBS)) examples.set(verb, await examplesOf([verb]));

/** Programs of others that a line calls. */
function programsIn(line: string): string[] {
  const calls = line.split(/\|\||&&|[|;(]/).map((part) => part.trim().split(/\s+/)[0] ?? '');
  return calls.filter((name) => /^[a-z]/.test(name) && !['vhd', 'source', 'cd'].includes(name));
}

beforeAll(async () => {
  await mkdir(folder.file('bin'));
  await mkdir(folder.file('files'));
  await writeFile(folder.file('bin/vhd'), `#!/bin/sh\nexec '${process.execPath}' '${command.path}' "$@"\n`);
  await chmod(folder.file('bin/vhd'), 0o755);
  await makeExampleFiles(folder.file('files'));
});

/** Runs a line of shell in a folder where `vhd` is a command. */
function run(line: string, cwd: string): Promise<ProcessResult> {
  const path = `${folder.file('bin')}${delimiter}${process.env['PATH'] ?? ''}`;
  const env = { ...process.env, PATH: path, HOME: cwd, NO_COLOR: '1' };
  return ended(spawn('bash', ['-c', `set -o pipefail; ${line}`], { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] }));
}

/** Runs an example. What it makes must not be there: it says so itself, once for each file. */
async function runExample(line: string): Promise<ProcessResult> {
  const cwd = folder.file('here');
  await rm(cwd, { recursive: true, force: true });
  await mkdir(cwd);
  for (const name of filesFor(line)) {
    await cp(folder.file(join('files', name)), join(cwd, name), { recursive: true }).catch(skipMissing);
  }
  const result = await run(line, cwd);
  const made = /^vhd: (\S+): the output exists already$/m.exec(result.stderr)?.[1];
  if (result.code !== 2 || made === undefined || !Object.hasOwn(EXAMPLE_FILES, made)) return result;
  await rm(join(cwd, made), { recursive: true });
  return run(line, cwd);
}

/** Compressed files are there only if the program is that makes them. */
function skipMissing(error: unknown): void {
  if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT')) throw error;
}

function whyItFailed(line: string, { stdout, stderr }: ProcessResult): string {
  const strangers = strangersIn(line);
  const known = Object.entries(EXAMPLE_FILES).map(([name, { what }]) => `  ${name}: ${what}`);
  const hint = `it names ${strangers.join(', ')}: if that has to exist, add it to test/support/example-files.ts or take one of\n${known.join('\n')}`;
  return [`${line}\n${stderr}${stdout.slice(0, 1000)}`, ...(strangers.length === 0 ? [] : [hint])].join('\n');
}

describe.each([...examples])('the examples of %s', (verb, lines) => {
  it('are there, and call it', () => {
    expect(lines.length).toBeGreaterThan(0);
    for (const line of lines) expect(line).toContain(verb === 'vhd' ? 'vhd ' : `vhd ${verb}`);
  });

  for (const line of lines) {
    const missing = [
      ...programsIn(line).filter((name) => findProgram(name) === undefined),
      ...line.split(' ').filter((word) => word.startsWith('/dev/') && !existsSync(word)),
    ];
    if (missing.length > 0) stub(line, `${missing.join(', ')} is not there`);
    else {
      it(line, async () => {
        const result = await runExample(line);
        expect(result.code, whyItFailed(line, result)).toBe(0);
      });
    }
  }
});

it('an example with a file that is not there says where such files come from', async () => {
  const line = 'vhd info nosuch.vhd';
  const result = await runExample(line);
  expect(result.code).toBe(4);
  expect(whyItFailed(line, result)).toMatch(
    /it names nosuch\.vhd: .* add it to test\/support\/example-files\.ts .*\n {2}disk\.raw: /,
  );
});

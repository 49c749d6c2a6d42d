import { copyFile, cp, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { shell, useBuiltCommand } from '../support/cli.ts';
import { makeExampleFiles } from '../support/example-files.ts';
import { findProgram, stub } from '../support/peers.ts';

const readme = await readFile(new URL('../../README.md', import.meta.url), 'utf8');
const command = useBuiltCommand();
let files: string;
let folder: string;

/** The part of the README under a heading. */
function section(heading: string): string {
  const [, after = ''] = readme.split(`\n${heading}\n`);
  return after.split(/\n##? /)[0] ?? '';
}

/** The commands on the right-hand side of a table. */
function rightHandSides(heading: string): string[] {
  return [...section(heading).matchAll(/^\| `[^`]+` \| `(vhd [^`]+)` \|$/gm)].map(([, line = '']) => line);
}

/** The lines of the shell examples that call `vhd` and nothing that may not be here. */
function examples(heading: string): string[] {
  const blocks = [...section(heading).matchAll(/```(?:sh|console)\n([\s\S]*?)```/g)].map(([, text = '']) => text);
  const lines = blocks.flatMap((text) => text.split('\n')).map((line) => line.replace(/^\$ /, ''));
  const isOurs = (line: string): boolean => /^(cat disk\.\w+ \| )?vhd /.test(line) && !/ssh|xxd/.test(line);
  return lines.filter(isOurs).map((line) => line.replace(/ +#.*$/, '').replace(/ --type fixed, .*$/, ''));
}

beforeAll(() => expect(rightHandSides('## Coming from …').length).toBeGreaterThan(10));

beforeAll(async () => {
  files = await mkdtemp(join(tmpdir(), 'vhdkit-readme-files-'));
  await makeExampleFiles(files);
  await copyFile(join(files, 'disk.vhd'), join(files, 'source.vhd'));
});

afterAll(() => rm(files, { recursive: true, force: true }));

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'vhdkit-readme-'));
  await cp(files, folder, { recursive: true });
  return () => rm(folder, { recursive: true, force: true });
});

const asShell = (line: string): string => line.replaceAll(/(^|[|;&] )vhd /g, '$1$vhd ');

/** Runs a line. What it makes must not be there: it says so itself. */
async function run(line: string): Promise<{ code: number | null; stderr: string }> {
  const words = `set -o pipefail; ${asShell(line)}`;
  const result = await shell(command, folder, words);
  const made = /"path":"([^"]+)".*the output exists already|^vhd: (\S+): the output exists already/m.exec(
    result.stderr,
  );
  if (result.code !== 2 || made === null) return result;
  await rm(join(folder, made[1] ?? made[2] ?? ''));
  return shell(command, folder, words);
}

describe('the README says how to come from other programs', () => {
  it.each(rightHandSides('## Coming from …'))('%s', async (line) => {
    const { code, stderr } = await run(line);
    expect(code, stderr).toBe(0);
  });
});

describe('the README shows common jobs', () => {
  const lines = examples('## Common jobs').map((line) => [line, /\.(zst|xz|gz)\b/.exec(line)?.[1]] as const);
  for (const [line, ending] of lines) {
    const program = ending === undefined ? undefined : { zst: 'zstd', xz: 'xz', gz: 'gzip' }[ending];
    if (program !== undefined && findProgram(program) === undefined) stub(line, `${program} is not there`);
    else {
      it(line, async () => {
        const { code, stderr } = await run(line);
        expect(code, stderr).toBe(0);
      });
    }
  }
});

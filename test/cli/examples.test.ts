// Every example that the help of any verb shows is run, in a folder with the files of test/support/example-files.ts.
// Those that need no shell run in this process, but one where a verb has no others: the built command knows every verb.
import { existsSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { VERBS } from '../../bin/verbs.ts';
import { vhd } from '../support/cli.ts';
import { EXAMPLE_FILES, strangersIn } from '../support/example-files.ts';
import { type LineResult, needsShell, useExampleLines } from '../support/example-lines.ts';
import { findProgram, stub } from '../support/peers.ts';
import { someOf } from '../support/seed.ts';

const exampleLines = useExampleLines('cli-examples');

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

function whyItFailed(line: string, { stdout, stderr }: LineResult): string {
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

  for (const [index, line] of someOf(lines).entries()) {
    const missing = [
      ...programsIn(line).filter((name) => findProgram(name) === undefined),
      ...line.split(' ').filter((word) => word.startsWith('/dev/') && !existsSync(word)),
    ];
    if (missing.length > 0) stub(line, `${missing.join(', ')} is not there`);
    else {
      it(line, async () => {
        const result = await exampleLines.run(line, { isProcess: index === 0 && !lines.some(needsShell) });
        expect(result.code, whyItFailed(line, result)).toBe(0);
      });
    }
  }
});

it('an example with a file that is not there says where such files come from', async () => {
  const line = 'vhd info nosuch.vhd';
  const result = await exampleLines.run(line);
  expect(result.code).toBe(4);
  expect(whyItFailed(line, result)).toMatch(
    /it names nosuch\.vhd: .* add it to test\/support\/example-files\.ts .*\n {2}disk\.raw: /,
  );
});

import { readFile } from 'node:fs/promises';
import { beforeAll, describe, expect, it } from 'vitest';
import { useExampleLines } from '../support/example-lines.ts';
import { findProgram, stub } from '../support/peers.ts';

const readme = await readFile(new URL('../../README.md', import.meta.url), 'utf8');
const exampleLines = useExampleLines('readme');

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

describe('the README says how to come from other programs', () => {
  it.each(rightHandSides('## Coming from …'))('%s', async (line) => {
    const { code, stderr } = await exampleLines.run(line);
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
        const { code, stderr } = await exampleLines.run(line);
        expect(code, stderr).toBe(0);
      });
    }
  }
});

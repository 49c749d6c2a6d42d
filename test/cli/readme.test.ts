import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { convert } from '../../src/ops/convert.ts';
import { shell, useBuiltCommand } from '../support/cli.ts';

const readme = await readFile(new URL('../../README.md', import.meta.url), 'utf8');
const command = useBuiltCommand();
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

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'vhdkit-readme-'));
  const disk = Buffer.alloc(4 * 1024 * 1024);
  disk.write('a boot sector', 0);
  await writeFile(join(folder, 'disk.raw'), disk);
  await writeFile(join(folder, 'boot.bin'), disk.subarray(0, 512));
  await convert(join(folder, 'disk.raw'), join(folder, 'source.vhd'), { to: 'dynamic' });
  return () => rm(folder, { recursive: true, force: true });
});

afterAll(() => rm(folder, { recursive: true, force: true }));

const asShell = (line: string): string => line.replaceAll(/(^|[|;&] )vhd /g, '$1$vhd ');

describe('the README says how to come from other programs', () => {
  it.each(rightHandSides('## Coming from …'))('%s', async (line) => {
    // Some lines make what others read: the sources keep their names, the targets must be free.
    const frees = line.includes('convert source.vhd disk.raw') ? 'rm disk.raw; ' : '';
    const { code, stderr } = await shell(command, folder, `set -o pipefail; ${frees}${asShell(line)}`);
    expect(code, stderr).toBe(0);
  });
});

describe('the README shows common jobs', () => {
  it.each(examples('## Common jobs'))('%s', async (line) => {
    const needsVhd = /(?:info|read|write|cat|convert) disk\.vhd/.test(line);
    const frees =
      /disk\.vhd (?:back|disk|-)|- disk\.raw/.test(line) && line.includes('- disk.raw') ? 'rm disk.raw; ' : '';
    const before = needsVhd ? 'cp source.vhd disk.vhd; ' : '';
    const { code, stderr } = await shell(command, folder, `set -o pipefail; ${before}${frees}${asShell(line)}`);
    expect(code, stderr).toBe(0);
  });
});

// What the help of every verb has to have.
import { describe, expect, it } from 'vitest';
import { Session } from '../../bin/session.ts';
import { declaredVerb, VERBS } from '../../bin/verbs.ts';
import { vhd } from '../support/cli.ts';

const verbs = Object.keys(VERBS);
const io = {
  stdin: process.stdin,
  stdout: process.stdout,
  stderr: process.stderr,
  env: {},
  signal: new AbortController().signal,
};

/** The help as a terminal of so many columns shows it. */
async function helpAt(columns: number, args: readonly string[]): Promise<string[]> {
  return (await vhd([...args, '--help'], { terminals: ['stdout'], columns })).stdout.split('\n');
}

describe.each([[[]], ...verbs.map((verb) => [[verb]])])('the help of vhd %s', (args) => {
  it.each([80, 100])('fits into %d columns', async (columns) => {
    for (const line of await helpAt(columns, args)) expect(line.length, line).toBeLessThanOrEqual(columns);
  });

  it('uses no more than 100 columns, and the room there is', async () => {
    const lines = await helpAt(200, args);
    expect(lines).toEqual(await helpAt(100, args));
    expect(lines.length).toBeLessThanOrEqual((await helpAt(80, args)).length);
  });

  it('is the same for 80 columns and for no terminal', async () => {
    expect((await vhd([...args, '--help'])).stdout.split('\n')).toEqual(await helpAt(80, args));
  });

  it('has the exit codes, and ends with one newline', async () => {
    const { code, stdout, stderr } = await vhd([...args, '--help']);
    expect([code, stderr]).toEqual([0, '']);
    expect(stdout).toMatch(/^Exit codes: 0 fine, 1 .* 2 .*\n {2}3 .* 4 .* 70 /m);
    expect(stdout).toMatch(/[^\n]\n$/);
    expect(stdout).toMatch(/^Examples?:\n {2}.*vhd /m);
  });
});

it.each(verbs)('everything that %s takes has a description', async (verb) => {
  const command = await declaredVerb(verb, new Session(io, false));
  for (const { flags, description } of command.options) expect(description.length, flags).toBeGreaterThan(5);
  for (const argument of command.registeredArguments) {
    expect(argument.description.length, argument.name()).toBeGreaterThan(5);
  }
  expect(command.description()).not.toBe('');
});

it('help on help, and on options, is the help', async () => {
  const help = await vhd(['--help']);
  for (const args of [['help'], ['help', 'help'], ['help', '--help'], ['help', '--json']]) {
    expect(await vhd(args)).toEqual(help);
  }
});

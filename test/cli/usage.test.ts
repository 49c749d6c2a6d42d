import { Writable } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { version } from '../../bin/version.ts';
import { vhd } from '../support/cli.ts';
import { useTempFolder } from '../support/temp.ts';

const folder = useTempFolder('cli-usage');
const VERBS = ['create', 'info', 'convert', 'map', 'read', 'write', 'bench'];

describe('help', () => {
  it('is printed on request, and lists every verb', async () => {
    const { code, stdout, stderr } = await vhd(['--help']);
    expect([code, stderr]).toEqual([0, '']);
    for (const verb of VERBS) expect(stdout).toMatch(new RegExp(`^ {2}${verb} `, 'm'));
    expect(stdout).toContain('Example:');
  });

  it('goes to standard error where no verb is given, and that is a usage error', async () => {
    const { code, stdout, stderr } = await vhd([]);
    expect([code, stdout]).toEqual([2, '']);
    expect(stderr).toContain('Usage: vhd <verb> [options]');
  });

  it.each(VERBS)('of %s has an example and --json', async (verb) => {
    const { code, stdout } = await vhd([verb, '--help']);
    expect(code).toBe(0);
    expect(stdout).toMatch(new RegExp(`Examples?:\n.*vhd ${verb} `));
    expect(stdout).toContain('--json');
    expect((await vhd(['help', verb])).stdout).toBe(stdout);
  });

  it.each(['info', 'convert', 'map', 'read', 'write'])('of %s has the options of every input', async (verb) => {
    const { stdout } = await vhd([verb, '--help']);
    for (const flag of ['--from', '--size-from', '--footer', '--bitmap']) expect(stdout).toContain(`  ${flag} `);
  });

  it('whose reader has gone is silent', async () => {
    const stdout = new Writable({
      write: (_chunk, _encoding, done) =>
        done(Object.assign(new Error('write EPIPE'), { code: 'EPIPE', syscall: 'write' })),
    }).on('error', () => undefined);
    const { code, stderr } = await vhd(['--help'], { stdout });
    expect([code, stderr]).toEqual([141, '']);
  });
});

it('the version is that of the package', async () => {
  expect(await vhd(['--version'])).toMatchObject({ code: 0, stdout: `${version()}\n`, stderr: '' });
  expect((await vhd(['-V'])).stdout).toBe(`${version()}\n`);
});

describe('a usage error is one sentence and what to do', () => {
  it.each([
    [['frobnicate'], "vhd: unknown command 'frobnicate'", 'vhd --help shows what there is'],
    [['conver', 'a', 'b'], "vhd: unknown command 'conver'", 'did you mean convert?'],
    [['nosuch', '--help'], "vhd: unknown command 'nosuch'", 'vhd --help shows what there is'],
    [['help', 'nosuch'], "vhd: unknown command 'nosuch'", 'vhd --help shows what there is'],
    [['constructor'], "vhd: unknown command 'constructor'", 'vhd --help shows what there is'],
    [['write'], 'vhd: IMAGE is missing', 'vhd write IMAGE [SRC]; vhd write --help shows the options'],
    [['info'], 'vhd: IMAGE is missing', 'vhd info IMAGE...; vhd info --help shows the options'],
    [
      ['write', 'a', 'b', 'c'],
      "vhd: 'c' is one word too many",
      'vhd write IMAGE [SRC]; vhd write --help shows the options',
    ],
    [['convert', '--to'], 'vhd: --to: its value is missing', 'vhd convert --help shows what there is'],
    [['read', 'a', '-o'], 'vhd: --output: its value is missing', 'vhd read --help shows what there is'],
    [['convert', 'a', 'b', '--forse'], "vhd: unknown option '--forse'", 'did you mean --force?'],
    [['info', 'a', '--parent', 'x'], "vhd: unknown option '--parent'", 'vhd info --help shows what there is'],
    [
      ['info', 'a', '--from', 'vhdx'],
      "vhd: --from: expected raw or vhd, found 'vhdx'",
      'vhd info --help shows what there is',
    ],
    [
      ['info', 'a', '--size-from', 'x'],
      "vhd: --size-from: expected footer or chs, found 'x'",
      'vhd info --help shows what there is',
    ],
    [
      ['info', 'a', '--footer', 'x'],
      "vhd: --footer: expected start or end, found 'x'",
      'vhd info --help shows what there is',
    ],
    [
      ['info', 'a', '--bitmap', 'x'],
      "vhd: --bitmap: expected honour or ignore, found 'x'",
      'vhd info --help shows what there is',
    ],
    [
      ['read', 'a', '--progress', 'x'],
      "vhd: --progress: expected auto, json or none, found 'x'",
      'vhd read --help shows what there is',
    ],
  ])('vhd %s', async (args, sentence, remedy) => {
    expect(await vhd(args)).toMatchObject({ code: 2, stdout: '', stderr: `${sentence}\n     ${remedy}\n` });
  });

  it('and one line of JSON where that is asked for', async () => {
    const { code, stdout, stderr } = await vhd(['convert', 'a', 'b', '--json', '--forse']);
    expect([code, stdout]).toEqual([2, '']);
    expect(stderr.trimEnd()).not.toContain('\n');
    expect(JSON.parse(stderr)).toEqual({
      schema: 'vhdkit/error/1',
      code: 'ERR_VHD_USAGE',
      message: "unknown option '--forse'",
      path: null,
      offset: null,
      expected: null,
      found: null,
      remedy: 'did you mean --force?',
      exitCode: 2,
    });
  });

  it('but --json behind -- is a file name', async () => {
    const { code, stderr } = await vhd(['info', '--', folder.file('--json')]);
    expect(code).toBe(4);
    expect(stderr).toMatch(/^vhd: .*--json: no such file or directory\n/);
  });

  it('in red on a terminal, unless NO_COLOR is set', async () => {
    const call = { terminals: ['stderr'] } as const;
    expect((await vhd(['frobnicate'], call)).stderr).toMatch(/^\u001b\[31mvhd:\u001b\[39m /);
    expect((await vhd(['frobnicate'], { ...call, env: { NO_COLOR: '1' } })).stderr).toMatch(/^vhd: /);
    expect((await vhd(['frobnicate'], { ...call, env: { TERM: 'dumb' } })).stderr).toMatch(/^vhd: /);
  });

  it('escapes what a name could do to a terminal, in reports too', async () => {
    const { stdout } = await vhd(['create', folder.file('\u001b[2J.vhd'), '1M']);
    expect(stdout).toContain('/\\u{1b}[2J.vhd\n');
    const { stderr } = await vhd(['info', '/nosuch\u001b[2J\n']);
    expect(stderr).toBe(
      'vhd: /nosuch\\u{1b}[2J\\u{a}: no such file or directory\n     check the name: ls -l shows what is there\n',
    );
  });
});

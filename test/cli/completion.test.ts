// The scripts, in the shells they are for: what a TAB makes of a line.
import { spawn } from 'node:child_process';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { beforeAll, describe, expect, it } from 'vitest';
import { Session } from '../../bin/session.ts';
import { declaredVerb, VERBS } from '../../bin/verbs.ts';
import { vhd } from '../support/cli.ts';
import { describeWithPeers, findProgram, runPeer } from '../support/peers.ts';
import { useTempFolder } from '../support/temp.ts';

const folder = useTempFolder('cli-completion');
const SHELLS = ['bash', 'zsh', 'fish', 'powershell'];
const verbs = Object.keys(VERBS);
const io = {
  stdin: process.stdin,
  stdout: process.stdout,
  stderr: process.stderr,
  env: {},
  signal: new AbortController().signal,
};

beforeAll(async () => {
  for (const shell of SHELLS) await writeFile(folder.file(`vhd.${shell}`), (await vhd(['completion', shell])).stdout);
  await mkdir(folder.file('here/a folder'), { recursive: true });
  for (const name of ['disk.raw', 'my disk.vhd', 'other.vhd']) await writeFile(folder.file(`here/${name}`), '');
});

/** The flags of every verb, as its help has them. */
async function flagsOf(verb: string): Promise<string[]> {
  const { options } = await declaredVerb(verb, new Session(io, false));
  return options.flatMap(({ short, long }) => [short, long].filter((flag) => flag !== undefined));
}

describe('vhd completion', () => {
  it.each(SHELLS)('%s has every verb and every option', async (shell) => {
    const { code, stdout, stderr } = await vhd(['completion', shell]);
    expect([code, stderr]).toEqual([0, '']);
    expect(stdout).toContain(`made by: vhd completion ${shell}`);
    for (const verb of [...verbs, 'help']) {
      expect(stdout).toMatch(new RegExp(`\\b${verb}\\b`));
      if (verb === 'help') continue;
      for (const flag of await flagsOf(verb)) {
        expect(stdout).toContain(shell === 'fish' ? flag.replace(/^-+/, '') : flag);
      }
    }
  });

  it('wants a shell that it knows', async () => {
    expect(await vhd(['completion', 'tcsh'])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining("SHELL: expected bash, zsh, fish or powershell, found 'tcsh'") as string,
    });
    expect((await vhd(['completion'])).stderr).toContain('SHELL is missing');
  });

  it('says where the script goes', async () => {
    const { stdout } = await vhd(['completion', '--help']);
    for (const place of ['bash-completion/completions/vhd', 'fpath', 'fish/completions/vhd.fish', '$PROFILE']) {
      expect(stdout).toContain(place);
    }
  });
});

/** A line with the cursor at its end, and what it may become. */
const OFFERS: readonly (readonly [line: string, words: readonly string[]])[] = [
  ['vhd con', ['convert']],
  ['vhd convert --to ', ['raw', 'fixed', 'dynamic']],
  ['vhd convert a b --to f', ['fixed']],
  ['vhd convert --fro', ['--from']],
  ['vhd convert --from raw --bitmap ', ['honour', 'ignore']],
  ['vhd create d.vhd 1G --type d', ['dynamic']],
  ['vhd read a --footer ', ['start', 'end']],
  ['vhd write a --progress ', ['auto', 'json', 'none']],
  ['vhd bench --rounds 3 --qui', ['--quiet']],
  ['vhd completion ', SHELLS],
  ['vhd help ben', ['bench']],
];

describeWithPeers(['bash'], 'bash', () => {
  /** What the function offers for words, the last of which is being typed. */
  async function offered(words: readonly string[]): Promise<string[]> {
    const script =
      'source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _vhd; printf "%s\\n" "${COMPREPLY[@]}"';
    const { stdout } = await runPeer('bash', [
      '--noprofile',
      '--norc',
      '-c',
      script,
      '-',
      folder.file('vhd.bash'),
      ...words,
    ]);
    return stdout.split('\n').filter((line) => line !== '');
  }

  it.each(OFFERS)('%s', async (line, words) => {
    expect((await offered(line.split(' '))).sort()).toEqual([...words].sort());
  });

  it('takes = between an option and its value, as bash splits them', async () => {
    expect(await offered(['vhd', 'convert', '--to', '=', 'f'])).toEqual(['fixed']);
    expect(await offered(['vhd', 'convert', '--to', '='])).toEqual(['raw', 'fixed', 'dynamic']);
    expect(await offered(['vhd', 'convert', '--to', '=', 'raw', '--forc'])).toEqual(['--force']);
  });

  it('offers no options behind --, nor for a verb that does not exist', async () => {
    expect(await offered(['vhd', 'convert', '--', '--'])).toEqual([]);
    expect(await offered(['vhd', 'frobnicate', '--'])).toEqual([]);
  });

  it('is no matter of what the options of the shell are', async () => {
    const line = `set -euo pipefail; source ${folder.file('vhd.bash')}; COMP_WORDS=(vhd convert --to f); COMP_CWORD=3; _vhd; echo "\${COMPREPLY[0]}"`;
    expect((await runPeer('bash', ['--noprofile', '--norc', '-c', line])).stdout).toBe('fixed\n');
  });
});

describeWithPeers(['bash', 'script'], 'bash on a terminal', () => {
  /** Types keys into a shell on a terminal when it is ready; resolves to the words that an `args` was called with. */
  async function typed(keys: string): Promise<string> {
    const result = folder.file('typed');
    await writeFile(result, '');
    const child = spawn('script', ['-qec', 'bash --noprofile --norc -i', '/dev/null'], {
      cwd: folder.file('here'),
      env: { ...process.env, TERM: 'dumb' },
      stdio: ['pipe', 'pipe', 'ignore'],
    });
    const setUp = `source '${folder.file('vhd.bash')}'; vhd() { printf '%s|' "$@" > '${result}'; exit; }; PS1='rea''dy> '\n`;
    child.stdin.write(setUp);
    let seen = '';
    let isTyped = false;
    for await (const chunk of child.stdout as AsyncIterable<Buffer>) {
      seen += chunk.toString();
      if (isTyped || !seen.includes('ready> ')) continue;
      isTyped = true;
      child.stdin.write(keys);
    }
    return readFile(result, 'utf8');
  }

  it('completes names of files, with quotes where they need them', async () => {
    expect(await typed('vhd conv\tdisk\tmy\t--to=f\t\n')).toBe('convert|disk.raw|my disk.vhd|--to=fixed|');
  });

  it('completes directories where one is wanted, and nothing where it cannot know', async () => {
    expect(await typed('vhd bench a\t --size disk\t\n')).toBe('bench|a folder/|--size|disk|');
  });
});

describeWithPeers(['zsh'], 'zsh', () => {
  it('completes verbs, options, values and names', async () => {
    const lines = [
      ...OFFERS.filter(([, words]) => words.length === 1),
      ['vhd bench a', ['a\\ folder/']],
      ['vhd convert my', ['my\\ disk.vhd']],
      ['vhd read x -o oth', ['other.vhd']],
      ['vhd convert --to=f', ['--to=fixed']],
      ['vhd --vers', ['--version']],
    ] as const;
    const keys = lines.map(([line]) => `zpty -w -n shell $'${line}\\C-t'`).join('\n');
    const script = [
      'zmodload zsh/zpty',
      `zpty shell ${findProgram('zsh') ?? 'zsh'} -f -i`,
      `zpty -w shell 'autoload -Uz compinit; compinit -D -u; source ${folder.file('vhd.zsh')}'`,
      // A key that completes and tells what the line has become.
      `zpty -w shell 'tell() { zle complete-word; print -r -- "$BUFFER" >> ${folder.file('zsh.out')}; BUFFER=""; }'`,
      `zpty -w shell 'zle -N tell; bindkey "^T" tell; echo rea""dy'`,
      "zpty -r -m shell output '*ready*'",
      keys,
      `zpty -w shell 'echo do""ne'`,
      "zpty -r -m shell output '*done*'",
    ].join('\n');
    const file = folder.file('type.zsh');
    await writeFile(file, `cd '${folder.file('here')}'\n${script}\n`);
    await runPeer('zsh', ['-f', file]);
    const became = (await readFile(folder.file('zsh.out'), 'utf8'))
      .trimEnd()
      .split('\n')
      .map((line) => line.replace(/=? *$/, ''));
    expect(became).toEqual(lines.map(([line, [word = '']]) => line.replace(/[^ ]*$/, () => word)));
  });

  it('works as a file of fpath', async () => {
    await mkdir(folder.file('fpath'));
    await writeFile(folder.file('fpath/_vhd'), await readFile(folder.file('vhd.zsh')));
    const line = `fpath=('${folder.file('fpath')}' $fpath); autoload -Uz compinit; compinit -D -u; print -r -- $_comps[vhd]; autoload +X _vhd`;
    expect((await runPeer('zsh', ['-f', '-c', line])).stdout).toBe('_vhd\n');
  });
});

describeWithPeers(['fish'], 'fish', () => {
  async function offered(line: string): Promise<string[]> {
    const script = `cd '${folder.file('here')}'; source '${folder.file('vhd.fish')}'; complete -C '${line}'`;
    const { stdout } = await runPeer('fish', ['--no-config', '-c', script]);
    return stdout.split('\n').flatMap((row) => (row === '' ? [] : [row.split('\t')[0] ?? '']));
  }

  it.each([
    ...OFFERS,
    ['vhd convert my', ['my disk.vhd']],
    ['vhd read x -o ', ['a folder/', 'disk.raw', 'my disk.vhd', 'other.vhd']],
    ['vhd bench ', ['a folder/']],
    ['vhd convert --to=f', ['--to=fixed']],
    ['vhd create --size d', []],
  ] as const)('%s', async (line, words) => {
    expect((await offered(line)).sort()).toEqual([...words].sort());
  });

  it('offers verbs and no files at first', async () => {
    expect((await offered('vhd ')).sort()).toEqual([...verbs, 'help'].sort());
  });
});

describe('PowerShell, which is not at hand: the script', () => {
  it('has its quotes and brackets in pairs, and its values right', async () => {
    const script = await readFile(folder.file('vhd.powershell'), 'utf8');
    // Without strings and comments only brackets are left to be counted.
    const bare = script
      .replaceAll(/^#.*$/gm, '')
      .replaceAll(/'(?:[^'\n]|'')*'/g, "''")
      .replaceAll(/"[^"\n]*"/g, '""');
    expect(bare.replaceAll("''", '')).not.toContain("'");
    expect(pairsLeft(bare)).toBe('');
    expect(script).toContain("'convert --to' = @('raw', 'fixed', 'dynamic')");
    expect(script).toContain("'completion 0' = @('bash', 'zsh', 'fish', 'powershell')");
    expect(script).toContain("creator application, one to four characters (default: ''win '')");
  });
});

/** The brackets of a text that have no partner. */
function pairsLeft(text: string): string {
  const open: string[] = [];
  for (const bracket of text.replaceAll(/[^[\](){}]/g, '')) {
    const partner = { ')': '(', ']': '[', '}': '{' }[bracket];
    if (partner === undefined) open.push(bracket);
    else if (open.pop() !== partner) return `${bracket} without ${partner}`;
  }
  return open.join('');
}

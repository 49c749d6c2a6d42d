import { execFileSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { escapeControls } from '../../../src/format/bytes.ts';
import { remedyFor, shellPath } from '../../../src/format/shell.ts';

const NAMES = ['disk.vhd', 'my disk.vhd', "it's.vhd", '$(id) `id` \\ "x".vhd', 'ü €.vhd', '🙂.vhd'];
const UNSEEN = [
  'two\nlines.vhd',
  "a'\\\t$HOME\u001b[31m.vhd",
  'left\u202eright.vhd',
  'zero\u200b1.vhd',
  '\u{e0001}2.vhd',
];

describe('a path in a command', () => {
  it.each([...NAMES, ...UNSEEN])('is the same path in a shell: %j', (name) => {
    const out = execFileSync('bash', ['-c', `printf %s ${shellPath(name)}`], { encoding: 'utf8' });

    expect(out).toBe(name);
    expect(escapeControls(shellPath(name))).toBe(shellPath(name));
  });

  it('is no option', () => {
    expect(shellPath('-f')).toBe('./-f');
    expect(shellPath('-\n')).toBe("$'./-\\012'");
  });

  it('stands in the place of FILE', () => {
    expect(remedyFor('vhd convert FILE FILE.vhd', 'a b')).toBe("vhd convert 'a b' 'a b.vhd'");
  });
});

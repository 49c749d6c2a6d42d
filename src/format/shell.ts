import { replaceUnseen } from './bytes.ts';

/** A path as it is written in a command of a shell; in bash's `$'…'`, which zsh and POSIX 2024 have too, if it cannot be seen. */
export function shellPath(path: string): string {
  const text = path.startsWith('-') ? `./${path}` : path;
  if (/^[\w./@%+=:,-]+$/.test(text)) return text;
  if (replaceUnseen(text, octal) === text) return `'${text.replaceAll("'", "'\\''")}'`;
  return `$'${replaceUnseen(text.replaceAll(/[\\']/g, '\\$&'), octal)}'`;
}

function octal(character: string): string {
  const bytes = new TextEncoder().encode(character);
  return Array.from(bytes, (byte) => `\\${byte.toString(8).padStart(3, '0')}`).join('');
}

/**
 * The command of a remedy, with `FILE` and `FILE.ending` replaced by a path. What came down a pipe (`-`) is spent: there
 * `FILE` stands for where it came from.
 */
export function remedyFor(command: string, path: string): string {
  if (path === '-') return command;
  return command.replaceAll(/FILE(\.\w+)?/g, (_match, ending: string | undefined) => shellPath(path + (ending ?? '')));
}

/** A path as it is written in a command of a shell. */
export function shellPath(path: string): string {
  const text = path.startsWith('-') ? `./${path}` : path;
  return /^[\w./@%+=:,-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

/**
 * The command of a remedy, with `FILE` and `FILE.ending` replaced by a path. What came down a pipe (`-`) is spent: there
 * `FILE` stands for where it came from.
 */
export function remedyFor(command: string, path: string): string {
  if (path === '-') return command;
  return command.replaceAll(/FILE(\.\w+)?/g, (_match, ending: string | undefined) => shellPath(path + (ending ?? '')));
}

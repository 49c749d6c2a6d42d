/** The command of a remedy, with `FILE` and `FILE.ending` replaced by a path. */
export function remedyFor(command: string, path: string): string {
  const name = path.startsWith('-') ? `./${path}` : path;
  return command.replaceAll(/FILE(\.\w+)?/g, (_match, ending: string | undefined) => shellQuote(name + (ending ?? '')));
}

function shellQuote(text: string): string {
  return /^[\w./@%+=:,-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

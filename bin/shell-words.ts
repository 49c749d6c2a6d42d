/** A word as a shell takes it: in quotes where it needs them. */
export function quoted(word: string): string {
  return /^[\w./@%+=:,-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

/** Words as a line for a shell. */
export function shellLine(words: readonly string[]): string {
  return words.map(quoted).join(' ');
}

// The words after the name of a script: what cannot be followed gets one sentence and the usage, not a stack.
import { type ParseArgsConfig, parseArgs } from 'node:util';

/** The flags and words that the process was called with. Ends it: with 0 for `--help`, with 2 for flags unknown. */
export function readWords<T extends ParseArgsConfig>(usage: string, config: T): ReturnType<typeof parseArgs<T>> {
  if (process.argv.slice(2).includes('--help')) {
    console.log(usage);
    process.exit(0);
  }
  try {
    return parseArgs(config);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    return refuse(usage, error.message);
  }
}

/** Says what is wrong with the words, and how they go; ends the process with 2. */
export function refuse(usage: string, sentence: string): never {
  console.error(`${sentence}\n\n${usage}`);
  process.exit(2);
}

// What says which cases of the fuzzer are run: for the process that runs them, and for whoever runs one again.

/** Which cases are run. */
export interface FuzzWords {
  readonly seed: number;
  /** The number of the first case. */
  readonly first: number;
  /** The number behind the last. */
  readonly end: number;
  /** Only images made here, or only real ones; undefined: both. */
  readonly only: 'made' | 'real' | undefined;
}

/** What runs a case again. */
export function rerunOf(seed: number, number: number, only?: 'made' | 'real'): string {
  const which = only === undefined ? '' : ` --only ${only}`;
  return `npm run test:fuzz -- --seed ${seed} --case ${number}${which}`;
}

/** How much a finding matters: an error makes some bytes unreadable or ambiguous, a warning will trouble some reader. */
export type Severity = 'error' | 'warning' | 'note';

/** One rule. Data: what is told of a finding, and what is done about it, is decided here and nowhere else. */
export interface Rule {
  /** How much breaking it matters, unless a finding says otherwise. */
  readonly severity: Severity;
  /** What is wrong, one sentence. */
  readonly message: string;
  /** What that means to whoever has such an image, one sentence. */
  readonly means: string;
  /**
   * The command that mends it: `FILE` stands for the path of the image, `NEW` for that of a new one, `PARENT` and `DIR` for
   * what only the user knows. Undefined where no command does.
   */
  readonly mend?: string;
  /** Why no command mends it, and what else can be done; undefined where one does. */
  readonly unmendable?: string;
}

/** The signals that ask the command to end. */
export type TerminationSignal = 'SIGINT' | 'SIGTERM' | 'SIGHUP';

/** What a shell shows for a program ended by the signal. */
export const EXIT_CODE_OF: Readonly<Record<TerminationSignal, number>> = {
  SIGINT: 130,
  SIGTERM: 143,
  SIGHUP: 129,
};

/** The reason with which a signal aborts what is going on. */
export class Interrupted extends Error {
  override readonly name = 'AbortError';
  readonly code = 'ABORT_ERR';
  readonly signal: TerminationSignal;

  constructor(signal: TerminationSignal) {
    super(signal === 'SIGINT' ? 'interrupted' : 'terminated');
    this.signal = signal;
  }
}

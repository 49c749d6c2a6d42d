import process from 'node:process';
import { EXIT_CODE_OF, Interrupted, type TerminationSignal } from './interrupted.ts';
import { run } from './program.ts';
import type { Io } from './session.ts';

const SIGNALS: readonly TerminationSignal[] = ['SIGINT', 'SIGTERM'];

/** Runs the command in this process: its streams, its signals, its exit code. */
export async function main(argv: readonly string[]): Promise<void> {
  const controller = new AbortController();
  for (const name of SIGNALS) {
    process.on(name, () => {
      // Whoever asks twice does not want to wait for the cleaning up.
      if (controller.signal.aborted) process.exit(EXIT_CODE_OF[name]);
      controller.abort(new Interrupted(name));
    });
  }
  const io = ioOf(controller.signal);
  process.exitCode = await run(argv, io);
  // A stream that is still open for reading, as after an error in the middle of a pipe, would keep the process alive.
  if (io.isStdinUsed()) process.stdin.destroy();
  if (controller.signal.aborted) process.exit();
}

/** The streams of the process, touched only when they are needed: each costs time to set up. */
function ioOf(signal: AbortSignal): Io & { isStdinUsed: () => boolean } {
  let isStdinUsed = false;
  // What goes wrong on them rejects the write that met it; without a listener it would end the process as well.
  const quietened = new Set<NodeJS.WriteStream>();
  const quiet = <Stream extends NodeJS.WriteStream>(stream: Stream): Stream => {
    if (!quietened.has(stream)) stream.on('error', () => undefined);
    quietened.add(stream);
    return stream;
  };
  return {
    env: process.env,
    signal,
    isStdinUsed: () => isStdinUsed,
    get stdin() {
      isStdinUsed = true;
      return process.stdin;
    },
    get stdout() {
      return quiet(process.stdout);
    },
    get stderr() {
      return quiet(process.stderr);
    },
  };
}

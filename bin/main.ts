import { createReadStream, createWriteStream, fstatSync } from 'node:fs';
import process from 'node:process';
import { EXIT_CODE_OF, Interrupted, type TerminationSignal } from './interrupted.ts';
import { run } from './program.ts';
import type { Io } from './session.ts';

/** Signals that come closer together than this mean the same. */
const PATIENCE_MILLISECONDS = 1000;
const SIGNALS: readonly TerminationSignal[] = ['SIGINT', 'SIGTERM', 'SIGHUP'];

/** Runs the command in this process: its streams, its signals, its exit code. */
export async function main(argv: readonly string[]): Promise<void> {
  const controller = new AbortController();
  let abortedAt = 0;
  for (const name of SIGNALS) {
    process.on(name, () => {
      // Whoever asks again after a while does not want to wait for the cleaning up. Two at once are one: what ends a
      // process often signals it and its group.
      if (!controller.signal.aborted) abortedAt = performance.now();
      else if (performance.now() - abortedAt > PATIENCE_MILLISECONDS) process.exit(EXIT_CODE_OF[name]);
      controller.abort(new Interrupted(name));
    });
  }
  const io = ioOf(controller.signal);
  process.exitCode = await run(argv, io);
  // A stream that is still open for reading, as after an error in the middle of a pipe, would keep the process alive.
  io.closeStdin();
  if (controller.signal.aborted) process.exit();
}

/**
 * A file that is standard input is read in larger pieces than `process.stdin` does, which takes half as long. A block
 * device is nothing at all to `process.stdin`: it would read no bytes from it and not say so.
 */
function openStdin(): Io['stdin'] {
  if (!isFileOrDevice(0)) return process.stdin;
  return createReadStream('', { fd: 0, autoClose: false, highWaterMark: 512 * 1024 });
}

/**
 * To a file, `process.stdout` writes once and forgets what did not fit, as on a full disk; this stream goes on or fails.
 * To a block device `process.stdout` writes nothing and does not say so.
 */
function openStdout(): NodeJS.WriteStream {
  if (!isFileOrDevice(1)) return process.stdout;
  const stream = createWriteStream('', { fd: 1, autoClose: false, highWaterMark: 512 * 1024 });
  return stream as unknown as NodeJS.WriteStream;
}

function isFileOrDevice(fd: number): boolean {
  const stats = fstatSync(fd);
  return stats.isFile() || stats.isBlockDevice();
}

/** The streams of the process, touched only when they are needed: each costs time to set up. */
function ioOf(signal: AbortSignal): Io & { closeStdin: () => void } {
  let stdin: Io['stdin'] | undefined;
  let stdout: NodeJS.WriteStream | undefined;
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
    closeStdin: () => stdin?.destroy(),
    get stdin() {
      return (stdin ??= openStdin());
    },
    get stdout() {
      return quiet((stdout ??= openStdout()));
    },
    get stderr() {
      return quiet(process.stderr);
    },
  };
}

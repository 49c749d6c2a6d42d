import { createReadStream, type Stats } from 'node:fs';
import { open, stat } from 'node:fs/promises';
import type { Readable, Writable } from 'node:stream';
import { refuseSameFile as refuseSame } from '../src/ops/same-file.ts';
import { UsageError } from './errors.ts';
import type { Session } from './session.ts';

const CHUNK_BYTES = 512 * 1024;

/**
 * The bytes of what can be read only once: `-`, a pipe, a character device. Undefined for everything else.
 * @throws UsageError if standard input is a terminal
 */
export async function streamSource(session: Session, name: string): Promise<Readable | undefined> {
  const { signal } = session.io;
  if (name === '-') {
    if (session.io.stdin.isTTY === true) {
      throw new UsageError(
        'standard input is a terminal: expected data from a pipe or a file',
        'pipe something in, or name a file',
      );
    }
    // Loaded when it is needed, as below: files are converted without it, and it takes longer to load than this command.
    const { addAbortSignal } = await import('node:stream');
    return addAbortSignal(signal, session.io.stdin);
  }
  const stats = await statOrNothing(name);
  if (stats?.isFIFO() === true) return (await import('./fifo.ts')).openFifoSource(name, signal);
  return stats?.isCharacterDevice() === true ? openStream(name, signal) : undefined;
}

function openStream(name: string, signal: AbortSignal): Readable {
  return createReadStream(name, { highWaterMark: CHUNK_BYTES, signal });
}

/** A target that takes bytes in order only. */
export interface StreamTarget {
  readonly stream: Writable;
  /** To be called when everything is written. */
  readonly finish: () => Promise<void>;
}

/**
 * The stream behind what can be written only once: `-`, a pipe, a character device. Undefined for everything else.
 * @throws UsageError if it is a terminal
 */
export async function streamTarget(session: Session, name: string): Promise<StreamTarget | undefined> {
  if (name === '-') {
    const { stdout } = session.io;
    if (stdout.isTTY === true) throw terminalError();
    return { stream: stdout, finish: () => Promise.resolve() };
  }
  const stats = await statOrNothing(name);
  if (stats?.isFIFO() === true) {
    const { openFifoTarget } = await import('./fifo.ts');
    return ending(await openFifoTarget(name, session.io.signal));
  }
  if (stats?.isCharacterDevice() !== true) return undefined;
  const handle = await open(name, 'w');
  const { isatty } = await import('node:tty');
  if (isatty(handle.fd)) {
    await handle.close();
    throw terminalError();
  }
  return ending(handle.createWriteStream());
}

/** A stream that is ours to end. */
function ending(stream: Writable): StreamTarget {
  // Between two writes nobody listens; finishing it tells what went wrong.
  stream.on('error', () => undefined);
  const finish = async (): Promise<void> => {
    const { finished } = await import('node:stream/promises');
    stream.end();
    await finished(stream);
  };
  return { stream, finish };
}

function terminalError(): UsageError {
  return new UsageError(
    'the output is a terminal, and it would get binary data',
    'send it to a pipe or a file: > FILE',
  );
}

/**
 * Refuses to write over what is being read.
 * @throws VhdError `ERR_VHD_SAME_FILE`
 */
export async function refuseSameFile(source: string, target: string): Promise<void> {
  if (source === '-' || target === '-') return;
  await refuseSame(source, target);
}

/** What the system says about a name; undefined if there is nothing. */
export async function statOrNothing(name: string): Promise<Stats | undefined> {
  return stat(name).catch(() => undefined);
}

import { constants, openSync } from 'node:fs';
import { Socket } from 'node:net';
import { setTimeout } from 'node:timers/promises';

/** How long to wait before asking again whether somebody reads a pipe. */
const RETRY_MILLISECONDS = 50;

/**
 * A named pipe to be read. Opened without waiting for a writer: an open that waits blocks a thread, and the process
 * could be ended by nothing but SIGKILL.
 */
export function openFifoSource(name: string, signal: AbortSignal): Socket {
  const fd = openSync(name, constants.O_RDONLY | constants.O_NONBLOCK);
  return endingWith(new Socket({ fd, readable: true, writable: false }), signal);
}

/** A named pipe to be written; waits until somebody reads it, or the signal is aborted. */
export async function openFifoTarget(name: string, signal: AbortSignal): Promise<Socket> {
  for (;;) {
    signal.throwIfAborted();
    const fd = tryOpen(name);
    if (fd !== undefined) return endingWith(new Socket({ fd, readable: false, writable: true }), signal);
    await setTimeout(RETRY_MILLISECONDS, undefined, { signal }).catch(() => signal.throwIfAborted());
  }
}

/** Opens it for writing; undefined while nobody reads it. */
function tryOpen(name: string): number | undefined {
  try {
    return openSync(name, constants.O_WRONLY | constants.O_NONBLOCK);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENXIO') return undefined;
    throw error;
  }
}

function endingWith(socket: Socket, signal: AbortSignal): Socket {
  const stop = (): void => {
    socket.destroy(signal.reason as Error);
  };
  // Whoever reads or writes it hears of its errors; before and after that nobody does, and nobody needs to.
  socket.on('error', () => undefined);
  if (signal.aborted) stop();
  signal.addEventListener('abort', stop, { once: true });
  socket.once('close', () => signal.removeEventListener('abort', stop));
  return socket;
}

import { Readable, type Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';

/**
 * Sends bytes down a stream without ending it, and resolves when the stream has passed on all of them: without the last
 * wait an error of its last writes would go unheard.
 */
export async function pumpTo(
  bytes: AsyncIterable<Uint8Array>,
  target: Writable,
  signal: AbortSignal | undefined,
): Promise<void> {
  const source = Readable.from(bytes, { objectMode: false });
  await pipeline(source, target, { end: false, ...(signal === undefined ? {} : { signal }) });
  await new Promise<void>((resolve, reject) => {
    // The stream tells the callback and emits: the listener keeps the event from ending the process.
    target.once('error', reject);
    target.write(new Uint8Array(0), (error) => {
      target.off('error', reject);
      if (error === null || error === undefined) resolve();
      else reject(error);
    });
  });
}

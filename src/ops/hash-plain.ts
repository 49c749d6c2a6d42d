import { createHash, type Hash } from 'node:crypto';
import { setImmediate } from 'node:timers/promises';
import { checkOptionNames } from '../errors.ts';
import { piecesOf, readAhead, storedPieces } from '../stream/read-ahead.ts';
import type { HashedDisk, HashOptions } from './hash.ts';
import { ProgressMeter } from './progress.ts';

const ZEROS = new Uint8Array(1024 * 1024);

/**
 * The SHA-256 of all bytes of a disk in a row, as 64 hex digits: what `sha256sum` says of the raw disk. What is known to be
 * zero is not read, but hashed it must be: it takes as long as the disk is large.
 */
export async function sha256OfDisk(disk: HashedDisk, options: HashOptions = {}): Promise<string> {
  checkOptionNames('sha256OfDisk', options, ['signal', 'onProgress']);
  const { signal, onProgress } = options;
  signal?.throwIfAborted();
  const meter = new ProgressMeter('hash', disk.size, onProgress);
  const hash = createHash('sha256');
  let position = 0;
  const zerosUpTo = (end: number): Promise<void> => addZeros(hash, { start: position, end, meter, signal });
  for await (const { start, length, bytes, release } of readAhead(disk, storedPieces(disk), { signal })) {
    await zerosUpTo(start);
    hash.update(bytes);
    release();
    position = start + length;
    meter.copied(length);
  }
  await zerosUpTo(disk.size);
  meter.finish();
  return hash.digest('hex');
}

interface Gap {
  readonly start: number;
  readonly end: number;
  readonly meter: ProgressMeter;
  readonly signal: AbortSignal | undefined;
}

async function addZeros(hash: Hash, { start, end, meter, signal }: Gap): Promise<void> {
  for (const { length } of piecesOf(start, end, ZEROS.length)) {
    hash.update(ZEROS.subarray(0, length));
    meter.skipped(length);
    // Nothing here waits for the system: without a turn nobody could stop it.
    await setImmediate();
    signal?.throwIfAborted();
  }
}

import { Readable, Writable } from 'node:stream';
import { type ByteRange, type Disk, resolveRange } from '../disk/disk.ts';
import { checkOptionNames, checkRange, VhdError } from '../errors.ts';
import { GatheringWriter } from './gathering-writer.ts';
import { piecesOf, readAhead } from './read-ahead.ts';

/** A stretch of a disk to stream, and how it may be stopped. */
export interface ReadStreamOptions extends ByteRange {
  /** Aborts the stream, which then ends with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

const READ_STREAM_OPTIONS = ['start', 'length', 'signal'];
/** Bytes of a chunk: small enough to pass through a pipe in a few turns, large enough that calls do not matter. */
const CHUNK_BYTES = 512 * 1024;

/**
 * The bytes of a disk, or of a range of it, as a Node stream. Reads ahead, so that disk and consumer overlap; holds
 * about 3 MiB. Does not close the disk.
 * @throws RangeError if the range does not lie on the disk
 */
export function createReadStream(disk: Disk, options: ReadStreamOptions = {}): Readable {
  checkOptionNames('createReadStream', options, READ_STREAM_OPTIONS);
  const { start, end } = resolveRange('createReadStream', options, disk.size);
  const { signal } = options;
  const stream = Readable.from(chunks(disk, start, end, signal), { objectMode: false, highWaterMark: CHUNK_BYTES });
  return endOnAbort(stream, signal);
}

/** Destroys a stream with the signal's reason when that is aborted; Node's own option would wrap it in an AbortError. */
function endOnAbort<T extends Readable | Writable>(stream: T, signal: AbortSignal | undefined): T {
  if (signal === undefined) return stream;
  const stop = (): void => {
    stream.destroy(signal.reason as Error);
  };
  if (signal.aborted) stop();
  signal.addEventListener('abort', stop, { once: true });
  stream.once('close', () => signal.removeEventListener('abort', stop));
  return stream;
}

async function* chunks(disk: Disk, start: number, end: number, signal?: AbortSignal): AsyncGenerator<Buffer> {
  // The buffers are not handed back: a consumer may keep a chunk for as long as it likes.
  for await (const { bytes } of readAhead(disk, piecesOf(start, end, CHUNK_BYTES), { signal })) {
    yield Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }
}

/** The same as {@link createReadStream} as a web stream of bytes. */
export function webReadable(disk: Disk, options: ReadStreamOptions = {}): ReadableStream<Uint8Array> {
  return Readable.toWeb(createReadStream(disk, options)) as ReadableStream<Uint8Array>;
}

/** Where a write stream begins, and how it may be stopped. */
export interface WriteStreamOptions {
  /** First byte on the disk; default 0. */
  readonly start?: number | undefined;
  /** Aborts the stream, which is then destroyed with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

const WRITE_STREAM_OPTIONS = ['start', 'signal'];

/**
 * A Node stream whose bytes go to the disk from `start` on. Small chunks leave together, several writes are on their way
 * at a time, `finish` comes after a flush. Bytes past the end of the disk are an error (`ERR_VHD_SIZE`); those before are written. Destroyed at
 * any point it leaves the disk valid: what was written is there or is not. Does not close the disk.
 * @throws RangeError if `start` does not lie on the disk
 */
export function createWriteStream(disk: Disk, options: WriteStreamOptions = {}): Writable {
  checkOptionNames('createWriteStream', options, WRITE_STREAM_OPTIONS);
  const { start = 0, signal } = options;
  checkRange('createWriteStream', start, 0, disk.size);
  const writer = new GatheringWriter(disk, start);
  let position = start;
  const accept = async (chunk: Uint8Array): Promise<void> => {
    const fitting = chunk.subarray(0, disk.size - position);
    await writer.write(fitting);
    if (fitting.length < chunk.length) {
      await writer.end();
      throw tooLongError(disk, position + chunk.length);
    }
    position += chunk.length;
  };
  const stream = new Writable({
    highWaterMark: CHUNK_BYTES,
    decodeStrings: true,
    write(chunk: Uint8Array, _encoding, done) {
      accept(chunk).then(() => done(), done);
    },
    final(done) {
      writer
        .end()
        .then(() => disk.flush())
        .then(() => done(), done);
    },
    destroy(error, done) {
      // Calls on their way still use the disk: the stream is gone only when they are.
      writer.stop().then(
        () => done(error),
        () => done(error),
      );
    },
  });
  return endOnAbort(stream, signal);
}

function tooLongError(disk: Disk, byteLength: number): VhdError {
  return new VhdError(
    'ERR_VHD_SIZE',
    `the stream is longer than the disk: expected at most ${disk.size} bytes, found ${byteLength} or more`,
    {
      offset: disk.size,
      expected: `at most ${disk.size} bytes`,
      found: `${byteLength} bytes or more`,
    },
  );
}

import type { PlacedBytes } from './storage.ts';

/** Reads or writes that one call of the system takes. */
export const MAX_BATCH = 256;
/**
 * Contexts at most: as many as there are threads for such calls. All programs of a system have 65536 places together, unless
 * its owner gave more, of which each of these takes 512.
 */
const MAX_CONTEXTS = 4;
/** How often the system may fail to say that writes have ended. */
const REAP_ATTEMPTS = 100;

// The structures of linux/aio_abi.h, the same on every 64-bit little-endian system.
const IOCB_BYTES = 64;
const IO_EVENT_BYTES = 32;
const IOCB_CMD_PREAD = 0;
const IOCB_CMD_PWRITE = 1;

/** The calls of the system that batches are made of. */
export interface BatchCalls {
  /** Makes a context for `MAX_BATCH` writes (io_setup(2)); undefined if there is none to be had. */
  setUp(): bigint | undefined;
  /** Begins `count` requests, given an array of pointers to them (io_submit(2)); how many, or -1. On another thread. */
  submit(context: bigint, count: number, pointers: Uint8Array): Promise<number>;
  /** Fills `events` with what has ended, at once (io_getevents(2)); how many, or -1. */
  ended(context: bigint, limit: number, events: Uint8Array): number;
  /** The same, waiting for one at least, on another thread. */
  waitEnded(context: bigint, limit: number, events: Uint8Array): Promise<number>;
  /** Address in memory of the first byte of an array. */
  addressOf(bytes: Uint8Array): bigint;
}

/** Bytes, and where in which file they go, or come from. */
export interface FilePiece extends PlacedBytes {
  /** The open file. */
  readonly fd: number;
}

/** A context of the system for writes under way, and the memory that the two share. */
interface BatchContext {
  readonly id: bigint;
  readonly requests: DataView;
  readonly pointers: Uint8Array;
  readonly events: Uint8Array;
}

/**
 * Writes many pieces of a file by one call of the system (io_submit(2)) on another thread. For files whose pages the
 * system caches that call carries them out one after the other before it returns, so that the price of a trip to the
 * other thread, ten times that of the write, is paid once.
 */
export class BatchWriter {
  readonly #calls: BatchCalls;
  readonly #idle: BatchContext[] = [];
  #opened = 0;

  constructor(system: BatchCalls) {
    this.#calls = system;
  }

  /** Reads what it can; resolves to the targets, or the parts of targets, that are still to be filled. */
  read(reads: readonly FilePiece[]): Promise<readonly FilePiece[]> {
    return this.#inBatches(IOCB_CMD_PREAD, reads);
  }

  /** Writes what it can; resolves to the pieces, or the parts of pieces, that are still to be written. */
  write(fd: number, writes: readonly PlacedBytes[]): Promise<readonly PlacedBytes[]> {
    return this.#inBatches(
      IOCB_CMD_PWRITE,
      writes.map(({ position, bytes }) => ({ fd, position, bytes })),
    );
  }

  async #inBatches(command: number, pieces: readonly FilePiece[]): Promise<readonly FilePiece[]> {
    const left: FilePiece[] = [];
    for (let first = 0; first < pieces.length; first += MAX_BATCH) {
      left.push(...(await this.#move(command, pieces.slice(first, first + MAX_BATCH))));
    }
    return left;
  }

  async #move(command: number, pieces: readonly FilePiece[]): Promise<readonly FilePiece[]> {
    const context = this.#idle.pop() ?? this.#open();
    if (context === undefined) return pieces;
    this.#fill(context.requests, command, pieces);
    const count = await this.#calls.submit(context.id, pieces.length, context.pointers);
    // Only some, or none (-1): the rest goes one by one, and says itself what is wrong.
    const submitted = Math.max(count, 0);
    const left = [...pieces.slice(submitted)];
    const view = new DataView(context.events.buffer);
    for (let reaped = 0; reaped < submitted; ) {
      const found = await this.#reap(context, submitted - reaped);
      for (let index = 0; index < found; index++) {
        const request = view.getUint32(index * IO_EVENT_BYTES, true);
        // One piece is far below 2 GiB here, and an error below 0: the lower half of the number says it.
        const moved = Math.max(view.getInt32(index * IO_EVENT_BYTES + 16, true), 0);
        const piece = pieces[request];
        if (piece === undefined || moved >= piece.bytes.length) continue;
        left.push({ ...piece, bytes: piece.bytes.subarray(moved), position: piece.position + moved });
      }
      reaped += found;
    }
    this.#idle.push(context);
    return left;
  }

  /** Waits for at least one of them to end, and returns how many did. */
  async #reap({ id, events }: BatchContext, limit: number): Promise<number> {
    // Most often all of them have ended by now.
    const found = this.#calls.ended(id, limit, events);
    if (found > 0) return found;
    // Interrupted by a signal it fails, and is asked again: until they have ended, the writes use our memory.
    for (let attempt = 0; attempt < REAP_ATTEMPTS; attempt++) {
      const waited = await this.#calls.waitEnded(id, limit, events);
      if (waited > 0) return waited;
    }
    throw new Error('the system does not tell whether writes have ended');
  }

  #open(): BatchContext | undefined {
    if (this.#opened >= MAX_CONTEXTS) return undefined;
    const id = this.#calls.setUp();
    if (id === undefined) return undefined;
    this.#opened++;
    const requests = new Uint8Array(MAX_BATCH * IOCB_BYTES);
    const pointers = new BigUint64Array(MAX_BATCH);
    const base = this.#calls.addressOf(requests);
    for (let index = 0; index < MAX_BATCH; index++) pointers[index] = base + BigInt(index * IOCB_BYTES);
    return {
      id,
      requests: new DataView(requests.buffer),
      pointers: new Uint8Array(pointers.buffer),
      events: new Uint8Array(MAX_BATCH * IO_EVENT_BYTES),
    };
  }

  #fill(requests: DataView, command: number, pieces: readonly FilePiece[]): void {
    let buffer: ArrayBufferLike | undefined;
    let base = 0;
    for (const [index, { fd, bytes, position }] of pieces.entries()) {
      if (bytes.buffer !== buffer) {
        buffer = bytes.buffer;
        base = Number(this.#calls.addressOf(new Uint8Array(buffer)));
      }
      const at = index * IOCB_BYTES;
      requests.setUint32(at, index, true);
      requests.setUint16(at + 16, command, true);
      requests.setUint32(at + 20, fd, true);
      setUint64(requests, at + 24, base + bytes.byteOffset);
      requests.setUint32(at + 32, bytes.length, true);
      setUint64(requests, at + 40, position);
    }
  }
}

/** Addresses of programs have 47 bits: they, lengths and positions are exact as numbers, which are quicker than bigints. */
function setUint64(view: DataView, offset: number, value: number): void {
  view.setUint32(offset, value % 2 ** 32, true);
  view.setUint32(offset + 4, Math.floor(value / 2 ** 32), true);
}

/** Bytes of the check behind a block, by its type (the .xz file format, 2.1.1.2). */
const CHECK_BYTES = [0, 4, 4, 4, 8, 8, 8, 16, 16, 16, 32, 32, 32, 64, 64, 64];
const FLAGS_OFFSET = 7;
const HEADER_CRC_BYTES = 4;
/** CRC-32 of the index, and the footer of the stream. */
const STREAM_END_BYTES = 4 + 12;

/** Yields how many bytes may be passed over, takes the byte behind them, returns how many to pass over next. */
type Walk = Generator<number, number, number>;

/**
 * Follows the structure of xz data to the header of every stream in it, which the decoder does not tell of: it decodes
 * several as one. Trusts every length, for the decoder sees the same bytes and refuses those that are damaged.
 */
export class XzChecks {
  readonly #walk: Walk;
  #skip: number;

  /** Calls `onCheck` with the type of check of each stream, 0 for none. */
  constructor(onCheck: (type: number) => void) {
    this.#walk = streams(onCheck);
    this.#skip = this.#walk.next().value;
  }

  /** Follows the next bytes. */
  take(chunk: Uint8Array): void {
    let position = this.#skip;
    for (let byte = chunk[position]; byte !== undefined; byte = chunk[position]) {
      position += 1 + this.#walk.next(byte).value;
    }
    this.#skip = position - chunk.length;
  }
}

function* streams(onCheck: (type: number) => void): Walk {
  let skip = 0;
  for (;;) {
    // The first byte of the mark, or padding between streams.
    if ((yield skip) === 0) {
      skip = 0;
      continue;
    }
    const type = (yield FLAGS_OFFSET - 1) & 15;
    onCheck(type);
    skip = yield* blocks(CHECK_BYTES[type] ?? 0);
    skip = yield* index(skip);
  }
}

/** Passes over the blocks (3.1); the byte that begins the index, 0, is taken. */
function* blocks(checkBytes: number): Walk {
  let skip = HEADER_CRC_BYTES;
  for (;;) {
    const headerSize = yield skip;
    if (headerSize === 0) return 0;
    skip = (yield* chunks((headerSize + 1) * 4 - 1)) + checkBytes;
  }
}

/** Passes over the chunks of LZMA2 behind the rest of a header; what follows is padding to a multiple of four. */
function* chunks(headerRest: number): Walk {
  let skip = headerRest;
  let byteLength = 0;
  for (;;) {
    const control = yield skip;
    byteLength++;
    if (control === 0) return padding(byteLength);
    // Compressed ones have their size behind that of their content, and in front of a byte of properties, if any.
    const isStored = control < 0x80;
    const high = yield isStored ? 0 : 2;
    const low = yield 0;
    skip = high * 256 + low + 1 + (control >= 0xc0 ? 1 : 0);
    byteLength += (isStored ? 2 : 4) + skip;
  }
}

/** Passes over the rest of an index (4): the number of its records, and two numbers for each. */
function* index(firstSkip: number): Walk {
  let skip = firstSkip;
  let byteLength = 1;
  let left = 1;
  for (let isCount = true; left > 0; isCount = false) {
    let value = 0;
    let unit = 1;
    let byte: number;
    do {
      byte = yield skip;
      skip = 0;
      byteLength++;
      value += (byte & 0x7f) * unit;
      unit *= 128;
    } while (byte >= 0x80);
    left = isCount ? 2 * value : left - 1;
  }
  return padding(byteLength) + STREAM_END_BYTES;
}

function padding(byteLength: number): number {
  return (4 - (byteLength % 4)) % 4;
}

import { ZSTD_HEAD_BYTES, zstdLacksChecksum } from '../format/compression.ts';
import type { CompressedInput } from './compressed-input.ts';
import { INPUT_BYTES, takeOut } from './compressed-input.ts';
import type { ZstdModule } from './wasm-decoders.ts';

const OUTPUT_BYTES = 512 * 1024;

/** Bytes of a pointer and two sizes, which is how libzstd takes a buffer. */
const BUFFER_BYTES = 12;
const SIZE_OFFSET = 4;
const POSITION_OFFSET = 8;

/** Error codes of libzstd (`zstd_errors.h`), as `ZSTD_decompressStream` returns them. */
const PREFIX_UNKNOWN = -10;
const PARAMETER_UNSUPPORTED = -14;
const WINDOW_TOO_LARGE = -16;
const CHECKSUM_WRONG = -22;
const DICTIONARY_WRONG = -32;
const OUT_OF_MEMORY = -64;

/**
 * Decodes zstd: any number of frames, skippable ones among them. The checksum and the size of a frame are verified where
 * it has them; windows up to 128 MiB (`--long=27`) are taken. Chunks of zeros are shared: they must not be written to.
 */
export async function* unzstd(input: CompressedInput): AsyncGenerator<Uint8Array> {
  const { instantiateZstd } = await import('./wasm-decoders.ts');
  const context = new ZstdContext(await instantiateZstd());
  const { reader } = input;
  const head = new FrameHead();
  let isInFrame = false;
  let frameEnd = 0;
  for (;;) {
    const chunk = await reader.next(INPUT_BYTES);
    if (chunk === undefined) break;
    const start = reader.position - chunk.length;
    context.supply(chunk);
    for (;;) {
      const from = context.position;
      const { code, bytes, isDrained } = context.step();
      if (head.take(chunk.subarray(from, context.position), isInFrame)) input.lacksChecksum = true;
      if (code < 0) throw zstdError(input, code, isInFrame ? start + context.position : frameEnd);
      isInFrame = code > 0;
      if (!isInFrame) frameEnd = start + context.position;
      if (bytes.length > 0) yield bytes;
      if (isDrained) break;
      await input.pause();
    }
  }
  if (isInFrame) throw input.truncated();
}

/** The first bytes of each frame, which tell whether it has a checksum. */
class FrameHead {
  readonly #bytes = new Uint8Array(ZSTD_HEAD_BYTES);
  #length = 0;

  /** Takes what the decoder took; true if that makes it clear that a frame has no checksum. */
  take(taken: Uint8Array, isInFrame: boolean): boolean {
    if (!isInFrame) this.#length = 0;
    if (this.#length === ZSTD_HEAD_BYTES) return false;
    const more = taken.subarray(0, ZSTD_HEAD_BYTES - this.#length);
    this.#bytes.set(more, this.#length);
    this.#length += more.length;
    return this.#length === ZSTD_HEAD_BYTES && zstdLacksChecksum(this.#bytes);
  }
}

function zstdError(input: CompressedInput, code: number, offset: number): Error {
  switch (code) {
    case PREFIX_UNKNOWN:
      return input.trailing(offset);
    case CHECKSUM_WRONG:
      return input.corrupt(offset, 'the checksum is not that of the content');
    case WINDOW_TOO_LARGE:
      return input.unsupported(
        'ERR_VHD_LIMIT',
        'needs a window of more than 128 MiB, as made by zstd --long=28 and more',
        'a window of at most 128 MiB',
        'a larger one',
      );
    case DICTIONARY_WRONG:
      return input.unsupported('ERR_VHD_UNSUPPORTED', 'was made with a dictionary', 'none', 'a dictionary');
    case PARAMETER_UNSUPPORTED:
      return input.corrupt(offset, 'a frame header says what no version knows');
    case OUT_OF_MEMORY:
      return input.unsupported('ERR_VHD_LIMIT', 'needs more memory than there is', 'enough memory', 'too little');
    default:
      return input.corrupt(offset, `it does not decode (code ${-code} of libzstd)`);
  }
}

interface Step {
  /** 0: a frame is complete; positive: there is more of one; negative: an error. */
  readonly code: number;
  /** What came out. */
  readonly bytes: Uint8Array;
  /** True if the input is used up and nothing waits to come out. */
  readonly isDrained: boolean;
}

/** A decoder, its two buffers, and their descriptions in its memory. */
class ZstdContext {
  readonly #module: ZstdModule;
  readonly #context: number;
  readonly #input: number;
  readonly #output: number;
  /** Where the input buffer is described; that of the output follows. */
  readonly #buffers: number;
  #inputBytes = 0;

  constructor(module: ZstdModule) {
    this.#module = module;
    this.#context = module.ZSTD_createDCtx();
    this.#input = module.malloc(INPUT_BYTES);
    this.#output = module.malloc(OUTPUT_BYTES);
    this.#buffers = module.malloc(2 * BUFFER_BYTES);
    if ([this.#context, this.#input, this.#output, this.#buffers].includes(0)) {
      throw new RangeError('there is no memory for a zstd decoder');
    }
  }

  /** Bytes of the input that were taken. */
  get position(): number {
    return this.#view().getUint32(this.#buffers + POSITION_OFFSET, true);
  }

  /** Replaces the input, which must be used up. */
  supply(chunk: Uint8Array): void {
    new Uint8Array(this.#module.memory.buffer).set(chunk, this.#input);
    this.#describe(this.#buffers, this.#input, chunk.length);
    this.#inputBytes = chunk.length;
  }

  step(): Step {
    const output = this.#buffers + BUFFER_BYTES;
    this.#describe(output, this.#output, OUTPUT_BYTES);
    const code = this.#module.ZSTD_decompressStream(this.#context, output, this.#buffers);
    const byteLength = this.#view().getUint32(output + POSITION_OFFSET, true);
    const bytes = takeOut(this.#module.memory.buffer, this.#output, byteLength);
    // A full output buffer may leave something behind in the middle of a frame, even where the input is used up.
    const isFlushed = code === 0 || byteLength < OUTPUT_BYTES;
    return { code, bytes, isDrained: isFlushed && this.position === this.#inputBytes };
  }

  #describe(at: number, pointer: number, byteLength: number): void {
    const view = this.#view();
    view.setUint32(at, pointer, true);
    view.setUint32(at + SIZE_OFFSET, byteLength, true);
    view.setUint32(at + POSITION_OFFSET, 0, true);
  }

  #view(): DataView {
    return new DataView(this.#module.memory.buffer);
  }
}

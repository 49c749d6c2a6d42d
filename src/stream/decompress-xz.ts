import type { CompressedInput } from './compressed-input.ts';
import { INPUT_BYTES, takeOut } from './compressed-input.ts';
import type { XzModule } from './wasm-decoders.ts';
import { XzChecks } from './xz-checks.ts';

/** Codes of XZ Embedded (`enum xz_ret` in `xz.h`). */
const XZ_OK = 0;
const XZ_STREAM_END = 1;
const XZ_MEM_ERROR = 3;
const XZ_MEMLIMIT_ERROR = 4;
const XZ_FORMAT_ERROR = 5;
const XZ_OPTIONS_ERROR = 6;
const XZ_BUF_ERROR = 8;

/**
 * Decodes xz: any number of streams and blocks, padding between and behind streams. CRC-32 and CRC-64 of the content and
 * those of headers and index are verified, as are all sizes; content with another check, with a filter before LZMA2 or a
 * dictionary above 64 MiB is refused. Chunks of zeros are shared: they must not be written to.
 */
export async function* unxz(input: CompressedInput): AsyncGenerator<Uint8Array> {
  const { instantiateXz } = await import('./wasm-decoders.ts');
  const context = new XzContext(await instantiateXz());
  const { reader } = input;
  const checks = new XzChecks((type) => (input.lacksChecksum ||= type === 0));
  for (;;) {
    const chunk = await reader.next(INPUT_BYTES);
    const start = reader.position - (chunk?.length ?? 0);
    context.supply(chunk ?? new Uint8Array(0));
    if (chunk !== undefined) checks.take(chunk);
    for (;;) {
      const { code, bytes, isDrained } = context.step();
      if (bytes.length > 0) yield bytes;
      if (code === XZ_STREAM_END) return;
      if (code !== XZ_OK) throw xzError(input, code, start + context.position);
      if (isDrained && chunk !== undefined) break;
      await input.pause();
    }
  }
}

function xzError(input: CompressedInput, code: number, offset: number): Error {
  switch (code) {
    case XZ_BUF_ERROR:
      return input.truncated();
    case XZ_FORMAT_ERROR:
      return input.trailing(offset);
    case XZ_MEM_ERROR:
    case XZ_MEMLIMIT_ERROR:
      return input.unsupported(
        'ERR_VHD_LIMIT',
        'needs a dictionary of more than 64 MiB, as no preset of xz makes it',
        'a dictionary of at most 64 MiB',
        'a larger one',
      );
    case XZ_OPTIONS_ERROR:
      return input.unsupported(
        'ERR_VHD_UNSUPPORTED',
        'has a check other than CRC-32 and CRC-64 (such as SHA-256), or a filter before LZMA2 (such as x86)',
        'CRC-32, CRC-64 or no check, and no filter',
        'another check or a filter',
      );
    default:
      return input.corrupt(offset, 'it does not decode, or a checksum is not that of the content');
  }
}

/** Where the description of the buffers has what: numbers of 32 bits from the start of a context. */
const INPUT_POINTER = 4;
const INPUT_POSITION = 8;
const OUTPUT_POINTER = 16;
const OUTPUT_POSITION = 20;
const OUTPUT_SIZE = 24;

interface Step {
  readonly code: number;
  /** What came out. */
  readonly bytes: Uint8Array;
  /** True if the input is used up and nothing waits to come out. */
  readonly isDrained: boolean;
}

/** A decoder with its buffers of 64 KiB each. */
class XzContext {
  readonly #module: XzModule;
  readonly #context: number;
  #inputBytes = 0;

  constructor(module: XzModule) {
    this.#module = module;
    this.#context = module.create_context();
    if (this.#context === 0 || this.#get(OUTPUT_SIZE) < INPUT_BYTES) {
      throw new RangeError('there is no memory for an xz decoder');
    }
  }

  /** Bytes of the input that were taken. */
  get position(): number {
    return this.#get(INPUT_POSITION);
  }

  /** Replaces the input, which must be used up; without bytes it is the end. */
  supply(chunk: Uint8Array): void {
    new Uint8Array(this.#module.memory.buffer).set(chunk, this.#get(INPUT_POINTER));
    this.#module.supply_input(this.#context, chunk.length);
    this.#inputBytes = chunk.length;
  }

  step(): Step {
    const code = this.#module.get_next_output(this.#context);
    const start = this.#get(OUTPUT_POINTER);
    const byteLength = this.#get(OUTPUT_POSITION);
    const bytes = takeOut(this.#module.memory.buffer, start, byteLength);
    const isDrained = this.position === this.#inputBytes && byteLength < this.#get(OUTPUT_SIZE);
    this.#view().setUint32(this.#context + OUTPUT_POSITION, 0, true);
    return { code, bytes, isDrained };
  }

  #get(offset: number): number {
    return this.#view().getUint32(this.#context + offset, true);
  }

  #view(): DataView {
    return new DataView(this.#module.memory.buffer);
  }
}

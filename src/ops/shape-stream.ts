import { zeroPieces } from '../disk/flat.ts';
import { applyPatches, type Patch } from '../disk/overlay.ts';
import { copyOf } from '../format/bytes.ts';
import { GPT_FRONT_BYTES } from '../inspect/gpt-move.ts';
import { ByteReader } from '../stream/byte-reader.ts';
import type { DecodedVhd } from '../stream/decode.ts';
import { type AzureShape, azureSizeFor, planAzure, sizeChanges } from './azure.ts';
import type { FullConvertOptions } from './convert-options.ts';
import { paddedSize } from './stream-source.ts';

const CHUNK_BYTES = 1024 * 1024;

/** The bytes of a disk as they are to be written, and what became of it. */
export interface ShapedStream {
  /** All bytes of the disk in order. */
  readonly bytes: AsyncIterable<Uint8Array>;
  /** Size and changes; known when `bytes` ran to its end. */
  readonly end: () => Pick<AzureShape, 'size' | 'changes'>;
}

/** Fills the disk in a stream up to whole sectors, or makes it fit for Azure. */
export function shapeStream(decoded: DecodedVhd, options: FullConvertOptions): ShapedStream {
  let end: Pick<AzureShape, 'size' | 'changes'> = { size: 0, changes: [] };
  async function* shaped(reader: ByteReader): AsyncGenerator<Uint8Array> {
    const plan = await planFront(reader, decoded.size, options);
    let position = 0;
    for (;;) {
      const chunk = await reader.next(CHUNK_BYTES);
      if (chunk === undefined) break;
      yield patched(chunk, position, plan?.patches);
      position += chunk.length;
    }
    end = plan ?? shapeAtEnd(position, options);
    for (const piece of zeroPieces(end.size - position)) {
      yield patched(piece, position, plan?.patches);
      position += piece.length;
    }
  }
  async function* bytes(): AsyncGenerator<Uint8Array> {
    const reader = new ByteReader(decoded.raw(), options.signal);
    try {
      yield* shaped(reader);
    } finally {
      await reader.cancel();
    }
  }
  return { bytes: { [Symbol.asyncIterator]: bytes }, end: () => end };
}

/** What makes a disk of known size fit for Azure shows in its first MiB. */
async function planFront(
  reader: ByteReader,
  byteLength: number | undefined,
  options: FullConvertOptions,
): Promise<AzureShape | undefined> {
  if (options.azure !== true || byteLength === undefined) return undefined;
  const front = await reader.peek(GPT_FRONT_BYTES);
  const read = async (target: Uint8Array, position: number): Promise<void> => {
    target.fill(0);
    target.set(front.subarray(position, position + target.length));
  };
  return planAzure(read, paddedSize(byteLength, options), false);
}

function shapeAtEnd(byteLength: number, options: FullConvertOptions): Pick<AzureShape, 'size' | 'changes'> {
  const whole = paddedSize(byteLength, options);
  if (options.azure !== true) return { size: whole, changes: [] };
  const size = azureSizeFor(whole);
  return { size, changes: sizeChanges(whole, size) };
}

function patched(bytes: Uint8Array, position: number, patches: readonly Patch[] = []): Uint8Array {
  const isTouched = patches.some((patch) => {
    return patch.position < position + bytes.length && patch.position + patch.bytes.length > position;
  });
  if (!isTouched) return bytes;
  const copy = copyOf(bytes);
  applyPatches(copy, position, patches);
  return copy;
}

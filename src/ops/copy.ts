import type { Disk } from '../disk/disk.ts';
import { isAllZeros } from '../format/zeros.ts';
import { PIECE_BYTES, piecesOf, type ReadRange, readAhead } from '../stream/read-ahead.ts';
import type { ProgressMeter } from './progress.ts';

/** Writes on their way at a time. */
const WRITES_IN_FLIGHT = 3;

/**
 * Copies what a disk stores to the same places of a target that reads as zeros, and skips what is zero. Reads run ahead
 * and several writes are on their way, issued in order, so that equal disks make equal images.
 */
export async function copyDisk(
  source: Disk,
  target: Pick<Disk, 'write'>,
  meter: ProgressMeter,
  signal?: AbortSignal,
): Promise<void> {
  const inFlight = new Set<Promise<void>>();
  let failure: { readonly error: unknown } | undefined;
  try {
    for await (const piece of readAhead(source, countedPieces(source, meter), { signal })) {
      if (failure !== undefined) break;
      if (isAllZeros(piece.bytes)) {
        meter.skipped(piece.length);
        piece.release();
        continue;
      }
      const write = target.write(piece.bytes, piece.start).then(
        () => meter.copied(piece.length),
        (error: unknown) => {
          failure ??= { error };
        },
      );
      const landed = write.then(() => {
        inFlight.delete(landed);
        piece.release();
      });
      inFlight.add(landed);
      if (inFlight.size >= WRITES_IN_FLIGHT) await Promise.race(inFlight);
    }
  } finally {
    await Promise.all(inFlight);
  }
  if (failure !== undefined) throw failure.error;
  meter.finish();
}

/** The stored pieces of the source; the zeros between them are counted as skipped on the way. */
async function* countedPieces(source: Disk, meter: ProgressMeter): AsyncGenerator<ReadRange> {
  for await (const extent of source.extents({ coarse: true })) {
    if (extent.kind === 'zero') meter.skipped(extent.length);
    else yield* piecesOf(extent.start, extent.start + extent.length, PIECE_BYTES);
  }
}

import { pattern } from './bytes.ts';

const MiB = 1024 ** 2;

/** A disk of 16 MiB with an MBR that names two partitions, 1 to 5 and 8 to 16 MiB, and 2 MiB of data in the second. */
export function partitionedDisk(): Uint8Array {
  const bytes = new Uint8Array(16 * MiB);
  const view = new DataView(bytes.buffer);
  for (const [index, [type, start, length]] of [
    [0x0c, MiB, 4 * MiB],
    [0x83, 8 * MiB, 8 * MiB],
  ].entries()) {
    const entry = 446 + 16 * index;
    view.setUint8(entry + 4, type ?? 0);
    view.setUint32(entry + 8, (start ?? 0) / 512, true);
    view.setUint32(entry + 12, (length ?? 0) / 512, true);
  }
  bytes.set([0x55, 0xaa], 510);
  bytes.set(pattern(2 * MiB), 8 * MiB);
  return bytes;
}

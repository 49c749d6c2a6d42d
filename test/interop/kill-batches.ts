// What a process that is going to be killed does, batch by batch: known to whoever looks afterwards.
import { bytesOf } from '../crash/program.ts';
import { mix, Random } from '../support/seed.ts';

/** Bytes of a block of the dynamic ones. */
export const BLOCK_SIZE: number = 512 * 1024;
/** Virtual size of the images: few blocks, so that they are freed and reused; libvhdi reads 36 MiB in a second. */
export const DISK_SIZE: number = 16 * BLOCK_SIZE - 512;

/** One call; of a discard the bytes are zeros. */
export interface BatchCall {
  readonly kind: 'write' | 'discard';
  readonly position: number;
  readonly bytes: Uint8Array;
}

/** The calls of a batch: made one after the other, and awaited together. */
export function callsOfBatch(seed: number, batch: number): BatchCall[] {
  const random = new Random(mix(seed, batch));
  return Array.from({ length: 3 + random.below(10) }, () => nextCall(random));
}

/** Small writes that are gathered, large ones that are not, whole blocks and parts of them. */
function nextCall(random: Random): BatchCall {
  const isDiscard = random.oneIn(6);
  const length = isDiscard
    ? random.pick([BLOCK_SIZE, 2 * BLOCK_SIZE, 50_000])
    : random.pick([1, 100, 512, 4096, 4096, 30_000, 70_000, 250_000]);
  const last = DISK_SIZE - length;
  const position = length >= BLOCK_SIZE ? random.below(14) * BLOCK_SIZE : random.below(last + 1);
  const bytes = isDiscard ? new Uint8Array(length) : bytesOf({ length, fill: 1 + random.below(1_000_000) });
  return { kind: isDiscard ? 'discard' : 'write', position, bytes };
}

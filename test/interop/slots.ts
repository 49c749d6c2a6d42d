// Where a process that is going to be killed writes, and what: known to whoever looks afterwards.
import { pattern } from '../support/bytes.ts';

/** Virtual size of the image. */
export const DISK_SIZE: number = 4 * 1024 * 1024 * 1024;
/** Slots that are written before each flush. */
export const BATCH = 5;
/** Bytes from one slot to the next; no whole number of sectors or blocks. */
const SLOT_STRIDE = 300_007;
const SLOT_COUNT = Math.floor(DISK_SIZE / SLOT_STRIDE);

/** Where a slot lies: all over the disk, so that nearly each needs a block of its own at first. */
export function slotPosition(slot: number): number {
  // 5003 is prime and does not divide the count: no two slots meet.
  return ((slot * 5003) % SLOT_COUNT) * SLOT_STRIDE;
}

/** What a slot holds: from some bytes to more than a gather buffer takes, none of them zero. */
export function slotBytes(slot: number): Uint8Array {
  return pattern([100, 4096, 70_000, 512, 250_000][slot % 5] ?? 1, slot + 1);
}

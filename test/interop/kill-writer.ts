// A process to be killed: writes one slot after another into an image, and says on its standard output how many are
// flushed. Arguments: path, first slot.
import { writeSync } from 'node:fs';
import { openVhd } from '../../src/open.ts';
import { BATCH, slotBytes, slotPosition } from './slots.ts';

const [path = '', first = '0'] = process.argv.slice(2);
const disk = await openVhd(path, { writable: true });
for (let slot = Number(first); ; slot += BATCH) {
  const slots = Array.from({ length: BATCH }, (_, index) => slot + index);
  await Promise.all(slots.map((index) => disk.write(slotBytes(index), slotPosition(index))));
  await disk.flush();
  writeSync(1, `${slot + BATCH}\n`);
}

// A process to be killed: makes one batch of calls after another on an image, and says on its standard output which are
// durable. Arguments: path, seed, first batch, durability.
import { writeSync } from 'node:fs';
import { openVhd } from '../../src/open.ts';
import { callsOfBatch } from './kill-batches.ts';

const [path = '', seed = '', first = '', durability] = process.argv.slice(2);
const isAlways = durability === 'always';
const disk = await openVhd(path, { writable: true, durability: isAlways ? 'always' : 'flush' });
for (let batch = Number(first); ; batch++) {
  const calls = callsOfBatch(Number(seed), batch).map(({ kind, position, bytes }) =>
    kind === 'write' ? disk.write(bytes, position) : disk.discard(position, bytes.length),
  );
  await Promise.all(calls);
  if (!isAlways) await disk.flush();
  writeSync(1, `${batch}\n`);
}

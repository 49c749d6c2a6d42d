// The process that is timed on our side: opens a target through the library as it is shipped, and does a pattern, each
// call awaited. Compiled once by programs.ts; its one argument is a Job as JSON.
import { FileStorage, openVhd } from 'vhdkit';
import { generator } from '../../src/ops/bench-workloads.ts';
import type { Pattern } from './scenarios.ts';

/** What is to be done. */
export interface Job {
  readonly path: string;
  readonly isPlain: boolean;
  readonly isRead: boolean;
  readonly diskBytes: number;
  readonly pattern: Pattern;
  readonly seed: number;
}

const { path, isPlain, isRead, diskBytes, pattern, seed } = JSON.parse(process.argv[2] ?? '') as Job;
const { length, count, stride = length, flushEvery = Number.POSITIVE_INFINITY } = pattern;
const writable = !isRead;
const target = isPlain ? await FileStorage.open(path, { writable }) : await openVhd(path, { writable });
// What qemu-img bench is told to write; a buffer that is used again and again, as there.
const buffer = new Uint8Array(length).fill(165);
const random = generator(seed);
const places = Math.floor(diskBytes / length);
for (let index = 0; index < count; index++) {
  const position = pattern.isRandom === true ? Math.floor(random() * places) * length : index * stride;
  if (isRead) await target.read(buffer, position);
  else await target.write(buffer, position);
  if ((index + 1) % flushEvery === 0) await target.flush();
}
if (!isRead && count % flushEvery !== 0) await target.flush();
await target.close();

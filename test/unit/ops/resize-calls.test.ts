// What a resize costs: metadata, and nothing in proportion to the disk.
import { expect, it } from 'vitest';
import { createVhdStorage } from '../../../src/disk/create-storage.ts';
import { openVhdStorage } from '../../../src/disk/open-storage.ts';
import type { Journal } from '../../../src/open-journal.ts';
import { carryOut } from '../../../src/ops/journal.ts';
import { planContents } from '../../../src/ops/resize-contents.ts';
import { borrowed } from '../../../src/storage/borrowed.ts';
import { MemoryStorage } from '../../../src/storage/memory.ts';
import { pattern } from '../../support/bytes.ts';
import { ProbeStorage } from '../../support/probe-storage.ts';
import { resizeJournal } from '../../support/resizing.ts';
import { gptDisk, LINUX } from '../../support/tables.ts';

const GIB = 1024 ** 3;
const BLOCKS = 6;

/** A dynamic disk of 100 GiB with a GPT, and a few blocks of data right behind its table. */
async function largeDisk(): Promise<MemoryStorage> {
  const storage = new MemoryStorage();
  const disk = await createVhdStorage(borrowed(storage), { size: 100 * GIB });
  const gpt = gptDisk({ sectorCount: 8192, entries: [{ type: LINUX, first: 2048, last: 6000, name: 'one' }] });
  await disk.write(gpt.subarray(0, 64 * 1024), 0);
  for (let index = 1; index < BLOCKS; index++) await disk.write(pattern(4096, index), index * 10 * GIB);
  await disk.close();
  return storage;
}

it('growing 100 GiB by 1 TiB moves the table, and reads and writes a few MiB in a few calls', async () => {
  const probe = new ProbeStorage(await largeDisk());
  const size = 1124 * GIB;
  const started = performance.now();
  const disk = await openVhdStorage(borrowed(probe));
  const options = { shown: 'disk.vhd', shrink: false, allowDataLoss: false };
  const { patches, gpt } = await planContents(disk, size, options);
  await disk.close();
  expect(gpt).toBe('moved');
  const journal: Journal = await resizeJournal(probe, { size, patches });
  expect(probe.changes()).toEqual([]);
  await carryOut(probe, journal);
  expect(performance.now() - started).toBeLessThan(5000);
  const bytesOf = (kind: 'read' | 'write'): number =>
    probe.calls.filter((call) => call.kind === kind).reduce((sum, call) => sum + call.length, 0);
  const tableBytes = (1124 * GIB) / (2 * 1024 ** 2) / 0.25;
  expect(bytesOf('write')).toBeLessThan(tableBytes + 64 * 1024);
  expect(probe.count('write')).toBeLessThan(30);
  expect(bytesOf('read')).toBeLessThan(5 * 1024 ** 2);
  expect(probe.count('read')).toBeLessThan(120);
  expect([probe.count('flush'), probe.count('truncate')]).toEqual([1, 0]);
  const grown = await openVhdStorage(borrowed(probe));
  expect(grown.size).toBe(size);
  expect(await grown.readBytes(50 * GIB, 4096)).toEqual(pattern(4096, 5));
});

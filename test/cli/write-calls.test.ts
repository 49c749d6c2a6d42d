// How many calls of the system `vhd write` makes: that does not depend on how fast the machine is.
import { open } from 'node:fs/promises';
import { expect } from 'vitest';
import { openVhd } from '../../src/open.ts';
import { countCalls } from '../bench/counts.ts';
import { WRITE_LIMITS } from '../bench/write-calls.ts';
import { useBuiltCommand, vhd } from '../support/cli.ts';
import { testWithPeers } from '../support/peers.ts';
import { useTempFolder } from '../support/temp.ts';

const MIB = 1024 * 1024;
const folder = useTempFolder('cli-write-calls');
const command = useBuiltCommand();

testWithPeers(['strace'], 'vhd write makes few calls for 256 MiB into a fresh disk', async () => {
  const [source, disk] = [folder.file('source.raw'), folder.file('disk.vhd')];
  const file = await open(source, 'wx');
  for (let index = 0; index < 256; index++) await file.write(Buffer.alloc(MIB, index + 1));
  await file.close();
  await vhd(['create', disk, '1G', '-q']);
  const words = [process.execPath, command.path, 'write', disk, source];
  const { writes, barriers } = countCalls(words, folder.file('strace.txt'));
  // No fewer than the blocks that are allocated, or they were not counted.
  expect(writes).toBeGreaterThanOrEqual(128);
  expect(writes).toBeLessThanOrEqual(WRITE_LIMITS.writes);
  expect(barriers).toBeGreaterThanOrEqual(2);
  expect(barriers).toBeLessThanOrEqual(WRITE_LIMITS.barriers);
  const written = await openVhd(disk);
  expect(written.allocatedBlockCount).toBe(128);
  expect((await written.readBytes(255 * MIB, 1))[0]).toBe(0);
  expect((await written.readBytes(254 * MIB, 1))[0]).toBe(255);
  await written.close();
});

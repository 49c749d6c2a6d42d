// How many calls of the system `vhd write` makes: that does not depend on how fast the machine is.
import { open } from 'node:fs/promises';
import { expect, it } from 'vitest';
import { openVhd } from '../../src/open.ts';
import { countCalls, parseCounts } from '../bench/counts.ts';
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
  const { writes, batches, barriers } = countCalls(words, folder.file('strace.txt'));
  // No fewer than the blocks that are allocated, or they were not counted.
  expect(writes).toBeGreaterThanOrEqual(128);
  expect(writes).toBeLessThanOrEqual(WRITE_LIMITS.writes);
  // Nor are they hidden in calls that carry many.
  expect(batches).toBe(0);
  expect(barriers).toBeGreaterThanOrEqual(2);
  expect(barriers).toBeLessThanOrEqual(WRITE_LIMITS.barriers);
  const written = await openVhd(disk);
  expect(written.allocatedBlockCount).toBe(128);
  expect((await written.readBytes(255 * MIB, 1))[0]).toBe(0);
  expect((await written.readBytes(254 * MIB, 1))[0]).toBe(255);
  await written.close();
});

it('the table of strace is read with and without errors in a line', () => {
  const table = `% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ------------------
 77.80    0.017928         275        65         9 futex
 12.00    0.004470        1117       130           pwrite64
  7.00    0.004470        1117         7           pwritev
  3.00    0.000470         117         2         1 fdatasync
  0.20    0.000047           1        26           pread64
------ ----------- ----------- --------- --------- ------------------
100.00    0.023043          33       230        10 total
`;
  expect(parseCounts(table)).toEqual({ calls: 230, writes: 137, batches: 0, reads: 26, barriers: 2 });
});

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

it('the list of strace is read: a call once, whoever interrupts it, and no barrier for what is no file', () => {
  const list = `18610 execve("/usr/bin/node", ["node"...], 0x7ffd /* 30 vars */) = 0
18624 pwrite64(18, ""..., 4096, 0 <unfinished ...>
18623 pwritev(18, [{iov_base=""..., iov_len=4096}, {iov_base=""..., iov_len=8192}], 2, 4096) = 12288
18624 <... pwrite64 resumed>) = 4096
18623 io_submit(0x7f, 2, [{aio_data=0, aio_lio_opcode=IOCB_CMD_PWRITE}]) = 2
18624 pread64(18, ""..., 512, 0)        = 512
18624 fdatasync(18)                     = 0
18615 fsync(1)                          = 0
18615 fsync(2)                          = 0
`;
  expect(parseCounts(list)).toEqual({ calls: 8, writes: 2, batches: 1, reads: 1, barriers: 1 });
});

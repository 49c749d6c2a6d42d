import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, it, vi } from 'vitest';
import { FlatDisk } from '../../../src/disk/flat.ts';
import { measureDevice } from '../../../src/ops/output-device.ts';
import { FileStorage } from '../../../src/storage/file.ts';
import { MemoryStorage } from '../../../src/storage/memory.ts';
import { useTempFolder } from '../../support/temp.ts';

const folder = useTempFolder('output-device');

afterEach(() => vi.restoreAllMocks());

// What opens it sees no device, and refuses it then: that takes no privileges.
it.runIf(process.platform === 'linux')('measuring opens the device as writing to it would', async () => {
  const path = join(folder.path, 'device');
  writeFileSync(path, new Uint8Array(1024));
  const open = vi.spyOn(FileStorage, 'open');
  const onWarning = vi.fn();
  const disk = new FlatDisk(new MemoryStorage(new Uint8Array(512)), 512, true);
  for (const lock of [true, false]) {
    const options = { to: 'raw', blockSize: 2_097_152, lock, onWarning } as const;
    await expect(measureDevice(disk, path, options)).rejects.toMatchObject({ code: 'ERR_VHD_EXISTS' });
    const expected = { writable: true, lock: lock ? 'write' : undefined, onWarning };
    expect(open).toHaveBeenLastCalledWith(path, expected);
  }
  await disk.close();
});

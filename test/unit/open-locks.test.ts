import { writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { pathToFileURL } from 'node:url';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { createVhd, openDisk, openRaw, openVhd } from '../../src/open.ts';
import { MemoryStorage } from '../../src/storage/memory.ts';
import { pattern } from '../support/bytes.ts';
import { whyNoLocks } from '../support/locks.ts';
import { imageWith } from '../support/streams-disks.ts';
import { WorkFolder } from '../support/streams-files.ts';

const MiB = 1024 * 1024;
const folder = new WorkFolder();
const noLocks = await whyNoLocks();
const unlocked = noLocks === undefined ? '' : ` (skipped: ${noLocks})`;
const dynamic = await imageWith('dynamic', MiB, [{ position: 100, bytes: pattern(5000) }], 512 * 1024);
const raw = pattern(64 * 1024);

describe('locks and warnings', () => {
  afterEach(() => {
    vi.unstubAllEnvs();
    vi.restoreAllMocks();
  });

  it.each([1, 'yes', null])('refuses lock: %s', async (value) => {
    const options = { lock: value } as unknown as { lock: boolean };
    const path = folder.file('lock.vhd', dynamic);
    const message = /^lock: expected true or false/;
    await expect(openVhd(path, options)).rejects.toThrow(message);
    await expect(openRaw(path, options)).rejects.toThrow(message);
    await expect(openDisk(path, options)).rejects.toThrow(message);
    await expect(createVhd(folder.fresh('lock.vhd'), { size: MiB, ...options })).rejects.toThrow(message);
  });

  it('warns by process.emitWarning who opens a path, or a handle, for writing without a lock', async () => {
    vi.stubEnv('VHDKIT_NATIVE', '0');
    const emit = vi.spyOn(process, 'emitWarning').mockReturnValue();
    const path = folder.file('warned.vhd', dynamic);
    const flat = folder.file('warned.raw', raw);
    const handle = await open(path, 'r+');
    const openings: (() => Promise<{ close(): Promise<void> }>)[] = [
      () => openVhd(path, { writable: true }),
      () => openVhd(pathToFileURL(path), { writable: true }),
      () => openVhd(handle, { writable: true }),
      () => openRaw(flat, { writable: true }),
      async () => (await openDisk(path, { writable: true })).disk,
      () => createVhd(folder.fresh('warned.vhd'), { size: MiB }),
    ];
    for (const [index, opening] of openings.entries()) {
      await (await opening()).close();
      expect(emit).toHaveBeenCalledTimes(index + 1);
      const told = expect.stringMatching(/: nothing keeps other programs from writing to it/) as string;
      expect(emit).toHaveBeenLastCalledWith(told, { type: 'VhdWarning', code: 'WARN_VHD_NOT_LOCKED' });
    }
    emit.mockClear();
    await (await openVhd(path)).close();
    await (await openVhd(path, { writable: true, lock: false })).close();
    await (await openVhd(new MemoryStorage(dynamic), { writable: true })).close();
    expect(emit).not.toHaveBeenCalled();
    await handle.close();
  });

  it('tells a listener instead, where there is one', async () => {
    vi.stubEnv('VHDKIT_NATIVE', '0');
    const emit = vi.spyOn(process, 'emitWarning').mockReturnValue();
    const path = folder.file('heard.vhd', dynamic);
    const heard: unknown[] = [];
    const onWarning = (warning: unknown): void => void heard.push(warning);
    await (await openVhd(path, { writable: true, onWarning })).close();
    await (await createVhd(folder.fresh('heard.vhd'), { size: MiB, onWarning })).close();
    expect(heard).toEqual([
      expect.objectContaining({ code: 'WARN_VHD_NOT_LOCKED', storage: path }),
      expect.objectContaining({ code: 'WARN_VHD_NOT_LOCKED' }),
    ]);
    expect(emit).not.toHaveBeenCalled();
  });

  it.skipIf(noLocks !== undefined)(
    `refuses what is open for writing, until it is closed or if it makes no lock${unlocked}`,
    async () => {
      const path = folder.fresh('mine.vhd');
      const disk = await createVhd(path, { size: MiB });
      const writable = (name: string): Promise<unknown> => openVhd(name, { writable: true });
      for (const open of [openVhd, openRaw, openDisk, writable]) {
        await expect(open(path)).rejects.toMatchObject({ code: 'ERR_VHD_IN_USE', storage: path });
      }
      await disk.close();
      const unlocked = await openVhd(path, { writable: true, lock: false });
      await (await openVhd(path, { writable: true })).close();
      await unlocked.close();
    },
  );

  it('tells of a file that changed since it was opened, not of a storage', async () => {
    const path = folder.file('changing.vhd', dynamic);
    const { disk, checkUnchanged } = await openDisk(path);
    await checkUnchanged();
    writeFileSync(path, 'x', { flag: 'a' });
    await expect(checkUnchanged()).rejects.toMatchObject({ code: 'ERR_VHD_SOURCE_CHANGED', storage: path });
    await disk.close();
    const storage = new MemoryStorage(dynamic);
    const opened = await openDisk(storage);
    await storage.write(new Uint8Array(512).fill(1), 0);
    await opened.checkUnchanged();
    await opened.disk.close();
  });
});

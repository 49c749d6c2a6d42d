import fs, { readFileSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { VhdWarning } from '../../../src/errors.ts';
import { FileStorage } from '../../../src/storage/file.ts';
import type { LockKind } from '../../../src/storage/file-lock.ts';
import { loadNative, type NativeFiles } from '../../../src/storage/native.ts';
import { type Holder, holdOpen, listedLocks, whyNoLocks } from '../../support/locks.ts';
import { useTempFolder } from '../../support/temp.ts';

const folder = useTempFolder('file-lock');
const noLocks = await whyNoLocks();
const opened: FileStorage[] = [];
let path: string;

beforeEach(() => {
  path = join(folder.path, 'disk.raw');
  writeFileSync(path, new Uint8Array(4096));
});

afterEach(async () => {
  vi.unstubAllEnvs();
  vi.restoreAllMocks();
  syncBuiltinESMExports();
  await Promise.all(opened.splice(0).map((storage) => storage.close()));
});

async function locked(lock: LockKind, onWarning?: (warning: VhdWarning) => void): Promise<FileStorage> {
  const storage = await FileStorage.open(path, { writable: lock === 'write', lock, onWarning });
  opened.push(storage);
  return storage;
}

async function native(): Promise<NativeFiles> {
  const { files } = await loadNative();
  if (files === undefined) throw new Error('the native helper is not loaded');
  return files;
}

const WRITING = 'it is in use: another program, or another opening in this one, is writing to it';
const READING = 'it is in use: another program, or another opening in this one, is reading it';

describe.skipIf(noLocks !== undefined)(`locks${noLocks === undefined ? '' : ` (skipped: ${noLocks})`}`, () => {
  it.each<[LockKind, LockKind, string | undefined]>([
    ['read', 'read', undefined],
    ['read', 'write', READING],
    ['write', 'read', WRITING],
    ['write', 'write', WRITING],
  ])('of this process: open to %s, then to %s', async (first, second, message) => {
    const holder = await locked(first);
    if (message === undefined) await locked(second);
    else {
      await expect(locked(second)).rejects.toMatchObject({ code: 'ERR_VHD_IN_USE', message, storage: path });
    }
    // Whoever was refused left nothing behind.
    if (message !== undefined) await holder.close();
    if (message !== undefined) await locked(second);
  });

  it.each<[LockKind, readonly string[]]>([
    ['read', ['READ 100 100', 'READ 201 201', 'READ 203 203']],
    ['write', ['READ 100 101', 'READ 103 103', 'READ 201 201', 'READ 203 203']],
  ])('to %s are on the bytes that QEMU locks', async (kind, bytes) => {
    const storage = await locked(kind);
    expect(listedLocks(path)).toEqual(bytes);
    await expect(locked('write')).rejects.toMatchObject({ code: 'ERR_VHD_IN_USE' });
    expect(listedLocks(path)).toEqual(bytes);
    await storage.close();
    expect(listedLocks(path)).toEqual([]);
  });

  it('of two that come at the same time at most one is a writer', async () => {
    for (let round = 0; round < 20; round++) {
      const results = await Promise.allSettled([locked('write'), locked('write'), locked('read')]);
      expect(results.filter(({ status }) => status === 'fulfilled').length).toBeLessThanOrEqual(1);
      await Promise.all(opened.splice(0).map((storage) => storage.close()));
      await (await locked('write')).close();
    }
  });

  it('of another process, until it is killed', async () => {
    let holder: Holder = await holdOpen(path, 'write');
    await expect(locked('read')).rejects.toMatchObject({ code: 'ERR_VHD_IN_USE', message: WRITING });
    await expect(locked('write')).rejects.toMatchObject({ code: 'ERR_VHD_IN_USE', message: WRITING });
    await holder.end('SIGKILL');
    await (await locked('write')).close();
    holder = await holdOpen(path, 'read');
    await expect(locked('write')).rejects.toMatchObject({ code: 'ERR_VHD_IN_USE', message: READING });
    await (await locked('read')).close();
    await holder.end();
    await locked('write');
  });

  it('of programs that lock the whole file for themselves', async () => {
    const other = await open(path, 'r+');
    // Type F_WRLCK = 1, from the first byte on, without an end.
    const record = new Uint8Array(32);
    record[0] = 1;
    expect((await native()).recordLock(other.fd, 37, record)).toBe(0);
    const message = 'it is in use: another program has it for itself alone';
    await expect(locked('read')).rejects.toMatchObject({ code: 'ERR_VHD_IN_USE', message });
    await other.close();
    await locked('read');
  });

  it('of a FileHandle end with the storage, and the handle stays open', async () => {
    const handle = await open(path, 'r+');
    const storage = FileStorage.fromHandle(handle, { name: path, writable: true });
    await storage.lock('write');
    await expect(FileStorage.fromHandle(handle, { name: path }).lock('read')).rejects.toMatchObject({
      message: WRITING,
    });
    await expect(locked('read')).rejects.toMatchObject({ code: 'ERR_VHD_IN_USE' });
    await storage.close();
    await (await locked('write')).close();
    expect((await handle.stat()).size).toBe(4096);
    await handle.close();
  });

  it('are taken once: what would lose the one there is, is refused', async () => {
    const reader = await locked('read');
    const storage = await locked('read');
    for (const kind of ['write', 'read'] as const) await expect(storage.lock(kind)).rejects.toThrow(TypeError);
    await reader.close();
    await expect(locked('write')).rejects.toMatchObject({ code: 'ERR_VHD_IN_USE', message: READING });
    await storage.close();
    // Whoever was refused may try again.
    const late = await FileStorage.open(path, { writable: true });
    opened.push(late);
    const holder = await locked('read');
    await expect(late.lock('write')).rejects.toMatchObject({ code: 'ERR_VHD_IN_USE' });
    await holder.close();
    await late.lock('write');
    await expect(locked('read')).rejects.toMatchObject({ message: WRITING });
  });

  it('are there before a file is emptied', async () => {
    const reader = await locked('read');
    const options = { writable: true, create: 'replace', lock: 'write' } as const;
    await expect(FileStorage.open(path, options)).rejects.toMatchObject({ code: 'ERR_VHD_IN_USE' });
    expect(readFileSync(path)).toHaveLength(4096);
    await reader.close();
    opened.push(await FileStorage.open(path, options));
    expect(readFileSync(path)).toHaveLength(0);
  });

  it('for writing are told of to those who only ask', async () => {
    const asking = await FileStorage.open(path);
    opened.push(asking);
    expect(await asking.isLockedForWriting()).toBe(false);
    const reader = await locked('read');
    expect(await asking.isLockedForWriting()).toBe(false);
    await reader.close();
    const writer = await locked('write');
    expect(await asking.isLockedForWriting()).toBe(true);
    // Not its own.
    expect(await writer.isLockedForWriting()).toBe(false);
    await writer.close();
    expect(await asking.isLockedForWriting()).toBe(false);
    expect(listedLocks(path)).toEqual([]);
  });

  it('are asked for without the native helper where the kernel lists none on the file', async () => {
    const recordLock = vi.spyOn(await native(), 'recordLock');
    const asking = await FileStorage.open(path);
    opened.push(asking);
    await asking.isLockedForWriting();
    expect(recordLock).not.toHaveBeenCalled();
  });

  it('are asked for with its help where the kernel has no list', async () => {
    const asking = await FileStorage.open(path);
    opened.push(asking);
    vi.spyOn(fs, 'readFile').mockImplementation(((_path: string, _encoding: string, done: (error: Error) => void) => {
      done(new Error('ENOENT'));
    }) as unknown as typeof fs.readFile);
    syncBuiltinESMExports();
    expect(await asking.isLockedForWriting()).toBe(false);
    await locked('write');
    expect(await asking.isLockedForWriting()).toBe(true);
  });

  it('that the file system refuses are a warning to a writer, and nothing to a reader', async () => {
    const warnings: VhdWarning[] = [];
    vi.spyOn(await native(), 'recordLock').mockReturnValue(37);
    await locked('read', (warning) => warnings.push(warning));
    expect(warnings).toEqual([]);
    await locked('write', (warning) => warnings.push(warning));
    expect(warnings).toEqual([
      {
        code: 'WARN_VHD_NOT_LOCKED',
        storage: path,
        message: expect.stringMatching(/not locked \(the file system cannot, error 37\)$/) as string,
      },
    ]);
  });
});

it('without the native helper nothing is locked, and a writer is told', async () => {
  vi.stubEnv('VHDKIT_NATIVE', '0');
  const warnings: VhdWarning[] = [];
  const listener = (warning: VhdWarning): void => void warnings.push(warning);
  await locked('read', listener);
  expect(warnings).toEqual([]);
  const writer = await locked('write', listener);
  expect(warnings).toEqual([
    {
      code: 'WARN_VHD_NOT_LOCKED',
      storage: path,
      message:
        'nothing keeps other programs from writing to it at the same time: it is not locked (turned off by VHDKIT_NATIVE=0)',
    },
  ]);
  expect(await writer.isLockedForWriting()).toBe(false);
});

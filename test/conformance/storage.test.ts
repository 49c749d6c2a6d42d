import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { BlobStorage } from '../../src/storage/blob.ts';
import { FileStorage } from '../../src/storage/file.ts';
import { MemoryStorage } from '../../src/storage/memory.ts';
import { plainStorage } from '../support/plain-storage.ts';
import { storageSuite } from './storage.ts';

const folder = mkdtempSync(join(tmpdir(), 'vhdkit-storage-'));
let fileCount = 0;

afterAll(() => rmSync(folder, { recursive: true }));

function fileWith(content: Uint8Array): string {
  const path = join(folder, `${++fileCount}.bin`);
  writeFileSync(path, content);
  return path;
}

storageSuite({
  name: 'MemoryStorage',
  canWrite: true,
  create: async (content, { writable }) => new MemoryStorage(content, { writable }),
});

storageSuite({
  name: 'FileStorage',
  canWrite: true,
  create: (content, { writable }) => FileStorage.open(fileWith(content), { writable }),
});

storageSuite({
  name: 'BlobStorage',
  canWrite: false,
  create: async (content) => new BlobStorage(new Blob([content.slice()])),
});

storageSuite({
  name: "a caller's object literal",
  canWrite: true,
  create: async (content, { writable }) => plainStorage(content, writable),
});

describe('FileStorage over a handle', () => {
  it('leaves the handle open when it closes', async () => {
    const handle = await open(fileWith(Uint8Array.of(1, 2, 3)), 'r+');
    const storage = FileStorage.fromHandle(handle, { writable: true });
    await storage.write(Uint8Array.of(9), 1);
    await storage.close();
    await expect(storage.size()).rejects.toMatchObject({ code: 'ERR_VHD_CLOSED' });
    expect([...(await handle.readFile())]).toEqual([1, 9, 3]);
    await handle.close();
  });
});

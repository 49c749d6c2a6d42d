import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { FileStorage } from '../../../src/storage/file.ts';
import { pattern } from '../../support/bytes.ts';

const folder = mkdtempSync(join(tmpdir(), 'vhdkit-file-'));
afterAll(() => rmSync(folder, { recursive: true }));

const path = (name: string): string => join(folder, name);

describe('FileStorage.open', () => {
  it('passes the error of the system on when the file is not there', async () => {
    await expect(FileStorage.open(path('absent'))).rejects.toMatchObject({ code: 'ENOENT', path: path('absent') });
    expect(existsSync(path('absent'))).toBe(false);
  });

  it('makes a new file, never over another', async () => {
    const storage = await FileStorage.open(path('new'), { writable: true, create: 'new', mode: 0o600 });
    await storage.write(pattern(10), 0);
    await storage.close();
    expect(statSync(path('new')).mode & 0o777).toBe(0o600);
    const again = FileStorage.open(path('new'), { writable: true, create: 'new' });
    await expect(again).rejects.toMatchObject({ code: 'EEXIST' });
    expect(readFileSync(path('new'))).toHaveLength(10);
  });

  it('empties the file it replaces', async () => {
    writeFileSync(path('old'), 'old');
    const storage = await FileStorage.open(path('old'), { writable: true, create: 'replace' });
    expect(await storage.size()).toBe(0);
    await storage.close();
  });

  it('leaves an existing file as it is', async () => {
    writeFileSync(path('kept'), 'kept');
    const storage = await FileStorage.open(path('kept'), { writable: true });
    await storage.flushAll();
    await storage.close();
    expect(readFileSync(path('kept'), 'utf8')).toBe('kept');
  });
});

describe('a FileStorage', () => {
  it('is named by its path and says what the system says', async () => {
    writeFileSync(path('named'), 'abc');
    const storage = await FileStorage.open(path('named'));
    expect(storage.name).toBe(path('named'));
    expect((await storage.stat()).ino).toBe(statSync(path('named')).ino);
    await storage.close();
  });

  it('resolves every close only when the file is closed', async () => {
    writeFileSync(path('closing'), pattern(100));
    const storage = await FileStorage.open(path('closing'));
    const order: string[] = [];
    const read = storage.read(new Uint8Array(100), 0).then(() => order.push('read'));
    const closes = [storage.close(), storage.close()].map((close) => close.then(() => order.push('close')));
    await Promise.all([read, ...closes]);
    expect(order).toEqual(['read', 'close', 'close']);
  });
});

import { describe, expect, it } from 'vitest';
import { BlobStorage } from '../../../src/storage/blob.ts';
import { MemoryStorage } from '../../../src/storage/memory.ts';
import { PaddedStorage } from '../../../src/storage/padded.ts';
import { readAdjacent, writeAdjacent } from '../../../src/storage/storage.ts';
import { pattern } from '../../support/bytes.ts';
import { plainStorage } from '../../support/plain-storage.ts';
import { ProbeStorage } from '../../support/probe-storage.ts';

describe('MemoryStorage', () => {
  it('copies the bytes it begins with', async () => {
    const content = pattern(100);
    const storage = new MemoryStorage(content);
    content.fill(0);
    expect(storage.toBytes()).toEqual(pattern(100));
  });

  it('holds a terabyte of nothing', async () => {
    const storage = new MemoryStorage();
    await storage.write(pattern(512), 2 ** 40);
    const target = new Uint8Array(1024).fill(1);
    await storage.read(target, 2 ** 40 - 512);
    expect(target.subarray(0, 512)).toEqual(new Uint8Array(512));
    expect(target.subarray(512)).toEqual(pattern(512));
  });

  it('gives all its bytes, also after it was closed', async () => {
    const storage = new MemoryStorage(pattern(70_000), { name: 'mine' });
    await storage.truncate(66_000);
    await storage.close();
    expect(storage.name).toBe('mine');
    expect(Buffer.compare(storage.toBytes(), pattern(70_000).subarray(0, 66_000))).toBe(0);
  });

  it('closes at the end of its scope', async () => {
    const storage = new MemoryStorage();
    await storage[Symbol.asyncDispose]();
    await expect(storage.size()).rejects.toMatchObject({ code: 'ERR_VHD_CLOSED' });
  });
});

describe('BlobStorage', () => {
  it('is named by its file, or as it is told', () => {
    expect(new BlobStorage(new Blob([])).name).toBe('blob');
    expect(new BlobStorage(new Blob([]), 'a.vhd').name).toBe('a.vhd');
    expect(new BlobStorage(Object.assign(new Blob([]), { name: 'b.vhd' })).name).toBe('b.vhd');
  });
});

describe('PaddedStorage', () => {
  it('reads as if zeros followed', async () => {
    const padded = new PaddedStorage(new MemoryStorage(pattern(700)), 700, 1024);
    const target = new Uint8Array(1024).fill(1);
    await padded.read(target, 0);
    expect(await padded.size()).toBe(1024);
    expect(target.subarray(0, 700)).toEqual(pattern(700));
    expect(target.subarray(700)).toEqual(new Uint8Array(324));
  });

  it('rejects a read that ends behind its own end', async () => {
    const padded = new PaddedStorage(new MemoryStorage(pattern(700)), 700, 1024);
    await expect(padded.read(new Uint8Array(2), 1023)).rejects.toMatchObject({ code: 'ERR_VHD_TRUNCATED' });
  });
});

describe('adjacent pieces', () => {
  const pieces = [pattern(3, 1), pattern(600, 2), pattern(1, 3)];

  it('go one after the other where the storage cannot do it in one', async () => {
    const storage = plainStorage(new Uint8Array(0), true);
    await writeAdjacent(storage, pieces, 5);
    const targets = [new Uint8Array(600), new Uint8Array(4)];
    await readAdjacent(storage, targets, 5);
    expect(Buffer.concat(targets)).toEqual(Buffer.concat(pieces));
  });

  it('go in one call where it can', async () => {
    const storage = new ProbeStorage(new MemoryStorage());
    await writeAdjacent(storage, pieces, 5);
    expect(storage.changes()).toEqual(['write 5+604']);
  });
});

// Footers are put back where one stood, and which of two counts is not guessed.
import { open, readFile, truncate } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { openVhd } from '../../../src/open.ts';
import { createImage } from '../../../src/ops/create.ts';
import { repair } from '../../../src/ops/repair.ts';
import { firstDifference } from '../../support/bytes.ts';
import { useTempFolder } from '../../support/temp.ts';

const folder = useTempFolder('repair-footer');
const BLOCK = 2 * 1024 * 1024;

/** A dynamic disk of so many blocks, each of them full. */
async function fullImage(name: string, count = 2): Promise<string> {
  const path = folder.file(name);
  await createImage(path, { size: count * BLOCK });
  await using disk = await openVhd(path, { writable: true });
  for (let index = 0; index < count; index++) await disk.write(new Uint8Array(BLOCK).fill(index + 1), index * BLOCK);
  return path;
}

async function put(path: string, bytes: Uint8Array, offset: number): Promise<void> {
  const file = await open(path, 'r+');
  await file.write(bytes, 0, bytes.length, offset);
  await file.close();
}

describe('a damaged footer at offset 0 of a file that was cut off within its data', () => {
  it.each([
    ['cookie', 0, 'c0nectix'],
    ['checksum', 64, '\x01'],
    ['features', 8, '\x00\x00\x01\x02'],
  ])('%s: no data at the end is overwritten', async (name, offset, text) => {
    const path = await fullImage(`cut-${name}.vhd`);
    const { length } = await readFile(path);
    await truncate(path, length - 512 - BLOCK / 2);
    await put(path, Buffer.from(text, 'latin1'), offset);
    const before = await readFile(path);
    await repair(path);
    const after = await readFile(path);
    expect(firstDifference(after.subarray(512, before.length), before.subarray(512))).toBe(-1);
  });

  it('is put back, and one at the end is written behind the data', async () => {
    const path = await fullImage('cut-end.vhd');
    const sound = await readFile(path);
    await truncate(path, sound.length - 512);
    await put(path, Buffer.from('c0nectix'), 0);
    expect(await repair(path)).toMatchObject({ ok: true });
    const after = await readFile(path);
    expect(firstDifference(after.subarray(0, sound.length - 512), sound.subarray(0, -512))).toBe(-1);
    expect(firstDifference(after.subarray(-512), sound.subarray(-512))).toBe(-1);
  });
});

// Footers are put back where one stood, and which of two counts is not guessed.
import { open, readFile, truncate } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { decodeFooter, encodeFooter, type Footer } from '../../../src/format/footer.ts';
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
    expect(firstDifference(after.subarray(0, -512), sound.subarray(0, after.length - 512))).toBe(-1);
    expect(firstDifference(after.subarray(-512), sound.subarray(-512))).toBe(-1);
  });
});

describe('footers that say different things of one image', () => {
  async function withEnd(name: string, fields: Partial<Footer>): Promise<{ path: string; sound: Uint8Array }> {
    const path = await fullImage(name, 4);
    const sound = await readFile(path);
    const { value } = decodeFooter(sound.subarray(-512));
    await put(path, encodeFooter({ ...value, ...fields }), sound.length - 512);
    return { path, sound };
  }

  it.each([{ currentSize: 2 * BLOCK }, { timestamp: 1 }, { savedState: 1 }])(
    '%j: only as asked for',
    async (fields) => {
      const { path, sound } = await withEnd(`differs-${Object.keys(fields).join('')}.vhd`, fields);
      const before = await readFile(path);
      const left = await repair(path);
      expect(left.findings.find(({ rule }) => rule === 'footer.copy-differs')?.remedy).toContain('--footer');
      expect(firstDifference((await readFile(path)).subarray(0, 512), before.subarray(0, 512))).toBe(-1);
      await repair(path, { footer: 'start' });
      expect(firstDifference(await readFile(path), sound)).toBe(-1);
    },
  );

  it('refuses to give the parent of others another size', async () => {
    const { path } = await withEnd('differs-parent.vhd', { currentSize: 2 * BLOCK });
    await createImage(folder.file('differs-child.vhd'), { parent: path });
    await expect(repair(path, { footer: 'start' })).rejects.toMatchObject({ code: 'ERR_VHD_HAS_CHILDREN' });
  });
});

// Parents and children of different sizes: all of them stay readable.
import { readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { openVhd } from '../../../src/open.ts';
import { check } from '../../../src/ops/check.ts';
import { createImage } from '../../../src/ops/create.ts';
import { merge } from '../../../src/ops/merge.ts';
import { resize } from '../../../src/ops/resize.ts';
import { undo } from '../../../src/ops/undo.ts';
import { firstDifference, pattern } from '../../support/bytes.ts';
import { gptDisk, LINUX } from '../../support/tables.ts';
import { useTempFolder } from '../../support/temp.ts';

const MIB = 1024 ** 2;
const SIZE = 4 * MIB;
const folder = useTempFolder('resize-child');

async function put(path: string, bytes: Uint8Array, position: number): Promise<void> {
  await using disk = await openVhd(path, { writable: true });
  await disk.write(bytes, position);
}

async function contentOf(path: string): Promise<Uint8Array> {
  await using disk = await openVhd(path);
  return await disk.readBytes(0, disk.size);
}

/** A parent full of data, and a child that owns a little. */
async function chain(name: string): Promise<{ parent: string; child: string; content: Uint8Array }> {
  const [parent, child] = [folder.file(`${name}-parent.vhd`), folder.file(`${name}.vhd`)];
  await createImage(parent, { size: SIZE, blockSize: 512 * 1024 });
  await put(parent, pattern(SIZE, 3), 0);
  await createImage(child, { parent, blockSize: 512 * 1024 });
  await put(child, pattern(5000, 8), 700_000);
  return { parent, child, content: await contentOf(child) };
}

async function expectHolds(path: string, content: Uint8Array, size: number): Promise<void> {
  const expected = new Uint8Array(size);
  expected.set(content.subarray(0, size));
  const found = await contentOf(path);
  expect([found.length, firstDifference(found, expected)]).toEqual([size, -1]);
  expect((await check(path)).findings.filter(({ severity }) => severity === 'error')).toEqual([]);
}

describe('a child', () => {
  it('becomes larger than its parent and reads zeros there; its locators stay, the table moves', async () => {
    const { child, content } = await chain('larger');
    const before = await readFile(child);
    const result = await resize(child, { size: 600 * MIB - 512 });
    expect(result).toMatchObject({ type: 'differencing', tableMoved: true });
    expect(result.warnings.join()).toContain('7-Zip reads no child that is larger than its parent');
    await using disk = await openVhd(child, { writable: true });
    expect(firstDifference(await disk.readBytes(0, SIZE), content)).toBe(-1);
    await disk.write(pattern(700, 4), disk.size - 700);
    await disk.flush();
    expect(await disk.readBytes(disk.size - 1400, 700)).toEqual(new Uint8Array(700));
    expect(await disk.readBytes(disk.size - 700, 700)).toEqual(pattern(700, 4));
    await disk.close();
    // Written to since: what was kept for it is gone.
    await expect(undo(child)).rejects.toMatchObject({ code: 'ERR_VHD_UNDO' });
    expect(before.length).toBeGreaterThan(0);
  });

  it('that was cut shows zeros when it grows again, not what its parent has there', async () => {
    const { child, content } = await chain('cut');
    await resize(child, { size: MIB + 512, allowDataLoss: true });
    await expectHolds(child, content, MIB + 512);
    const file = await readFile(child);
    await resize(child, { size: 3 * MIB });
    await expectHolds(child, content.subarray(0, MIB + 512), 3 * MIB);
    await undo(child);
    expect(firstDifference(await readFile(child), file)).toBe(-1);
  });

  it('has a new image made of it, with the same parent', async () => {
    const { parent, child, content } = await chain('new');
    const [larger, smaller] = [folder.file('new-larger.vhd'), folder.file('new-smaller.vhd')];
    await resize(child, { size: 6 * MIB, output: larger });
    await resize(child, { size: MIB, allowDataLoss: true, output: smaller });
    await expectHolds(larger, content, 6 * MIB);
    await expectHolds(smaller, content, MIB);
    await using disk = await openVhd(larger);
    expect(disk.type).toBe('differencing');
    await expect(resize(child, { growBy: MIB, output: parent, force: true })).rejects.toMatchObject({
      code: 'ERR_VHD_SAME_FILE',
    });
  });

  it('stays readable over a parent that got another size, and is merged into it', async () => {
    const { parent, child, content } = await chain('parent');
    await expect(resize(parent, { growBy: MIB })).rejects.toMatchObject({ code: 'ERR_VHD_HAS_CHILDREN' });
    await resize(parent, { growBy: MIB, allowBreakingChildren: true });
    await expectHolds(child, content, SIZE);
    await resize(child, { size: 7 * MIB });
    await expectHolds(child, content, 7 * MIB);
    await merge(child);
    await expectHolds(parent, content, 7 * MIB);
  });

  it('has its own GPT moved: the parent keeps its own', async () => {
    const { parent, child } = await chain('gpt');
    const disk = gptDisk({ sectorCount: SIZE / 512, entries: [{ type: LINUX, first: 2048, last: 4095, name: 'a' }] });
    const [grown, kept] = [folder.file('gpt-grown.vhd'), parent];
    await put(child, disk, 0);
    await createImage(grown, { parent: child });
    const before = await readFile(kept);
    const file = await readFile(child);
    expect((await resize(grown, { size: 9 * MIB })).gpt).toBe('moved');
    expect((await check(grown)).findings.filter(({ rule }) => rule.startsWith('partition'))).toEqual([]);
    expect(firstDifference(await readFile(child), file)).toBe(-1);
    expect(firstDifference(await readFile(kept), before)).toBe(-1);
  });
});

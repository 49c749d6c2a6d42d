import { mkdir, open, readdir, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { describe, expect, it, vi } from 'vitest';
import { encodeFooter } from '../../../src/format/footer.ts';
import { openDisk, openVhd } from '../../../src/open.ts';
import { undoPath } from '../../../src/open-journal.ts';
import { check } from '../../../src/ops/check.ts';
import { compact } from '../../../src/ops/compact.ts';
import { createImage } from '../../../src/ops/create.ts';
import { nativeSupport } from '../../../src/storage/native.ts';
import { buildImage, type ImageShape } from '../../support/build-image.ts';
import { firstDifference, pattern } from '../../support/bytes.ts';
import { useTempFolder } from '../../support/temp.ts';

const KiB = 1024;
const BLOCK = 512 * KiB;
const SIZE = 12 * BLOCK;
const temp = useTempFolder('compact');
const isPunching = (await nativeSupport()).features.some(({ name, isActive }) => name === 'punch' && isActive);
let count = 0;

/** A folder of its own for each image: children are looked for beside it. */
async function newPath(name = 'disk.vhd'): Promise<string> {
  const folder = temp.file(`${count++}`);
  await mkdir(folder);
  return `${folder}/${name}`;
}

async function put(path: string, ...writes: readonly (readonly [bytes: Uint8Array, position: number])[]) {
  await using disk = await openVhd(path, { writable: true });
  for (const [bytes, position] of writes) await disk.write(bytes, position);
}

async function contentOf(path: string): Promise<Uint8Array> {
  const { disk } = await openDisk(path);
  const bytes = new Uint8Array(disk.size);
  await disk.read(bytes, 0);
  await disk.close();
  return bytes;
}

/** Six blocks, of which the first, third and fifth in the file hold zeros. */
async function dynamicImage(): Promise<string> {
  const path = await newPath();
  await createImage(path, { size: SIZE, blockSize: BLOCK });
  await put(path, ...[7, 1, 9, 3, 5, 0].map((block) => [pattern(BLOCK, block + 1), block * BLOCK] as const));
  await put(path, ...[7, 9, 5].map((block) => [new Uint8Array(BLOCK), block * BLOCK] as const));
  return path;
}

async function written(shape: ImageShape): Promise<string> {
  const path = await newPath();
  await writeFile(path, buildImage(shape));
  return path;
}

describe('compacting a dynamic image', () => {
  it('drops blocks of zeros, moves others into the gaps and cuts the file; nothing else changes', async () => {
    const path = await dynamicImage();
    const [before, bytes] = [await contentOf(path), await readFile(path)];
    const result = await compact(path);
    expect(result).toMatchObject({
      ...{ path, type: 'dynamic', virtualSize: SIZE, fileSizeBefore: bytes.length, changed: true, warnings: [] },
      ...{ droppedBlocks: 3, droppedBytes: 3 * BLOCK, copiedBytes: result.movedBlocks * (BLOCK + 512), freeSpace: [] },
    });
    expect(result.movedBlocks).toBe(2);
    const after = await readFile(path);
    expect(result.fileSize).toBe(after.length);
    expect(bytes.length - after.length).toBe(3 * (BLOCK + 4096));
    expect(firstDifference(await contentOf(path), before)).toBe(-1);
    expect(firstDifference(after.subarray(-512), bytes.subarray(-512))).toBe(-1);
    expect(firstDifference(after.subarray(0, 1536), bytes.subarray(0, 1536))).toBe(-1);
    expect((await check(path, { deep: true })).findings).toEqual([]);
    expect(await compact(path)).toMatchObject({ changed: false, droppedBlocks: 0, movedBlocks: 0, copiedBytes: 0 });
    expect(firstDifference(await readFile(path), after)).toBe(-1);
  });

  it('tells before what it would do, and writes nothing then', async () => {
    const path = await dynamicImage();
    const bytes = await readFile(path);
    const planned = await compact(path, { dryRun: true });
    expect(firstDifference(await readFile(path), bytes)).toBe(-1);
    expect(planned).toMatchObject({ changed: true, storedBytes: null });
    const { seconds: _seconds, storedBytes: _storedBytes, ...told } = planned;
    expect(await compact(path)).toMatchObject(told);
  });

  it('keeps a block for one byte, be it the first or the last', async () => {
    const path = await newPath();
    await createImage(path, { size: 3 * BLOCK - 512, blockSize: BLOCK });
    await put(
      path,
      [new Uint8Array([1]), 0],
      [new Uint8Array([2]), 2 * BLOCK - 1],
      [new Uint8Array([3]), 3 * BLOCK - 513],
    );
    const before = await contentOf(path);
    expect(await compact(path)).toMatchObject({ droppedBlocks: 0, changed: false });
    expect(firstDifference(await contentOf(path), before)).toBe(-1);
  });

  it('keeps the layout packed or on 4 KiB', async () => {
    for (const alignment of ['packed', 'aligned'] as const) {
      const blocks = [3, 1, 2, 0].map((index) => ({ index, data: index === 1 ? 0 : index + 1 }));
      const path = await written({ size: 4 * BLOCK, blockSize: BLOCK, alignment, blocks });
      expect(await compact(path)).toMatchObject({ droppedBlocks: 1, movedBlocks: 1 });
      const { findings } = await check(path, { deep: true });
      const rules = findings.map(({ rule }) => rule);
      expect(rules.filter((rule) => rule.startsWith('bat.') || rule === 'file.leaked')).toEqual(
        alignment === 'packed' ? ['bat.unaligned'] : [],
      );
    }
  });

  it('reclaims space that nothing refers to, and brings a table behind the blocks down with them', async () => {
    const blocks = [0, 1, 2, 3].map((index) => ({ index, data: index < 3 ? 0 : 1 }));
    const shape = { size: 4 * BLOCK, blockSize: BLOCK, blocks, tableOffset: 'behind-blocks' } as const;
    const path = await written(shape);
    const before = await contentOf(path);
    const result = await compact(path);
    expect(result).toMatchObject({ droppedBlocks: 3, movedBlocks: 1 });
    // Footer, header, one block, the table, footer.
    expect(result.fileSize).toBe(512 + 1024 + BLOCK + 512 + 512 + 512);
    expect(firstDifference(await contentOf(path), before)).toBe(-1);
    expect((await check(path, { deep: true })).ok).toBe(true);
  });

  it('leaves a table where it is that would make the file no shorter', async () => {
    const path = await written({ size: 4 * BLOCK, blockSize: BLOCK, alignment: 'aligned', tableOffset: 2048 });
    const bytes = await readFile(path);
    expect(await compact(path)).toMatchObject({ changed: false, fileSize: bytes.length });
    expect(firstDifference(await readFile(path), bytes)).toBe(-1);
  });

  it('forgets what was kept to undo an earlier change', async () => {
    const path = await dynamicImage();
    await writeFile(undoPath(path), 'kept');
    await compact(path, { dryRun: true });
    expect(await readFile(undoPath(path), 'utf8')).toBe('kept');
    await compact(path);
    await expect(stat(undoPath(path))).rejects.toMatchObject({ code: 'ENOENT' });
  });
});

describe('compacting a differencing image', () => {
  async function pair(): Promise<{ parent: string; child: string }> {
    const parent = await newPath('parent.vhd');
    const child = parent.replace('parent', 'child');
    await createImage(parent, { size: SIZE, blockSize: BLOCK });
    await put(parent, [pattern(4 * BLOCK, 1), 0]);
    await createImage(child, { parent, blockSize: BLOCK });
    return { parent, child };
  }

  it('drops what the parent has byte for byte, and keeps zeros over what it has', async () => {
    const { child } = await pair();
    await put(
      child,
      // Over data: zeros, the same bytes, the same in all but one sector; over nothing: zeros, data.
      [new Uint8Array(BLOCK), 0],
      [pattern(4 * BLOCK, 1).subarray(BLOCK, BLOCK + 5120), BLOCK],
      [pattern(4 * BLOCK, 1).subarray(2 * BLOCK, 3 * BLOCK), 2 * BLOCK],
      [new Uint8Array([7]), 2 * BLOCK + 70_000],
      [new Uint8Array(1024), 5 * BLOCK],
      [pattern(512, 9), 6 * BLOCK + 512],
    );
    const before = await contentOf(child);
    expect(await compact(child)).toMatchObject({ type: 'differencing', droppedBlocks: 2, warnings: [] });
    expect(firstDifference(await contentOf(child), before)).toBe(-1);
    expect((await openedBlocks(child)).sort()).toEqual([0, 2, 6]);
    expect((await check(child, { chain: true, deep: true })).ok).toBe(true);
  });

  async function openedBlocks(path: string): Promise<number[]> {
    await using disk = await openVhd(path);
    const blocks = new Set<number>();
    for await (const { start, length, depth } of disk.extents({ coarse: true })) {
      for (let at = start; depth === 0 && at < start + length; at += BLOCK) blocks.add(Math.floor(at / BLOCK));
    }
    return [...blocks];
  }

  it('without its parent lets only blocks go that own nothing', async () => {
    const { parent, child } = await pair();
    await put(child, [new Uint8Array(512), 5 * BLOCK]);
    await rm(parent);
    const result = await compact(child);
    expect(result).toMatchObject({ droppedBlocks: 0, freeSpace: [] });
    expect(result.warnings.join()).toMatch(/its parent is not there/);
  });

  it('drops nothing that is equal to a parent that was written to since', async () => {
    const { parent, child } = await pair();
    await put(child, [pattern(4 * BLOCK, 1).subarray(BLOCK, BLOCK + 5120), BLOCK]);
    const bytes = await readFile(parent);
    const disk = await openVhd(parent);
    const other = encodeFooter({ ...disk.footer, timestamp: disk.footer.timestamp + 5 });
    await disk.close();
    bytes.set(other, 0);
    bytes.set(other, bytes.length - 512);
    await writeFile(parent, bytes);
    await utimes(parent, 1e9, 1e9);
    const result = await compact(child);
    expect(result.droppedBlocks).toBe(0);
    expect(result.warnings.join()).toMatch(/none that are equal to the parent/);
  });
});

describe('compacting to a new file', () => {
  it.each([
    ['dynamic', dynamicImage],
    ['fixed', fixedImage],
  ])('leaves a %s image as it is, and gives what compacting in place would', async (_type, make) => {
    const path = await make();
    const bytes = await readFile(path);
    const output = path.replace('disk', 'smaller');
    const result = await compact(path, { output });
    expect(result).toMatchObject({ path: output, changed: true });
    expect(firstDifference(await readFile(path), bytes)).toBe(-1);
    expect(result.fileSize).toBe((await stat(output)).size);
    await compact(path);
    expect(firstDifference(await contentOf(output), await contentOf(path))).toBe(-1);
    expect((await check(output, { deep: true })).findings).toEqual([]);
    await expect(compact(path, { output })).rejects.toMatchObject({ code: 'ERR_VHD_EXISTS' });
    await expect(compact(path, { output: path, force: true })).rejects.toMatchObject({ code: 'ERR_VHD_SAME_FILE' });
    await compact(path, { output, force: true });
  });
});

describe('compacting a child to a new file', () => {
  it('names the parent from there, and says where it is', async () => {
    const top = temp.file(`${count++}`);
    await mkdir(`${top}/a/b`, { recursive: true });
    const [parent, child] = [`${top}/a/parent.vhd`, `${top}/a/child.vhd`];
    await createImage(parent, { size: SIZE, blockSize: BLOCK });
    await put(parent, [pattern(BLOCK, 1), 0]);
    await createImage(child, { parent, blockSize: BLOCK });
    await put(child, [pattern(BLOCK, 2), BLOCK], [pattern(512, 1), 0]);
    const expected = await contentOf(child);
    const [above, below, beside] = [`${top}/above.vhd`, `${top}/a/b/below.vhd`, `${top}/a/beside.vhd`];
    expect(await compact(child, { output: below })).toMatchObject({ parentDir: `${top}/a`, droppedBlocks: 1 });
    for (const output of [above, beside]) {
      const result = await compact(child, { output });
      expect(result).not.toHaveProperty('parentDir');
      expect(result.fileSize).toBe((await stat(output)).size);
    }
    const front = async (path: string): Promise<Uint8Array> => (await readFile(path)).subarray(512, 1536);
    expect(firstDifference(await front(beside), await front(child))).toBe(-1);
    // Elsewhere the full names lead to nothing any more: those from the image's directory have to be right.
    const moved = `${top}-moved`;
    await rename(top, moved);
    for (const output of [above, below, beside]) {
      const path = output.replace(top, moved);
      await using disk = await openVhd(path, { followParents: true });
      expect(firstDifference(await disk.readBytes(0, SIZE), expected)).toBe(-1);
      expect((await check(path, { deep: true, followParents: true })).findings).toEqual([]);
    }
  });
});

async function fixedImage(): Promise<string> {
  const path = await newPath();
  await createImage(path, { size: 8 * BLOCK, type: 'fixed' });
  await using file = await open(path, 'r+');
  const content = new Uint8Array(8 * BLOCK);
  content.set(pattern(1000, 1), 3 * BLOCK + 5);
  await file.write(content, 0, content.length, 0);
  await file.sync();
  return path;
}

describe('compacting a fixed or raw image', () => {
  it.runIf(isPunching)('gives back the room of zeros and changes no byte', async () => {
    const path = await fixedImage();
    const bytes = await readFile(path);
    const result = await compact(path);
    expect(result).toMatchObject({
      type: 'fixed',
      changed: true,
      fileSize: bytes.length,
      copiedBytes: 0,
      warnings: [],
    });
    expect(result.droppedBytes).toBe(8 * BLOCK - 64 * KiB);
    expect((result.storedBytesBefore ?? 0) - (result.storedBytes ?? 0)).toBe(result.droppedBytes);
    expect(firstDifference(await readFile(path), bytes)).toBe(-1);
    expect(await compact(path)).toMatchObject({ changed: false, droppedBytes: 0 });
  });

  it('says where that cannot be, and what does it', async () => {
    const path = await newPath('disk.raw');
    await writeFile(path, new Uint8Array(BLOCK));
    vi.stubEnv('VHDKIT_NATIVE', '0');
    try {
      const result = await compact(path, { onWarning: () => undefined });
      expect(result).toMatchObject({ type: 'raw', changed: false, droppedBytes: 0 });
      expect(result.warnings).toEqual([expect.stringMatching(/cannot be given back here.*vhd compact .* -o NEW/)]);
    } finally {
      vi.unstubAllEnvs();
    }
  });
});

describe('ranges that hold nothing of use', () => {
  const whole = (start: number, end: number) => ({ start: start * BLOCK, length: (end - start) * BLOCK });

  it('make blocks go that lie in them as a whole', async () => {
    const path = await dynamicImage();
    const before = await contentOf(path);
    const unusedRanges = vi.fn(async function* (disk: { size: number }) {
      expect(disk.size).toBe(SIZE);
      yield { start: 0, length: BLOCK - 512 };
      yield { start: BLOCK - 512, length: 512 };
      yield { start: BLOCK + 512, length: BLOCK - 512 };
      yield { start: 3 * BLOCK, length: SIZE - 3 * BLOCK };
    });
    expect(await compact(path, { unusedRanges })).toMatchObject({ droppedBlocks: 5 });
    const expected = new Uint8Array(SIZE);
    expected.set(before.subarray(BLOCK, 2 * BLOCK), BLOCK);
    expect(firstDifference(await contentOf(path), expected)).toBe(-1);
  });

  it('never bring to light what a parent has', async () => {
    const parent = await newPath('parent.vhd');
    const child = parent.replace('parent', 'child');
    await createImage(parent, { size: SIZE, blockSize: BLOCK });
    await put(parent, [pattern(512, 1), 0]);
    await createImage(child, { parent, blockSize: BLOCK });
    await put(child, [pattern(512, 2), 0], [pattern(512, 3), BLOCK]);
    const before = await contentOf(child);
    expect(await compact(child, { unusedRanges: () => [whole(0, 2)] })).toMatchObject({ droppedBlocks: 1 });
    before.fill(0, BLOCK, 2 * BLOCK);
    expect(firstDifference(await contentOf(child), before)).toBe(-1);
    await expect(compact(parent, { unusedRanges: () => [] })).rejects.toMatchObject({ code: 'ERR_VHD_HAS_CHILDREN' });
    expect(await compact(parent)).toMatchObject({ changed: false });
  });

  it.runIf(isPunching)('become holes of a fixed image', async () => {
    const path = await fixedImage();
    await compact(path, { unusedRanges: () => [whole(3, 4)] });
    expect((await contentOf(path)).every((byte) => byte === 0)).toBe(true);
    const output = path.replace('disk', 'copy');
    const other = await fixedImage();
    await compact(other, { output, unusedRanges: () => [whole(3, 4)] });
    expect((await contentOf(output)).every((byte) => byte === 0)).toBe(true);
  });

  it('have to lie on the disk', async () => {
    const path = await dynamicImage();
    await expect(compact(path, { unusedRanges: () => [{ start: 0, length: SIZE + 1 }] })).rejects.toThrow(RangeError);
    await expect(compact(path, { unusedRanges: 1 as never })).rejects.toThrow(TypeError);
    await expect(compact(path, { unused: 1 } as never)).rejects.toThrow(TypeError);
  });
});

describe('an abort', () => {
  it('leaves a whole image, and no new file', async () => {
    const path = await dynamicImage();
    const before = await contentOf(path);
    const output = path.replace('disk', 'smaller');
    for (const target of [undefined, output]) {
      const controller = new AbortController();
      const onProgress = ({ phase }: { phase: string }): void => {
        if (phase !== 'plan') controller.abort(new Error('enough'));
      };
      const call = compact(path, { output: target, onProgress, signal: controller.signal });
      await expect(call).rejects.toThrow('enough');
      expect(firstDifference(await contentOf(path), before)).toBe(-1);
      expect((await check(path)).ok).toBe(true);
    }
    expect(await readdir(path.replace('/disk.vhd', ''))).toEqual(['disk.vhd']);
    expect(await compact(path)).toMatchObject({ changed: true });
    expect(firstDifference(await contentOf(path), before)).toBe(-1);
  });
});

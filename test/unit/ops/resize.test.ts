import { access, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { NO_OFFSET } from '../../../src/format/bytes.ts';
import { encodeFooter } from '../../../src/format/footer.ts';
import { geometryFor } from '../../../src/format/geometry.ts';
import { openVhd } from '../../../src/open.ts';
import { readJournal, undoPath } from '../../../src/open-journal.ts';
import { check } from '../../../src/ops/check.ts';
import { createImage } from '../../../src/ops/create.ts';
import { beginUndo, writeJournal } from '../../../src/ops/journal.ts';
import { resize } from '../../../src/ops/resize.ts';
import type { ResizeOptions } from '../../../src/ops/resize-options.ts';
import { undo } from '../../../src/ops/undo.ts';
import { buildImage, footerOf } from '../../support/build-image.ts';
import { firstDifference, pattern } from '../../support/bytes.ts';
import { partitionedDisk } from '../../support/partitioned-disk.ts';
import { gptDisk, LINUX } from '../../support/tables.ts';
import { useTempFolder } from '../../support/temp.ts';

const MIB = 1024 ** 2;
const folder = useTempFolder('resize');

/** An image with 1 MiB of data from 1 MiB on. */
async function imageOf(name: string, type: 'fixed' | 'dynamic', size = 16 * MIB): Promise<string> {
  const path = folder.file(`${name}.vhd`);
  await createImage(path, { type, size, blockSize: 512 * 1024 });
  await put(path, pattern(MIB, 7), MIB);
  return path;
}

async function put(path: string, bytes: Uint8Array, position: number): Promise<void> {
  await using disk = await openVhd(path, { writable: true });
  await disk.write(bytes, position);
}

async function contentOf(path: string): Promise<Uint8Array> {
  await using disk = await openVhd(path);
  return await disk.readBytes(0, disk.size);
}

async function expectHolds(path: string, content: Uint8Array): Promise<void> {
  const found = await contentOf(path);
  expect(found.length).toBe(content.length);
  expect(firstDifference(found, content)).toBe(-1);
}

function sized(content: Uint8Array, size: number): Uint8Array {
  const other = new Uint8Array(size);
  other.set(content.subarray(0, size));
  return other;
}

async function isThere(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

function failure(path: string, options: ResizeOptions): Promise<{ code?: string; message: string; remedy?: string }> {
  return resize(path, options).then(
    () => ({ code: 'none', message: 'it did not fail' }),
    (error: unknown) => error as { code?: string; message: string },
  );
}

describe.each(['fixed', 'dynamic'] as const)('a %s image', (type) => {
  it('becomes larger, keeps what it holds, and is taken back bit for bit', async () => {
    const path = await imageOf(`grown-${type}`, type);
    const [content, file] = [await contentOf(path), await readFile(path)];
    const result = await resize(path, { size: 2048 * MIB - 512 });
    const sizes = { virtualSize: 2048 * MIB - 512, previousSize: 16 * MIB, previousFileSize: file.length };
    expect(result).toMatchObject({ path, type, changed: true, canUndo: true, finishedJournal: false, ...sizes });
    expect(result.fileSize).toBe((await stat(path)).size);
    const disk = await openVhd(path);
    expect(disk.footer).toMatchObject({ originalSize: disk.size, currentSize: disk.size });
    expect(disk.footer.geometry).toEqual(geometryFor(disk.size));
    expect(firstDifference(await disk.readBytes(0, content.length), content)).toBe(-1);
    let storedBytes = 0;
    for await (const { length, kind } of disk.extents()) if (kind === 'data') storedBytes += length;
    expect(storedBytes).toBeLessThan(2 * MIB);
    await disk.close();
    expect((await check(path)).findings.filter(({ severity }) => severity !== 'note')).toEqual([]);
    await undo(path);
    expect(firstDifference(await readFile(path), file)).toBe(-1);
  });

  it('becomes smaller where nothing lies, and has zeros there when it grows again', async () => {
    const path = await imageOf(`shrunk-${type}`, type);
    await put(path, pattern(3000, 9), 9 * MIB);
    const content = await contentOf(path);
    expect(await failure(path, { size: 8 * MIB })).toMatchObject({
      code: 'ERR_VHD_SHRINK',
      remedy: expect.stringContaining(`vhd resize ${path} ${8 * MIB} --shrink`) as string,
    });
    expect(await failure(path, { size: 9 * MIB + 1024, shrink: true })).toMatchObject({
      code: 'ERR_VHD_SHRINK',
      message: expect.stringContaining(`data up to ${9 * MIB + 3072}`) as string,
    });
    await expectHolds(path, content);
    const least = 9 * MIB + 3072;
    expect(await resize(path, { size: least, shrink: true })).toMatchObject({ virtualSize: least, warnings: [] });
    await expectHolds(path, sized(content, least));
    const cut = await resize(path, { size: 9 * MIB + 512, allowDataLoss: true });
    expect(cut.warnings).toEqual([expect.stringContaining('what was cut may have been data')]);
    expect((await stat(path)).size).toBe(cut.fileSize);
    await resize(path, { growBy: 4 * MIB });
    await expectHolds(path, sized(content.subarray(0, 9 * MIB + 512), 13 * MIB + 512));
    expect((await check(path)).ok).toBe(true);
  });

  it('has a new image made of it, and stays as it is', async () => {
    const path = await imageOf(`source-${type}`, type);
    const [before, content] = [await readFile(path), await contentOf(path)];
    const output = folder.file(`made-${type}.vhd`);
    const options = { roundTo: 3 * MIB, output };
    expect(await resize(path, { ...options, dryRun: true })).toMatchObject({ virtualSize: 18 * MIB, path: output });
    expect(await isThere(output)).toBe(false);
    expect(await resize(path, options)).toMatchObject({ changed: true, canUndo: false, type });
    expect(await failure(path, options)).toMatchObject({ code: 'ERR_VHD_EXISTS' });
    await expectHolds(output, sized(content, 18 * MIB));
    await resize(path, { size: 2 * MIB, shrink: true, output, force: true });
    await expectHolds(output, content.subarray(0, 2 * MIB));
    expect(await failure(path, { size: MIB, output: path, force: true, allowDataLoss: true })).toMatchObject({
      code: 'ERR_VHD_SAME_FILE',
    });
    expect(firstDifference(await readFile(path), before)).toBe(-1);
  });

  it('is left alone where it has the size already, or is only asked about', async () => {
    const path = await imageOf(`same-${type}`, type);
    const before = await readFile(path);
    expect(await resize(path, { size: 16 * MIB })).toMatchObject({ changed: false, copiedBytes: 0 });
    expect(await resize(path, { roundTo: MIB })).toMatchObject({ changed: false });
    const dry = await resize(path, { growBy: 512, dryRun: true });
    expect(dry).toMatchObject({ changed: true, virtualSize: 16 * MIB + 512 });
    expect(dry.copiedBytes).toBeGreaterThan(0);
    expect(firstDifference(await readFile(path), before)).toBe(-1);
    expect(await isThere(undoPath(path))).toBe(false);
    expect((await resize(path, { growBy: 512 })).copiedBytes).toBe(dry.copiedBytes);
  });

  it('that was killed is finished by the same call, which adds nothing twice', async () => {
    const path = await imageOf(`killed-${type}`, type);
    const content = await contentOf(path);
    await resize(path, { growBy: 16 * MIB });
    // As if it had been killed: the journal is there, and what it tells of only in part.
    await beginUndo(path);
    const journal = await readJournal(path);
    const file = await readFile(path);
    const [first] = journal?.writes ?? [];
    if (first === undefined) throw new Error('something is written');
    file.set(first.before, first.offset);
    await writeFile(path, file);
    await expect(openVhd(path)).rejects.toMatchObject({ code: 'ERR_VHD_JOURNAL' });
    expect((await check(path)).findings.map(({ rule }) => rule)).toContain('file.journal');
    const result = await resize(path, { growBy: 16 * MIB });
    expect(result).toMatchObject({
      finishedJournal: true,
      changed: false,
      virtualSize: 32 * MIB,
      previousSize: 16 * MIB,
    });
    await expectHolds(path, sized(content, 32 * MIB));
    await undo(path);
    await expectHolds(path, content);
  });
});

describe('what is on the disk', () => {
  const gpt = gptDisk({ sectorCount: 16 * 2048, entries: [{ type: LINUX, first: 2048, last: 16_383, name: 'one' }] });

  async function withDisk(name: string, disk: Uint8Array): Promise<string> {
    const path = await imageOf(name, 'dynamic');
    await put(path, disk, 0);
    return path;
  }

  it('has its backup GPT at the new end, larger or smaller', async () => {
    const path = await withDisk('gpt', gpt);
    const grown = await resize(path, { size: 24 * MIB });
    expect(grown.gpt).toBe('moved');
    expect(grown.guestSteps[0]).toContain('growpart /dev/sdX 1');
    expect((await check(path)).findings).toEqual([]);
    expect(Buffer.from((await contentOf(path)).subarray(-512, -504)).toString()).toBe('EFI PART');
    const least = 16_384 * 512;
    expect(await failure(path, { size: least - 512, shrink: true })).toMatchObject({
      code: 'ERR_VHD_SHRINK',
      message: expect.stringContaining(`partition 1 ends at ${least}`) as string,
    });
    expect(await failure(path, { size: least + 512, shrink: true })).toMatchObject({
      code: 'ERR_VHD_SIZE',
      storage: path,
    });
    const shrunk = await resize(path, { size: least + 33 * 512, shrink: true });
    // The old backup is no data.
    expect(shrunk).toMatchObject({ gpt: 'moved', guestSteps: [], warnings: [] });
    expect((await check(path)).findings.filter(({ severity }) => severity !== 'note')).toEqual([]);
  });

  it('is cut where that is permitted, and the GPT told of', async () => {
    const path = await withDisk('gpt-cut', gpt);
    const result = await resize(path, { size: 4 * MIB, allowDataLoss: true });
    expect(result.gpt).toBe('left');
    expect(result.warnings).toHaveLength(2);
    await expectHolds(path, gpt.subarray(0, 4 * MIB));
    // Zeros would pass for what the partition held.
    expect(await failure(path, { size: 16 * MIB })).toMatchObject({ code: 'ERR_VHD_TRUNCATED' });
    expect((await resize(path, { size: 16 * MIB, allowDataLoss: true })).gpt).toBe('left');
  });

  it('may have a broken GPT, which keeps nobody from making it larger', async () => {
    const broken = gpt.slice();
    broken[512 + 40] = 99;
    const path = await withDisk('gpt-broken', broken);
    const result = await resize(path, { size: 24 * MIB });
    expect(result).toMatchObject({ gpt: 'left', warnings: [expect.stringContaining('the primary GPT') as string] });
    expect(await failure(path, { size: 20 * MIB, shrink: true })).toMatchObject({ code: 'ERR_VHD_SHRINK' });
  });

  it('may have an MBR, whose last partition has to stay', async () => {
    const path = await withDisk('mbr', partitionedDisk());
    expect(await failure(path, { size: 15 * MIB, shrink: true })).toMatchObject({ code: 'ERR_VHD_SHRINK' });
    await resize(path, { size: 40 * MIB });
    await put(path, pattern(5000, 2), 30 * MIB);
    // Behind all partitions there is nothing to keep, but what can be taken back.
    const told = `up to ${30 * MIB + 5120}`;
    expect(await resize(path, { size: 20 * MIB, shrink: true })).toMatchObject({
      ...{ gpt: 'none', virtualSize: 20 * MIB, canUndo: true },
      warnings: [expect.stringContaining(told) as string],
    });
    await undo(path);
    await put(path, pattern(3 * MIB, 2), 25 * MIB);
    const before = await readFile(path);
    expect(await failure(path, { size: 20 * MIB, shrink: true })).toMatchObject({
      code: 'ERR_VHD_SHRINK',
      message: expect.stringContaining(told) as string,
      remedy: expect.stringContaining('--allow-data-loss') as string,
    });
    expect(firstDifference(await readFile(path), before)).toBe(-1);
    const output = folder.file('mbr-new.vhd');
    expect(await resize(path, { size: 20 * MIB, shrink: true, output })).toMatchObject({ virtualSize: 20 * MIB });
    expect(await resize(path, { size: 20 * MIB, allowDataLoss: true })).toMatchObject({ canUndo: false });
  });
});

describe('is refused', () => {
  it('for what has to stay as it is, and what its type cannot hold', async () => {
    const path = await imageOf('refused', 'dynamic');
    expect(await failure(path, { size: 3 * 1024 * 1024 * MIB })).toMatchObject({
      code: 'ERR_VHD_LIMIT',
      remedy: expect.stringContaining('--to fixed') as string,
    });
    await createImage(folder.file('child-of-it.vhd'), { parent: path });
    expect(await failure(path, { growBy: MIB })).toMatchObject({ code: 'ERR_VHD_HAS_CHILDREN' });
    await resize(path, { growBy: MIB, allowBreakingChildren: true });
    const saved = folder.file('saved.vhd');
    await writeFile(saved, buildImage({ size: MIB, blockSize: 4096, footer: { savedState: 1 } }));
    expect(await failure(saved, { growBy: MIB })).toMatchObject({ code: 'ERR_VHD_IN_USE' });
    expect((await resize(saved, { growBy: MIB, output: folder.file('unsaved.vhd') })).virtualSize).toBe(2 * MIB);
  });

  it('for a raw file, options that are none, and while something else is under way', async () => {
    const raw = folder.file('disk.raw');
    await writeFile(raw, new Uint8Array(MIB));
    expect(await failure(raw, { growBy: MIB })).toMatchObject({
      code: 'ERR_VHD_NOT_VHD',
      remedy: expect.stringContaining(`vhd convert ${raw} NEW.vhd --from raw`) as string,
    });
    const path = await imageOf('begun', 'dynamic');
    for (const [options, error] of [
      [{ to: 1 } as ResizeOptions, TypeError],
      [{}, TypeError],
      [{ size: MIB, growBy: MIB }, TypeError],
      [{ size: 1000 }, RangeError],
    ] as const) {
      await expect(resize(path, options)).rejects.toBeInstanceOf(error);
    }
    const aborted = AbortSignal.abort(new Error('enough'));
    await expect(resize(path, { growBy: MIB, signal: aborted })).rejects.toThrow('enough');
    await using disk = await openVhd(path, { lock: false });
    const uuid = Buffer.from(disk.footer.uniqueId)
      .toString('hex')
      .replace(/^(.{8})(.{4})(.{4})(.{4})/, '$1-$2-$3-$4-');
    const fileSize = (await stat(path)).size;
    const startedAt = '2026-01-01T00:00:00Z';
    await writeJournal(path, { verb: 'set', uuid, startedAt, fileSize, fileSizeAfter: fileSize, writes: [] });
    expect(await failure(path, { growBy: MIB })).toMatchObject({ code: 'ERR_VHD_JOURNAL' });
  });

  it('in place for a fixed image that holds more than its disk', async () => {
    const path = folder.file('long.vhd');
    const footer = { ...footerOf({ size: MIB }), dataOffset: NO_OFFSET, diskType: 2 };
    await writeFile(path, Buffer.concat([Buffer.alloc(MIB + 1024, 3), encodeFooter(footer)]));
    expect(await failure(path, { size: MIB / 2, allowDataLoss: true })).toMatchObject({ code: 'ERR_VHD_CORRUPT' });
    await resize(path, { size: 2 * MIB });
    await expectHolds(path, sized(new Uint8Array(MIB).fill(3), 2 * MIB));
  });
});

it('names a creator whose size qemu believes, and leaves alone one that is', async () => {
  const path = folder.file('creator.vhd');
  await createImage(path, { size: 4 * MIB, creator: 'vbox' });
  expect(await resize(path, { size: 10 * MIB })).toMatchObject({ creatorBefore: 'vbox' });
  await using disk = await openVhd(path);
  expect(disk.footer).toMatchObject({ creatorApplication: 'win ', creatorVersion: 0x000a_0000 });
  await disk.close();
  expect(await resize(path, { size: 20 * MIB })).toMatchObject({ creatorBefore: null });
});

it('what was cut and is more than is kept cannot be taken back, and that is said', async () => {
  const path = await imageOf('much', 'dynamic');
  await put(path, pattern(6 * MIB, 3), 8 * MIB);
  const before = await readdir(folder.path);
  const result = await resize(path, { size: 4 * MIB, allowDataLoss: true });
  expect(result).toMatchObject({ canUndo: false, freedBlocks: 12 });
  expect(result.fileSize).toBeLessThan(result.previousFileSize - 6 * MIB);
  expect(result.warnings.at(-1)).toContain('cannot be taken back');
  expect(await readdir(folder.path)).toEqual(before);
  await expect(undo(path)).rejects.toMatchObject({ code: 'ERR_VHD_UNDO' });
});

import { mkdir, open, readFile, stat, writeFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { openVhd } from '../../src/open.ts';
import { check } from '../../src/ops/check.ts';
import { createImage } from '../../src/ops/create.ts';
import { buildImage } from '../support/build-image.ts';
import { firstDifference, pattern } from '../support/bytes.ts';
import { vhd } from '../support/cli.ts';
import { useTempFolder } from '../support/temp.ts';

const BLOCK = 512 * 1024;
const temp = useTempFolder('cli-compact');
let count = 0;

async function image(): Promise<string> {
  const path = temp.file(`${count++}.vhd`);
  await createImage(path, { size: 8 * BLOCK, blockSize: BLOCK });
  await using disk = await openVhd(path, { writable: true });
  for (const block of [0, 1, 2]) await disk.write(pattern(BLOCK, block + 1), block * BLOCK);
  await disk.write(new Uint8Array(BLOCK), 0);
  return path;
}

describe('vhd compact', () => {
  it('tells what it did, for people and for programs', async () => {
    const path = await image();
    const bytes = await readFile(path);
    const dry = await vhd(['compact', path, '--dry-run']);
    expect([dry.code, dry.stderr]).toEqual([0, '']);
    expect(dry.stdout.split('\n').slice(1)).toEqual([
      '  file    1.52 MiB before, 1.02 MiB after',
      '  dropped 1 block, 512 KiB',
      '  moved   1 block; 512.5 KiB copied',
      '',
    ]);
    expect(firstDifference(await readFile(path), bytes)).toBe(-1);
    const { code, stdout } = await vhd(['compact', path, '--json']);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({
      ...{ schema: 'vhdkit/compact/1', path, type: 'dynamic', virtualSize: 8 * BLOCK, changed: true },
      ...{ fileSizeBefore: bytes.length, fileSize: (await stat(path)).size, droppedBlocks: 1, movedBlocks: 1 },
      ...{ droppedBytes: BLOCK, copiedBytes: BLOCK + 512, skippedBytes: 0, freeSpace: [], warnings: [] },
    });
    expect((await vhd(['compact', path])).stdout).toMatch(/: nothing to give back\n {2}file {4}1\.02 MiB\n$/);
    const copy = path.replace('.vhd', '-copy.vhd');
    const wouldWrite = await vhd(['compact', path, '-o', copy, '--dry-run']);
    expect(wouldWrite.stdout).toBe(`would write ${copy}\n  file    1.02 MiB\n`);
    expect((await vhd(['compact', path, '-o', copy])).stdout).toBe(`wrote ${copy}\n  file    1.02 MiB\n`);
  });

  it('tells what is stored where that is another figure than the size', async () => {
    const path = temp.file('sparse.raw');
    await using file = await open(path, 'w+');
    await file.truncate(64 * 1024 * 1024);
    await file.write(pattern(1024 * 1024, 1), 0, 1024 * 1024, 0);
    const { stdout } = await vhd(['compact', path, '--dry-run']);
    expect(stdout).toBe(`${path}: nothing to give back\n  file    64 MiB\n  stored  1 MiB\n`);
  });

  it('says where the parent of a new image is', async () => {
    await mkdir(temp.file('family'));
    const [parent, child] = [temp.file('family/parent.vhd'), temp.file('family/child.vhd')];
    await createImage(parent, { size: 8 * BLOCK, blockSize: BLOCK });
    await createImage(child, { parent });
    const { code, stderr } = await vhd(['compact', child, '-o', temp.file('grandchild.vhd')]);
    expect([code, stderr]).toEqual([0, '']);
    const output = temp.file('family/below/child.vhd');
    await mkdir(temp.file('family/below'));
    expect((await vhd(['compact', child, '-o', output])).stderr).toContain(`--parent-dir ${temp.file('family')}`);
  });

  it('mends what check says it mends', async () => {
    const path = temp.file('leaked.vhd');
    const blocks = [{ index: 0 }, { index: 1, entry: 0xffff_ffff }, { index: 2 }];
    await writeFile(path, buildImage({ size: 4 * BLOCK, blockSize: BLOCK, alignment: 'aligned', blocks }));
    const { findings } = await check(path);
    const leaked = findings.find(({ rule }) => rule === 'file.leaked');
    expect(leaked?.remedy).toBe(`vhd compact ${path}`);
    const { code, stderr } = await vhd((leaked?.remedy ?? '').split(' ').slice(1));
    expect(code).toBe(0);
    expect(stderr).toContain('bytes in one stretch that nothing refers to: free, or blocks that the table has lost');
    expect((await check(path, { deep: true })).findings).toEqual([]);
  });

  it('names a copy as the image is: what is raw stays raw', async () => {
    const path = temp.file('plain.raw');
    await writeFile(path, new Uint8Array(65_536));
    expect((await vhd(['compact', path, '-o', temp.file('copy.raw')])).code).toBe(0);
    const { code, stderr } = await vhd(['compact', path, '-o', temp.file('copy.vhd')]);
    expect([code, stderr]).toEqual([2, expect.stringContaining('compact makes of a raw image a raw one')]);
  });

  it('says what it could not see, and the command for the guest', async () => {
    const path = temp.file('fat.raw');
    await using file = await open(path, 'w+');
    await file.truncate(40 * 1024 * 1024);
    const boot = Buffer.alloc(2048);
    boot.set([0xeb, 0x58, 0x90]);
    boot.write('mkfs.fat', 3);
    boot.writeUInt16LE(512, 11);
    boot[13] = 1;
    boot.writeUInt16LE(32, 14);
    boot[16] = 2;
    boot[21] = 0xf8;
    boot.writeUInt32LE(81_920, 32);
    boot.writeUInt32LE(630, 36);
    boot.writeUInt32LE(2, 44);
    boot.writeUInt16LE(1, 48);
    boot.writeUInt16LE(0xaa55, 510);
    boot.write('RRaA', 512);
    boot.write('rrAa', 512 + 484);
    boot.writeUInt32LE(80_000, 512 + 488);
    await file.write(boot, 0, boot.length, 0);
    const { code, stdout } = await vhd(['compact', path, '--dry-run']);
    expect(code).toBe(0);
    expect(stdout).toContain('whole disk, vfat: 39.06 MiB of 40 MiB free, zeros or not\n');
    expect(stdout).toContain('in the guest: sdelete -z DRIVE:');
  });

  it.each([
    [['compact', '-'], 2],
    [['compact', 'x.vhd', '-o', '-'], 2],
    [['compact', 'x.vhd', '--force'], 2],
    [['compact', 'missing.vhd'], 4],
    [['compact', '/dev/null'], 3],
    [['compact', '/dev/null', '--dry-run'], 3],
  ])('%j ends with %i', async (words, code) => {
    expect((await vhd(words)).code).toBe(code);
  });
});

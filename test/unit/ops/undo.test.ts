// What is taken back, and what keeps it from being taken back: nothing that was written since may be lost by it.
import { access, open, readFile, writeFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { openVhd } from '../../../src/open.ts';
import { undoPath } from '../../../src/open-journal.ts';
import { convert } from '../../../src/ops/convert.ts';
import { createImage } from '../../../src/ops/create.ts';
import { repair } from '../../../src/ops/repair.ts';
import { undo } from '../../../src/ops/undo.ts';
import { firstDifference } from '../../support/bytes.ts';
import { useTempFolder } from '../../support/temp.ts';

const folder = useTempFolder('undo');
const MIB = 1024 * 1024;

async function isThere(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

/** A dynamic disk whose footer copy was lost, and is repaired. */
async function repairedImage(name: string): Promise<string> {
  const path = folder.file(name);
  await createImage(path, { size: 8 * MIB });
  await using disk = await openVhd(path, { writable: true });
  await disk.write(new Uint8Array(4096).fill(7), 0);
  await disk.close();
  const file = await open(path, 'r+');
  await file.write(new Uint8Array(512), 0, 512, 0);
  await file.close();
  expect(await repair(path)).toMatchObject({ canUndo: true });
  return path;
}

describe('undo', () => {
  it('refuses when the disk was written to where the repair wrote nothing', async () => {
    const path = await repairedImage('written.vhd');
    const data = new Uint8Array(4096).fill(9);
    await using disk = await openVhd(path, { writable: true });
    expect(await isThere(undoPath(path))).toBe(false);
    await disk.write(data, 4 * MIB);
    await disk.close();
    await expect(undo(path)).rejects.toMatchObject({ code: 'ERR_VHD_UNDO' });
    await using read = await openVhd(path);
    expect(firstDifference(await read.readBytes(4 * MIB, 4096), data)).toBe(-1);
  });

  it('keeps what was filled with zeros and written then', async () => {
    const path = folder.file('short.vhd');
    await createImage(path, { size: 4 * MIB, type: 'fixed' });
    const bytes = await readFile(path);
    await writeFile(path, Buffer.concat([bytes.subarray(0, 3 * MIB), bytes.subarray(-512)]));
    expect(await repair(path, { zeroFill: true })).toMatchObject({ canUndo: true });
    await using disk = await openVhd(path, { writable: true });
    await disk.write(new Uint8Array(4096).fill(9), 3 * MIB + 65_536);
    await disk.close();
    await expect(undo(path)).rejects.toMatchObject({ code: 'ERR_VHD_UNDO' });
    expect((await readFile(path))[3 * MIB + 65_536]).toBe(9);
  });

  it('refuses when another program wrote to the file, though all that the repair wrote is there', async () => {
    const path = await repairedImage('foreign.vhd');
    await new Promise((resolve) => setTimeout(resolve, 20));
    const file = await open(path, 'r+');
    await file.write(new Uint8Array([1]), 0, 1, 6000);
    await file.close();
    await expect(undo(path)).rejects.toMatchObject({ code: 'ERR_VHD_UNDO', found: 'one of another time' });
  });

  it('keeps what takes it back while an image is only read', async () => {
    const path = await repairedImage('read.vhd');
    await (await openVhd(path)).close();
    expect(await undo(path)).toMatchObject({ verb: 'repair', wasPending: false });
    expect(await isThere(undoPath(path))).toBe(false);
  });

  it('forgets the repair of a file that is converted in place', async () => {
    const path = folder.file('in-place.vhd');
    await createImage(path, { size: 4 * MIB, type: 'fixed' });
    const bytes = await readFile(path);
    await writeFile(path, Buffer.concat([bytes, new Uint8Array(512)]));
    expect(await repair(path)).toMatchObject({ canUndo: true });
    expect(await isThere(undoPath(path))).toBe(true);
    await convert(path, path, { to: 'raw', inPlace: true });
    expect(await isThere(undoPath(path))).toBe(false);
  });

  it('refuses what children that were made since would notice, unless that is permitted', async () => {
    const path = await repairedImage('parent.vhd');
    await createImage(folder.file('child.vhd'), { parent: path });
    await expect(undo(path)).rejects.toMatchObject({ code: 'ERR_VHD_HAS_CHILDREN' });
    expect(await undo(path, { allowBreakingChildren: true })).toMatchObject({ verb: 'repair' });
  });
});

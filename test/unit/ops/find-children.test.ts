// What is found to be a child of an image, and what keeps an image from being changed.
import { link, mkdir, writeFile } from 'node:fs/promises';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { encodeParentName } from '../../../src/format/parent-reference.ts';
import { findChildren, refuseBreakingChildren } from '../../../src/ops/children.ts';
import { FileStorage } from '../../../src/storage/file.ts';
import { childImage, parentImage } from '../../support/child-images.ts';
import { useTempFolder } from '../../support/temp.ts';

const folder = useTempFolder('find-children');
let round = 0;

const child = (name: string): Uint8Array => childImage({ header: { parentNameBytes: encodeParentName(name) } });

/** Writes files into a directory of their own, the parent `base.vhd` among them; returns how their paths begin. */
async function directoryWith(files: Readonly<Record<string, Uint8Array>>): Promise<string> {
  const directory = folder.file(`directory-${round++}`);
  await mkdir(directory);
  for (const [name, bytes] of Object.entries({ 'base.vhd': parentImage(), ...files })) {
    await writeFile(`${directory}/${name}`, bytes);
  }
  return `${directory}/`;
}

/** What happens to be unreadable, also for who may read everything. */
function hide(path: string): void {
  const open = FileStorage.open.bind(FileStorage);
  vi.spyOn(FileStorage, 'open').mockImplementation(async (opened, options) => {
    if (opened !== path) return open(opened, options);
    throw Object.assign(new Error(`EACCES: permission denied, open '${path}'`), { code: 'EACCES', syscall: 'open' });
  });
}

afterEach(() => {
  vi.restoreAllMocks();
});

describe('findChildren', () => {
  it('goes by what is in a file, whatever its name is', async () => {
    const at = await directoryWith({
      'a.vhd': child('base.vhd'),
      'b.txt': child('base.vhd'),
      c: child('base.vhd'),
      'other.txt': new Uint8Array(5000),
      'short.txt': new Uint8Array(3),
      '.d.vhd.abcdef.tmp': child('base.vhd'),
    });
    const found = await findChildren(`${at}base.vhd`);
    expect(found.map(({ path }) => path)).toEqual([`${at}a.vhd`, `${at}b.txt`, `${at}c`]);
  });
});

describe('refuseBreakingChildren', () => {
  it('refuses for a child of any name', async () => {
    const at = await directoryWith({ 'b.txt': child('base.vhd') });
    const refusal = { code: 'ERR_VHD_HAS_CHILDREN', message: expect.stringContaining(`'${at}b.txt'`) as string };
    await expect(refuseBreakingChildren(`${at}base.vhd`)).rejects.toMatchObject(refusal);
    await expect(refuseBreakingChildren(`${at}base.vhd`, { except: [`${at}b.txt`] })).resolves.toBeUndefined();
  });

  it('knows a parent under another name of the same file', async () => {
    const at = await directoryWith({ 'a.vhd': child('base.vhd') });
    await link(`${at}base.vhd`, `${at}hard.vhd`);
    await expect(refuseBreakingChildren(`${at}hard.vhd`)).rejects.toMatchObject({ code: 'ERR_VHD_HAS_CHILDREN' });
  });

  it('leaves a copy alone as long as what its children name is there', async () => {
    const at = await directoryWith({ 'a.vhd': child('base.vhd'), 'copy.vhd': parentImage() });
    await expect(refuseBreakingChildren(`${at}copy.vhd`)).resolves.toBeUndefined();
  });

  it('refuses where what is named like an image cannot be looked at, and tells which', async () => {
    const at = await directoryWith({ 'a.vhd': child('base.vhd') });
    hide(`${at}a.vhd`);
    const refusal = expect(refuseBreakingChildren(`${at}base.vhd`)).rejects;
    await refusal.toMatchObject({
      code: 'ERR_VHD_HAS_CHILDREN',
      message: `'${at}a.vhd' may have it as its parent, and cannot be looked at: EACCES: permission denied, open '${at}a.vhd'`,
      remedy: expect.stringContaining('--allow-breaking-children') as string,
    });
    await expect(refuseBreakingChildren(`${at}base.vhd`, { except: [`${at}a.vhd`] })).resolves.toBeUndefined();
    await expect(findChildren(`${at}base.vhd`)).resolves.toEqual([]);
  });

  it('says nothing of other files that cannot be looked at', async () => {
    const at = await directoryWith({ 'notes.txt': child('base.vhd') });
    hide(`${at}notes.txt`);
    await expect(refuseBreakingChildren(`${at}base.vhd`)).resolves.toBeUndefined();
  });
});

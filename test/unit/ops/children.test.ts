import { chmod, link, mkdir, symlink, truncate, writeFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { encodeParentName } from '../../../src/format/parent-reference.ts';
import { formatUuid } from '../../../src/format/uuid.ts';
import { findChildren, refuseBreakingChildren } from '../../../src/ops/children.ts';
import { pattern } from '../../support/bytes.ts';
import { CHILD_UUID, type ChildShape, childImage, PARENT_UUID, parentImage } from '../../support/child-images.ts';
import { useTempFolder } from '../../support/temp.ts';

const folder = useTempFolder('children');
let round = 0;

/** A directory with a parent and whatever else. */
async function directoryWith(files: Readonly<Record<string, Uint8Array>>): Promise<(name: string) => string> {
  const directory = folder.file(`directory-${round++}`);
  await mkdir(directory);
  const path = (name: string): string => `${directory}/${name}`;
  await writeFile(path('base.vhd'), parentImage());
  for (const [name, bytes] of Object.entries(files)) await writeFile(path(name), bytes);
  return path;
}

function childNaming(name: string, shape: ChildShape = {}): Uint8Array {
  return childImage({ ...shape, header: { parentNameBytes: encodeParentName(name), ...shape.header } });
}

describe('findChildren', () => {
  it('finds those that name the identifier, in files named like images, and tells what they call it', async () => {
    const child = childNaming('C:\\vm\\BASE.vhd');
    const other = Uint8Array.from({ length: 16 }, () => 9);
    const path = await directoryWith({
      'a.vhd': child,
      'b.AVHD': childNaming('elsewhere/copy.vhd'),
      'c.vud': childNaming(''),
      'd.vpc': childImage({ locators: [{ offset: 2048, space: 512, name: '.\\base.vhd' }], blocksFrom: 2560 }),
      'no.vhdx': child,
      'other.vhd': childImage({ header: { parentUniqueId: other } }),
      'dynamic.vhd': parentImage({ header: { parentUniqueId: PARENT_UUID }, footer: { uniqueId: other } }),
    });
    const told = { uuid: formatUuid(CHILD_UUID) };
    expect(await findChildren(path('base.vhd'))).toEqual([
      { ...told, path: path('a.vhd'), parentName: 'C:\\vm\\BASE.vhd', namesThisImage: true },
      { ...told, path: path('b.AVHD'), parentName: 'elsewhere/copy.vhd', namesThisImage: false },
      { ...told, path: path('c.vud'), parentName: '', namesThisImage: true },
      { ...told, path: path('d.vpc'), parentName: 'C:\\gone.vhd', namesThisImage: true },
    ]);
  });

  it('passes over what is broken, no file, or not to be read', async () => {
    const child = childImage();
    const path = await directoryWith({
      'child.vhd': child,
      'empty.vhd': new Uint8Array(0),
      'short.vhd': child.subarray(0, 700),
      'cut.vhd': child.subarray(0, 3000),
      'noise.vhd': pattern(5000),
      'secret.vhd': child,
    });
    await chmod(path('secret.vhd'), 0);
    await mkdir(path('directory.vhd'));
    await symlink('nowhere', path('dangling.vhd'));
    await symlink('/dev/zero', path('device.vhd'));
    const found = await findChildren(path('base.vhd'));
    const names = found.map((each) => each.path).filter((each) => each !== path('secret.vhd'));
    // One that has its header still, and nothing at its end, is a child all the same.
    expect(names).toEqual([path('child.vhd'), path('cut.vhd')]);
  });

  it('counts a file once, however many names it has, and an image is no child of itself', async () => {
    const path = await directoryWith({ 'child.vhd': childImage() });
    await link(path('child.vhd'), path('same.vhd'));
    await symlink('child.vhd', path('link.vhd'));
    expect(await findChildren(path('base.vhd'))).toHaveLength(1);
    // Programs that make identifiers of the time give a child that of its parent.
    await writeFile(path('child.vhd'), childImage({ footer: { uniqueId: PARENT_UUID } }));
    expect(await findChildren(path('child.vhd'))).toEqual([]);
    await symlink(path('base.vhd'), folder.file(`base-${round}.vhd`));
    expect(await findChildren(folder.file(`base-${round}.vhd`))).toMatchObject([{ uuid: formatUuid(PARENT_UUID) }]);
  });

  it('knows the children of a raw disk by their names', async () => {
    const header = { parentUniqueId: new Uint8Array(16) };
    const path = await directoryWith({
      'disk.raw': pattern(5000),
      'a.vhd': childNaming('/vm/disk.raw', { header }),
      'b.vhd': childNaming('/vm/other.raw', { header }),
    });
    expect((await findChildren(path('disk.raw'))).map((each) => each.path)).toEqual([path('a.vhd')]);
  });

  it('says what cannot be found, and when it is enough', async () => {
    const path = await directoryWith({});
    await expect(findChildren(path('none.vhd'))).rejects.toMatchObject({ code: 'ENOENT' });
    await expect(findChildren(path('base.vhd'), { signal: AbortSignal.abort(new Error('enough')) })).rejects.toThrow(
      'enough',
    );
    await expect(findChildren(path('base.vhd'), { recursive: true } as object)).rejects.toThrow(TypeError);
  });
});

describe('refuseBreakingChildren', () => {
  it('names the first of them and how many there are', async () => {
    const names = ['a.vhd', 'b.vhd', 'c.vhd', 'd.vhd', 'e.vhd'];
    const path = await directoryWith(Object.fromEntries(names.map((name) => [name, childImage()])));
    await expect(refuseBreakingChildren(path('base.vhd'))).rejects.toMatchObject({
      code: 'ERR_VHD_HAS_CHILDREN',
      storage: path('base.vhd'),
      message: `5 images have it as parent and would be broken: '${path('a.vhd')}', '${path('b.vhd')}', '${path('c.vhd')}' and 2 more`,
      remedy: expect.stringContaining('--allow-breaking-children') as string,
    });
    await refuseBreakingChildren(path('base.vhd'), { allow: true });
    await refuseBreakingChildren(path('base.vhd'), { except: names.map(path) });
    await expect(refuseBreakingChildren(path('base.vhd'), { except: [path('a.vhd')] })).rejects.toThrow(/^4 images/);
  });

  it('says nothing of what has none, or is not there', async () => {
    const path = await directoryWith({ 'child.vhd': childImage() });
    await refuseBreakingChildren(path('child.vhd'));
    await refuseBreakingChildren(path('none.vhd'));
    await refuseBreakingChildren(folder.path);
  });

  it('lets a copy be changed whose original is there too', async () => {
    const path = await directoryWith({ 'child.vhd': childNaming('base.vhd'), 'copy.vhd': parentImage() });
    await refuseBreakingChildren(path('copy.vhd'));
    await expect(refuseBreakingChildren(path('base.vhd'))).rejects.toMatchObject({ code: 'ERR_VHD_HAS_CHILDREN' });
    // Of an original that is not there, it may be the only one.
    await truncate(path('base.vhd'), 0);
    await expect(refuseBreakingChildren(path('copy.vhd'))).rejects.toMatchObject({ code: 'ERR_VHD_HAS_CHILDREN' });
  });
});

// `repair` into a new file: what it takes the place of goes only for something better.
import { mkdir, readFile, rename, symlink, writeFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { decodeDynamicHeader } from '../../../src/format/dynamic-header.ts';
import { openVhd } from '../../../src/open.ts';
import { compact } from '../../../src/ops/compact.ts';
import { createImage } from '../../../src/ops/create.ts';
import { repair } from '../../../src/ops/repair.ts';
import { resize } from '../../../src/ops/resize.ts';
import { buildImage, type ImageShape } from '../../support/build-image.ts';
import { firstDifference } from '../../support/bytes.ts';
import { u32, withEntry, withFooters } from '../../support/defects-edits.ts';
import { useTempFolder } from '../../support/temp.ts';

const folder = useTempFolder('repair-output');
const BLOCK = 8192;
const SHAPE: ImageShape = {
  ...{ size: 4 * BLOCK, blockSize: BLOCK },
  blocks: [0, 1, 2].map((index) => ({ index, data: index + 1 })),
};
const SOUND = buildImage(SHAPE);
/** Nothing mends it without being told more. */
const HOPELESS = withEntry(SOUND, 1, 1_000_000);

async function file(name: string, bytes: Uint8Array): Promise<string> {
  const path = folder.file(name);
  await writeFile(path, bytes);
  return path;
}

describe('a repaired copy', () => {
  it('is not written where nothing can be mended, and what it would replace stays', async () => {
    const [image, output] = [await file('hopeless.vhd', HOPELESS), await file('sound.vhd', SOUND)];
    const result = await repair(image, { output, force: true });
    expect(result).toMatchObject({ path: image, changed: false, ok: false, copiedBytes: 0 });
    expect(result.warnings).toEqual([`nothing can be mended as it is: ${output} is not written`]);
    expect(firstDifference(await readFile(output), SOUND)).toBe(-1);
    const other = folder.file('none.vhd');
    await repair(image, { output: other });
    await expect(readFile(other)).rejects.toMatchObject({ code: 'ENOENT' });
  });

  it('is refused beforehand where there is a file already', async () => {
    const [image, output] = [await file('refused.vhd', HOPELESS), await file('there.vhd', SOUND)];
    await expect(repair(image, { output })).rejects.toMatchObject({ code: 'ERR_VHD_EXISTS' });
    await expect(repair(image, { output: image, force: true })).rejects.toMatchObject({ code: 'ERR_VHD_SAME_FILE' });
  });

  it('is a copy of an image that is well, and the better part of one that is not', async () => {
    const output = folder.file('copy.vhd');
    expect(await repair(await file('well.vhd', SOUND), { output })).toMatchObject({ path: output, changed: false });
    expect(firstDifference(await readFile(output), SOUND)).toBe(-1);
    const image = await file('partly.vhd', withFooters(HOPELESS, u32(8, 0)));
    const result = await repair(image, { output, force: true });
    expect(result).toMatchObject({ path: output, changed: true, ok: false, warnings: [] });
    expect(firstDifference(await readFile(output), HOPELESS)).toBe(-1);
  });
});

/** The names of its parent that a child has, in UTF-16. */
function namesOf(child: Buffer): string[] {
  const { value } = decodeDynamicHeader(child.subarray(512, 1536));
  return value.parentLocators
    .filter(({ platformCode }) => platformCode === 'W2ru' || platformCode === 'W2ku')
    .map(({ dataOffset, dataByteLength }) =>
      child.subarray(dataOffset, dataOffset + dataByteLength).toString('utf16le'),
    );
}

describe('a copy of a child in another directory', () => {
  /** A child without the copy of its footer, beside its parent. */
  async function family(name: string): Promise<{ parent: string; child: string; elsewhere: string }> {
    const [home, elsewhere] = [folder.file(name), folder.file(`${name}-elsewhere`)];
    await mkdir(home);
    await mkdir(elsewhere);
    const [parent, child] = [`${home}/parent.vhd`, `${home}/child.vhd`];
    await writeFile(parent, SOUND);
    await createImage(child, { parent });
    const bytes = await readFile(child);
    await writeFile(child, bytes.fill(0, 0, 512));
    return { parent, child, elsewhere };
  }

  it('names its parent from there, as those of compact and resize do, and tells where that is', async () => {
    const { parent, child, elsewhere } = await family('named');
    const [mended, compacted, resized] = ['mended', 'compacted', 'resized'].map((name) => `${elsewhere}/${name}.vhd`);
    const parentDir = folder.file('named');
    const result = await repair(child, { output: mended ?? '' });
    expect(result).toMatchObject({ path: mended, ok: true, warnings: [], parentDir });
    expect((await readFile(mended ?? '')).length).toBe(result.fileSize);
    expect(await compact(child, { output: compacted ?? '' })).toMatchObject({ parentDir });
    expect(await resize(child, { output: resized ?? '', size: 8 * BLOCK })).toMatchObject({ parentDir });
    for (const path of [mended, compacted, resized]) {
      await using disk = await openVhd(path ?? '', { parentDirs: [parentDir] });
      expect(
        Buffer.compare(
          await disk.readBytes(0, 3 * BLOCK),
          Buffer.alloc(3 * BLOCK).map((_, at) => Math.floor(at / BLOCK) + 1),
        ),
      ).toBe(0);
    }
    const copy = `${parentDir}/copy.vhd`;
    expect((await repair(child, { output: copy })).parentDir).toBeUndefined();
    // There the names are right as they are.
    expect(namesOf(await readFile(copy))).toEqual(namesOf(await readFile(child)));
    expect(namesOf(await readFile(mended ?? ''))).not.toEqual(namesOf(await readFile(child)));
    await expect(repair(child, { output: parent, force: true })).rejects.toMatchObject({ code: 'ERR_VHD_SAME_FILE' });
  });

  it('names its parent from there also when the child was called by a link there', async () => {
    const { child, elsewhere } = await family('linked');
    const link = `${elsewhere}/link.vhd`;
    await symlink(child, link);
    await repair(link, { output: `${elsewhere}/mended.vhd` });
    expect(namesOf(await readFile(`${elsewhere}/mended.vhd`))).not.toEqual(namesOf(await readFile(child)));
  });

  it('is said to name it as before where it is not there', async () => {
    const { parent, child, elsewhere } = await family('orphan');
    await rename(parent, folder.file('gone.vhd'));
    const told = expect.stringMatching(/^the copy names its parent as from the directory of the image/) as string;
    expect((await repair(child, { output: `${elsewhere}/mended.vhd` })).warnings).toEqual([told]);
    expect((await compact(child, { output: `${elsewhere}/compacted.vhd` })).warnings).toContainEqual(told);
    expect((await repair(child, { output: folder.file('orphan/beside.vhd') })).warnings).toEqual([]);
  });

  it('is said to name it as before where blocks are not where they belong', async () => {
    const { child, elsewhere } = await family('damaged');
    const bytes = await readFile(child);
    bytes.writeUInt32BE(1_000_000, Number(bytes.readBigUInt64BE(512 + 16)));
    await writeFile(child, bytes);
    const { warnings, findings } = await repair(child, { output: `${elsewhere}/mended.vhd` });
    expect(findings.map(({ rule }) => rule)).toContain('bat.out-of-file');
    expect(warnings).toEqual([expect.stringMatching(/^the copy names its parent as from .*a block lies past the end/)]);
  });
});

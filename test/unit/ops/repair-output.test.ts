// `repair` into a new file: what it takes the place of goes only for something better.
import { readFile, writeFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { repair } from '../../../src/ops/repair.ts';
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

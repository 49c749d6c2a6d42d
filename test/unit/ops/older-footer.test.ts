// A child that has lost the footer at its end, with an older one left in the middle: what stands behind that is the child's.
import { readFile, writeFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { encodeFooter } from '../../../src/format/footer.ts';
import { encodeLocatorName } from '../../../src/format/parent-reference.ts';
import { check } from '../../../src/ops/check.ts';
import { identify } from '../../../src/ops/identify.ts';
import { repair } from '../../../src/ops/repair.ts';
import { buildImage, footerOf, type ImageShape } from '../../support/build-image.ts';
import { firstDifference } from '../../support/bytes.ts';
import { useTempFolder } from '../../support/temp.ts';

const BLOCK = 64 * 1024;
const FIRST_DATA = 8192;
/** Where the first block ends, and a footer of blktap stands; the bitmap of the next block is 3584 bytes behind it. */
const OLDER = FIRST_DATA + BLOCK;
const parent = { uniqueId: new Uint8Array(16).fill(0xa0), name: 'base.vhd' };
const SHAPE: ImageShape = { size: 8 * BLOCK, blockSize: BLOCK, parent, alignment: 'aligned', blocks: [{ index: 3 }] };
const NAME = { platformCode: 'W2ru', bytes: encodeLocatorName('W2ru', '.\\base.vhd') };

/** The image without its last bytes, and with a footer in the middle. */
function withOlder(shape: Partial<ImageShape>, { older = OLDER, cutBytes = 512 } = {}): Uint8Array {
  const child = { ...SHAPE, ...shape };
  const image = buildImage({ ...child, patches: [{ offset: older, bytes: encodeFooter(footerOf(child)) }] });
  return image.subarray(0, image.length - cutBytes);
}

const TWO_BLOCKS = { blocks: [{ index: 3 }, { index: 1, data: 7 }] };
const CHILDREN: Record<string, Uint8Array> = {
  'a block': withOlder(TWO_BLOCKS),
  'the bytes of a block that was cut off': withOlder(TWO_BLOCKS, { cutBytes: BLOCK / 2 }),
  'a name of the parent': withOlder({
    parent: { ...parent, locators: [{ ...NAME, offset: OLDER + 3584 }] },
    slackBytes: 8192,
  }),
  'a table': withOlder({ tableOffset: 4096, blocks: [] }, { older: 2048 }),
};

describe('an older footer within a child', () => {
  const temp = useTempFolder('older-footer');

  it.each(Object.entries(CHILDREN))('is not taken for its end where %s follows', async (name, image) => {
    const path = temp.file(`${name}.vhd`);
    await writeFile(path, image);
    expect(await identify(path)).toMatchObject({ type: 'differencing', footerOffset: null });
    const { findings } = await check(path);
    expect(findings.map(({ rule }) => rule)).not.toContain('footer.displaced');
    expect(findings.map(({ remedy }) => remedy).join('\n')).not.toContain('--cut');
    await repair(path, { cut: true, zeroFill: true });
    const held = image.subarray(0, image.findLastIndex((byte) => byte !== 0) + 1);
    expect(firstDifference((await readFile(path)).subarray(0, held.length), held)).toBe(-1);
    const left = (await check(path)).findings.filter(({ severity }) => severity === 'error');
    expect(left.map(({ rule }) => rule)).toEqual(['parent.missing']);
  });

  it('ends it where nothing of the child follows', async () => {
    const path = temp.file('displaced.vhd');
    await writeFile(path, Buffer.concat([buildImage(SHAPE), new Uint8Array(BLOCK).fill(1)]));
    const { findings } = await check(path);
    expect(findings.map(({ rule }) => rule)).toContain('footer.displaced');
  });
});

// Every bit of the fields of a dynamic header flipped, one at a time: what is repaired reads as before, all else stays refused.
import { describe, expect, it } from 'vitest';
import { openVhdStorage } from '../../../src/disk/open-storage.ts';
import { planRepair } from '../../../src/ops/repair-plan.ts';
import { MemoryStorage } from '../../../src/storage/memory.ts';
import { buildImage, contentOf, type ImageShape } from '../../support/build-image.ts';
import { pattern } from '../../support/bytes.ts';

const NOTHING = {
  cut: false,
  dropBlocks: false,
  zeroFill: false,
  setBits: false,
  rebuildBat: false,
  footer: undefined,
};
const HEADER_OFFSET = 512;
/** Some bits of what tells where the blocks are, and of the other fields up to the name of the parent. */
const BITS = [
  ...Array.from({ length: 20 * 8 }, (_, bit) => 16 * 8 + bit).filter((bit) => bit % 3 === 0 || bit >> 3 === 22),
  ...[0, 66, 299, 306, 400, 461, 485],
];

/** A table of two sectors, so that one read from another sector still leads to blocks. */
function shapeOf(blockSize: number, alignment: 'packed' | 'aligned', indexes: readonly number[]): ImageShape {
  const blocks = indexes.map((index, seed) => ({ index, data: pattern(blockSize, seed + 1) }));
  return { size: 150 * blockSize, blockSize, alignment, tableOffset: 2048, blocks };
}

const SHAPES: readonly (readonly [string, ImageShape])[] = [
  ['a packed image', shapeOf(4096, 'packed', [0, 1, 140])],
  ['an aligned image without blocks in front', shapeOf(16_384, 'aligned', [130, 131])],
];

type Outcome = 'mended' | 'refused' | 'wrong';

async function outcomeOf(bytes: Uint8Array, content: Uint8Array, rebuildBat: boolean): Promise<Outcome> {
  const permits = { ...NOTHING, rebuildBat };
  const { draft, after } = await planRepair(new MemoryStorage(bytes), { permits, nowMilliseconds: 1.6e12 });
  if (after.findings.some(({ severity }) => severity === 'error')) return 'refused';
  const disk = await openVhdStorage(draft);
  const read = await disk.readBytes(0, disk.size);
  return Buffer.compare(read, content) === 0 ? 'mended' : 'wrong';
}

describe.each(SHAPES)('%s with one bit of its header flipped', (_name, shape) => {
  const image = buildImage(shape);
  const content = contentOf(shape);

  it.each([false, true])('is repaired rightly or not at all, rebuilding the table: %s', async (rebuildBat) => {
    const outcomes: Record<Outcome, string[]> = { mended: [], refused: [], wrong: [] };
    for (const bit of rebuildBat ? BITS.slice(-12) : BITS) {
      const flipped = Uint8Array.from(image);
      const at = HEADER_OFFSET + (bit >> 3);
      flipped[at] = (flipped[at] ?? 0) ^ (1 << (bit & 7));
      outcomes[await outcomeOf(flipped, content, rebuildBat)].push(`${bit >> 3}.${bit & 7}`);
    }
    expect(outcomes.wrong).toEqual([]);
    // Cookie, data offset and reserved bytes can have one value only.
    expect(outcomes.mended.length).toBeGreaterThanOrEqual(5);
  });
});

// A disk over a chain of images is an array of bytes, and no link but the first ever changes.
import fc from 'fast-check';
import { describe, it } from 'vitest';
import { buildChain, type Chain, type LinkShape, randomChain } from '../support/build-chain.ts';
import { pattern } from '../support/bytes.ts';
import { checkParameters, Random } from '../support/seed.ts';
import { type ModelShape, type Opening, programs, runChainModel } from './model.ts';

const KiB = 1024;
const BLOCK = 4 * KiB;
const SIZE = 20 * BLOCK - 1536;

const child: LinkShape = {
  size: SIZE,
  blockSize: BLOCK,
  blocks: [
    { index: 9, data: pattern(BLOCK, 1) },
    { index: 2, data: pattern(BLOCK, 2), sectors: [2] },
    { index: 0, data: pattern(BLOCK, 3), sectors: [0, 1, 2, 3, 4, 5, 6] },
    { index: 7, data: pattern(BLOCK, 4), sectors: [] },
  ],
};
const dynamic: LinkShape = {
  size: SIZE + 1536,
  blockSize: 16 * KiB,
  alignment: 'aligned',
  blocks: [
    { index: 2, data: pattern(16 * KiB, 5) },
    { index: 0, data: pattern(16 * KiB, 6) },
  ],
};

const CHAINS: Record<string, Chain> = {
  'a child of a fixed image': buildChain([child, { type: 'fixed', data: pattern(SIZE, 8) }]),
  'a child of a smaller dynamic image': buildChain([child, { ...dynamic, size: 9 * BLOCK + 700 }]),
  'blocks of one sector over larger ones, and three parents': buildChain([
    { size: SIZE, blockSize: 512, blocks: [{ index: 5, sectors: [] }, { index: 16 }] },
    { ...child, alignment: 'aligned', size: SIZE - 8 * KiB },
    { size: SIZE, blockSize: 2 * KiB, blocks: [{ index: 30, data: pattern(2 * KiB, 9), sectors: [1] }] },
    dynamic,
  ]),
  'an empty child': buildChain([{ size: SIZE, blockSize: BLOCK }, dynamic]),
  'large blocks': buildChain([
    { size: 2 * 512 * KiB + 512, blockSize: 512 * KiB, alignment: 'aligned' },
    {
      size: 2 * 512 * KiB,
      blockSize: 512 * KiB,
      blocks: [{ index: 1, data: pattern(512 * KiB, 10), sectors: [0, 1, 700, 1023] }],
    },
    { size: 1024 * KiB, blockSize: 64 * KiB, blocks: [{ index: 9, data: pattern(64 * KiB, 11) }] },
  ]),
};

/** What children a program may put on top. */
const CHILDREN: readonly ModelShape[] = [
  { size: SIZE, blockSize: BLOCK },
  { size: SIZE - 5 * KiB, blockSize: 2 * KiB },
  { size: SIZE + 9 * KiB + 100, blockSize: 512 },
  { size: SIZE, blockSize: 32 * KiB },
];

const TIGHT: Opening = { limits: { gatherBelow: 3000, arenaBytes: 2048 } };
const OPENINGS: readonly (readonly [string, Opening, number])[] = [
  ['as it is', {}, 5],
  ['with little room to gather', TIGHT, 5],
  ["with durability 'always'", { durability: 'always' }, 2],
];

describe.each(OPENINGS)('a chain opened %s is an array of bytes, whatever is done to it:', (_how, opening, runs) => {
  it.each(Object.entries(CHAINS))('%s', async (_name, chain) => {
    const [{ size, blockSize } = { size: 0, blockSize: 0 }] = chain;
    const property = fc.asyncProperty(programs({ size, blockSize }, CHILDREN), (program) =>
      runChainModel(program, chain, opening),
    );
    await fc.assert(property, checkParameters(blockSize > 64 * KiB ? Math.ceil(runs / 2) : runs));
  });

  it('random ones', async () => {
    const sizes = [SIZE, SIZE, 24 * KiB, 30 * KiB + 100, 96 * KiB] as const;
    const choice = { sizes, blockSizes: [512, BLOCK, BLOCK, 16 * KiB] } as const;
    const property = fc.asyncProperty(
      fc.nat(),
      programs({ size: SIZE, blockSize: BLOCK }, CHILDREN),
      (seed, program) => {
        const random = new Random(seed);
        return runChainModel(program, randomChain(choice, 1 + random.below(4), random), opening);
      },
    );
    await fc.assert(property, checkParameters(runs));
  });
});

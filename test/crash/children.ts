// Differencing images that crash programs start from, over parents that stay as they are.

import { buildChain, type Chain, type LinkShape } from '../support/build-chain.ts';
import type { BlockShape } from '../support/build-image.ts';
import { pattern } from '../support/bytes.ts';
import type { Subject } from './subjects.ts';

const KiB = 1024;
const BLOCK = 4 * KiB;
const SIZE = 40 * BLOCK;

const fixed: LinkShape = { type: 'fixed', data: pattern(SIZE, 7) };
/** Half of it is zeros, so that blocks over it can be given back. */
const dynamic: LinkShape = {
  size: SIZE,
  blockSize: 16 * KiB,
  alignment: 'aligned',
  blocks: [0, 3, 4, 7].map((index) => ({ index, data: pattern(16 * KiB, 20 + index) })),
};
const middle: LinkShape = {
  size: SIZE,
  blockSize: 2 * KiB,
  blocks: [
    { index: 0, data: pattern(2 * KiB, 31), sectors: [1, 2] },
    { index: 17, data: pattern(2 * KiB, 32) },
    { index: 40, data: pattern(2 * KiB, 33), sectors: [] },
  ],
};
/** Whole, partly owned and owned by nothing; other bytes lie under every clear bit. */
const SOME: readonly BlockShape[] = [
  { index: 3, data: pattern(BLOCK, 1) },
  { index: 0, data: pattern(BLOCK, 2), sectors: [0, 5] },
  { index: 9, data: pattern(BLOCK, 3), sectors: [] },
  { index: 1, data: pattern(BLOCK, 4), sectors: [0, 1, 2, 3, 4, 5, 6] },
  { index: 30, data: pattern(BLOCK, 5), sectors: [7] },
  { index: 39, data: pattern(BLOCK, 6), sectors: [0] },
];
const SMALL = { size: SIZE, blockSize: BLOCK };
/** The garbage begins where the gap does: behind two blocks, each with its bitmap of a sector. */
const gapAt = (blocks: readonly BlockShape[]): number => 2048 + 1024 + blocks.length * (BLOCK + 512);

const CHAINS: Record<string, readonly LinkShape[]> = {
  'a child of a fixed image': [{ ...SMALL, blocks: SOME }, fixed],
  'a child of a dynamic image': [{ ...SMALL, blocks: SOME, alignment: 'aligned' }, dynamic],
  'an empty child of a child': [SMALL, middle, dynamic],
  'a child of children, with its table behind the blocks': [
    { ...SMALL, blocks: SOME, tableOffset: 'behind-blocks', blocksFrom: 4096 },
    { ...middle, size: SIZE - 9 * KiB },
    { ...SMALL, blocks: SOME },
    fixed,
  ],
  'a child with garbage in gaps': [
    {
      ...SMALL,
      blocks: SOME.slice(0, 4),
      slackBytes: 16 * KiB,
      patches: [{ offset: gapAt(SOME.slice(0, 4)), bytes: new Uint8Array(16 * KiB).fill(0xff) }],
    },
    dynamic,
  ],
  'a child with blocks of one sector': [
    {
      size: 300 * 512,
      blockSize: 512,
      blocks: [{ index: 150 }, { index: 8, sectors: [] }, { index: 299 }, { index: 0, sectors: [] }],
    },
    { ...dynamic, size: 200 * 512 + 100, blocks: [{ index: 0, data: pattern(16 * KiB, 41) }, { index: 5 }] },
  ],
  'a child without a footer at the start': [{ ...SMALL, blocks: SOME, startFooter: 'none' }, fixed],
  'a child larger than its parent': [
    { ...SMALL, size: SIZE - 512, blocks: SOME.slice(0, 5) },
    { type: 'fixed', data: pattern(17 * BLOCK + 700, 9) },
  ],
  'a child with blocks of 64 KiB': [
    {
      size: 300 * KiB,
      blockSize: 64 * KiB,
      blocks: [{ index: 2, data: pattern(64 * KiB, 51), sectors: [0, 1, 17, 100, 101, 102, 127] }],
    },
    { ...dynamic, size: 300 * KiB },
  ],
  'a child with blocks of 512 KiB': [
    {
      size: 2 * 512 * KiB + 512,
      blockSize: 512 * KiB,
      alignment: 'aligned',
      blocks: [{ index: 1, data: pattern(512 * KiB, 52), sectors: [0, 5, 6, 1000] }],
    },
    { size: 2 * 512 * KiB, blockSize: 2048 * KiB, blocks: [{ index: 0, data: pattern(2048 * KiB, 53) }] },
  ],
  'a child with blocks of 2 MiB': [
    {
      size: 2048 * KiB + 5 * 512,
      blockSize: 2048 * KiB,
      alignment: 'aligned',
      blocks: [{ index: 0, data: 0x5a, sectors: [0, 1, 4000] }],
    },
    { size: 2048 * KiB, blockSize: 512 * KiB, blocks: [{ index: 3, data: pattern(512 * KiB, 54) }] },
  ],
};

function subjectOf(name: string, [child, ...parents]: Chain): Subject {
  if (child === undefined) throw new Error('a chain has a link');
  const { image, content, blockSize, size } = child;
  const weight = size > 1024 * KiB ? 0.25 : 0.8;
  return {
    name,
    image,
    parents,
    content,
    blockSize,
    bitmap: 'strict',
    discard: 'ignored',
    weight,
    isOnDemand: blockSize > 1024 * KiB,
  };
}

/** All of them. */
export const CHILDREN: readonly Subject[] = Object.entries(CHAINS).map(([name, shapes]) =>
  subjectOf(name, buildChain(shapes)),
);

// The images that crash programs start from.
import type { VhdDisk } from '../../src/disk/vhd-disk.ts';
import { NO_OFFSET } from '../../src/format/bytes.ts';
import { encodeFooter } from '../../src/format/footer.ts';
import type { Storage } from '../../src/storage/storage.ts';
import { type Chain, type OpenChainOptions, openOver } from '../support/build-chain.ts';
import { buildImage, contentOf, footerOf, type ImageShape } from '../support/build-image.ts';
import { pattern } from '../support/bytes.ts';
import { CHILDREN } from './children.ts';

const KiB = 1024;

/** An image and what is on it. */
export interface Subject {
  readonly name: string;
  readonly image: Uint8Array;
  /** The images above it, which do not crash; empty if it is no child. */
  readonly parents: Chain;
  /** The virtual disk. */
  readonly content: Uint8Array;
  /** Bytes of a block; for a fixed image what a program is to take for one. */
  readonly blockSize: number;
  /** How it is read: `strict`, unless old bytes lie under clear bits. */
  readonly bitmap: 'strict' | 'honour';
  /** What the storage makes of `discard`. */
  readonly discard: 'zeroes' | 'ignored';
  /** How many of all states are of this image, compared with the others: large ones cost more. */
  readonly weight: number;
  /** True: so dear that it is left out unless somebody asks for a number of states. */
  readonly isOnDemand?: boolean;
}

const SOME = [
  { index: 3, data: pattern(4 * KiB, 1) },
  { index: 0, data: pattern(4 * KiB, 2) },
];
/** More than the 64 KiB below which writes are gathered, so that there are writes of both kinds. */
const SMALL = { size: 40 * 4 * KiB, blockSize: 4 * KiB };

const DYNAMIC: Record<string, ImageShape & { readonly blockSize: number }> = {
  'an empty packed image': { ...SMALL },
  'a packed image with blocks': { ...SMALL, size: SMALL.size - 512, blocks: SOME },
  'an aligned image': { ...SMALL, alignment: 'aligned', blocks: SOME },
  'an image with blocks of one sector': { size: 300 * 512, blockSize: 512, blocks: [{ index: 150 }] },
  'an image with slack': { ...SMALL, blocks: SOME, slackBytes: 6 * KiB },
  'an image with its table behind the blocks': {
    ...SMALL,
    blocks: SOME,
    tableOffset: 'behind-blocks',
    blocksFrom: 2560,
  },
  'an image with old bytes under clear bits': {
    ...SMALL,
    blocks: [
      { index: 1, data: pattern(4 * KiB, 3), sectors: [0, 5] },
      { index: 4, data: pattern(4 * KiB, 4), sectors: [] },
      { index: 9, data: pattern(4 * KiB, 5), sectors: [7] },
      { index: 10, data: pattern(4 * KiB, 8), sectors: [] },
      { index: 30, data: pattern(4 * KiB, 9), sectors: [2, 3] },
    ],
  },
  'an image with clear bits over zeros': {
    ...SMALL,
    blocks: [
      { index: 1, data: new Uint8Array(4 * KiB), sectors: [] },
      { index: 4, data: new Uint8Array(4 * KiB), sectors: [1, 2] },
      { index: 20, data: new Uint8Array(4 * KiB), sectors: [] },
      { index: 21, data: new Uint8Array(4 * KiB), sectors: [6] },
    ],
  },
  'an image without a footer at the start': { ...SMALL, startFooter: 'none' },
  'an image with blocks of 64 KiB': { size: 300 * KiB, blockSize: 64 * KiB, blocks: [{ index: 2 }] },
  'an image with blocks of 512 KiB': {
    size: 3 * 512 * KiB,
    blockSize: 512 * KiB,
    alignment: 'aligned',
    blocks: [{ index: 1, data: pattern(512 * KiB, 6) }],
  },
  'an image with blocks of 2 MiB': {
    size: 2 * 2048 * KiB - 5 * 512,
    blockSize: 2048 * KiB,
    alignment: 'aligned',
    blocks: [{ index: 1, data: 0x5a, sectors: [0, 1, 4000] }],
  },
};

const FIXED_SIZE = 100 * KiB;

function fixed(name: string, discard: 'zeroes' | 'ignored'): Subject {
  const footer = encodeFooter({ ...footerOf({ size: FIXED_SIZE }), dataOffset: NO_OFFSET, diskType: 2 });
  const content = pattern(FIXED_SIZE, 7);
  return {
    name,
    image: Buffer.concat([content, footer]),
    parents: [],
    content,
    blockSize: 4 * KiB,
    bitmap: 'strict',
    discard,
    weight: 4,
  };
}

function hasOther(data: Uint8Array | number | undefined): boolean {
  return !(data instanceof Uint8Array && data.every((byte) => byte === 0));
}

/** All of them. */
export const SUBJECTS: readonly Subject[] = [
  ...Object.entries(DYNAMIC).map(
    ([name, shape]): Subject => ({
      name,
      image: buildImage(shape),
      parents: [],
      content: contentOf(shape),
      blockSize: shape.blockSize,
      bitmap:
        shape.blocks?.some((block) => block.sectors !== undefined && hasOther(block.data)) === true
          ? 'honour'
          : 'strict',
      discard: 'ignored',
      weight: shape.size > 1024 * KiB ? 1 : 6,
    }),
  ),
  fixed('a fixed image', 'ignored'),
  fixed('a fixed image on a storage that discards', 'zeroes'),
  ...CHILDREN,
];

/** Opens what became of a subject's image; its parents lie in storages that refuse to be written to. */
export function openSubject(
  storage: Storage,
  { bitmap, parents }: Subject,
  options: OpenChainOptions = {},
): Promise<VhdDisk> {
  return openOver(storage, parents, { bitmap, ...options });
}

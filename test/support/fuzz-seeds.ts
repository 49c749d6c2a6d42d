// The images that are mutated: small ones made here, and real ones cut to what a reader looks at.
import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import { viewOf } from '../../src/format/bytes.ts';
import { decodeDynamicHeader } from '../../src/format/dynamic-header.ts';
import { decodeFooter, isFooter } from '../../src/format/footer.ts';
import { randomChain } from './build-chain.ts';
import { buildImage } from './build-image.ts';
import { pattern } from './bytes.ts';
import { corpusImages } from './corpus.ts';
import { BASE_NAMES, baseOf } from './defects-bases.ts';
import { type Piece, SparseBytes } from './fuzz-bytes.ts';
import { Random } from './seed.ts';

/** Images to mutate: child first, then its parents; most have none. */
export type Seed = readonly [SparseBytes, ...SparseBytes[]];

/** What is kept whole of a real image. */
const WHOLE_BYTES = 96 * 1024;
/** What lies under clear bits is read, so files have to be no larger than that takes no time. */
const LARGEST_BYTES = 16 * 1024 * 1024;
const FRONT_BYTES = 24 * 1024;
const TAIL_BYTES = 4096;
const BLOCK_BYTES = 8192;
const KEPT_BLOCKS = 3;

/** Images made here, of every kind. */
export function generatedSeeds(): Seed[] {
  const blockSize = 4096;
  const tiny = {
    size: 6 * blockSize + 1024,
    blockSize,
    blocks: [
      { index: 0, data: pattern(blockSize, 1) },
      { index: 2, data: pattern(blockSize, 2) },
      { index: 3, data: 0, sectors: [] },
      { index: 6, data: pattern(1024, 3) },
    ],
  };
  const shapes = [
    tiny,
    { ...tiny, alignment: 'aligned', blocks: [...tiny.blocks].reverse() },
    { ...tiny, isLegacyEnd: true, maxTableEntries: 300 },
    { ...tiny, tableOffset: 'behind-blocks' },
  ] as const;
  const bases = BASE_NAMES.filter((name) => !name.startsWith('blocks-')).map((name): Seed => {
    const { image, parent } = baseOf(name);
    return parent === undefined ? [SparseBytes.of(image)] : [SparseBytes.of(image), SparseBytes.of(parent.image)];
  });
  return [...shapes.map((shape): Seed => [SparseBytes.of(buildImage(shape))]), ...bases, ...chainSeeds()];
}

function chainSeeds(): Seed[] {
  const choice = { sizes: [9 * 4096, 9 * 4096 + 512], blockSizes: [4096, 8192] } as const;
  return [1, 2, 3, 4].map((number): Seed => {
    const [child, ...parents] = randomChain(choice, 3, new Random(number)).map(({ image }) => SparseBytes.of(image));
    if (child === undefined) throw new Error('a chain has a link');
    return [child, ...parents];
  });
}

/** The images of the corpus in a folder, each cut to its ends, its table and some of its blocks; chains of two as such. */
export async function corpusSeeds(folder: string): Promise<Seed[]> {
  const seeds: Seed[] = [];
  for (const { name, chain } of corpusImages) {
    const images = [...new Set([name, ...chain.slice(0, 3)])];
    const [child, ...parents] = await Promise.all(images.map((image) => cutFile(join(folder, image))));
    if (child !== undefined && parents.every((parent) => parent !== undefined)) seeds.push([child, ...parents]);
  }
  return seeds;
}

/** Undefined for a very large one, and for one whose table would be cut: zeros in the place of the rest would be entries. */
async function cutFile(path: string): Promise<SparseBytes | undefined> {
  const file = await open(path);
  try {
    const { size } = await file.stat();
    if (size > LARGEST_BYTES) return undefined;
    if (size <= WHOLE_BYTES) return new SparseBytes(size, [await pieceOf(file, 0, size)]);
    const front = await pieceOf(file, 0, FRONT_BYTES);
    const offsets = blockOffsets(front.bytes, size);
    if (offsets === undefined) return undefined;
    const blocks = await Promise.all(offsets.map((at) => pieceOf(file, at, BLOCK_BYTES)));
    const cut = new SparseBytes(size, []);
    for (const { offset, bytes } of [front, ...blocks, await pieceOf(file, size - TAIL_BYTES, TAIL_BYTES)]) {
      cut.write(bytes, offset);
    }
    return cut;
  } finally {
    await file.close();
  }
}

async function pieceOf(file: FileHandle, offset: number, byteLength: number): Promise<Piece> {
  const bytes = new Uint8Array(byteLength);
  const { bytesRead } = await file.read(bytes, 0, byteLength, offset);
  return { offset, bytes: bytes.subarray(0, bytesRead) };
}

/** Where the first blocks of a dynamic image are; undefined if its table lies elsewhere. */
function blockOffsets(front: Uint8Array, size: number): number[] | undefined {
  const footer = decodeFooter(front.subarray(0, 512));
  const at = footer.value.dataOffset;
  if (!isFooter(footer) || at < 0) return [];
  if (at + 1024 > front.length) return undefined;
  const { tableOffset, maxTableEntries } = decodeDynamicHeader(front.subarray(at, at + 1024)).value;
  if (tableOffset + maxTableEntries * 4 > front.length) return undefined;
  const view = viewOf(front);
  const offsets = Array.from({ length: maxTableEntries }, (_, entry) => view.getUint32(tableOffset + entry * 4) * 512);
  return offsets.filter((offset) => offset + BLOCK_BYTES < size).slice(0, KEPT_BLOCKS);
}

// Makes chains of images: each with what it holds of its own, and what a disk over it and its parents holds.

import type { Disk, Extent } from '../../src/disk/disk.ts';
import { type OpenStorageOptions, openGathering } from '../../src/disk/open-storage.ts';
import type { VhdDisk } from '../../src/disk/vhd-disk.ts';
import { GATHER_LIMITS, type GatherLimits, type WriteOptions } from '../../src/disk/write-back.ts';
import { NO_OFFSET } from '../../src/format/bytes.ts';
import { encodeFooter } from '../../src/format/footer.ts';
import type { VhdType } from '../../src/format/spec.ts';
import { SECTOR_BYTES } from '../../src/format/spec.ts';
import { MemoryStorage } from '../../src/storage/memory.ts';
import type { Storage } from '../../src/storage/storage.ts';
import { ArrayStorage } from './array-storage.ts';
import { type BlockShape, buildImage, contentOf, footerOf, type ImageShape, layoutOf } from './build-image.ts';
import { pattern } from './bytes.ts';
import type { Random } from './seed.ts';

/** An image to be made: fixed ones hold `data`; all others are dynamic at the bottom of a chain, differencing above. */
export type LinkShape =
  | { readonly type: 'fixed'; readonly data: Uint8Array }
  | (Omit<ImageShape, 'parent'> & { readonly type?: undefined });

/** What a link holds of a sector: nothing, so that its parent decides; bytes; or that it reads as zeros. */
export type Owned = 'nothing' | 'data' | 'zero';

/** One image of a chain. */
export interface ChainLink {
  readonly type: VhdType;
  readonly image: Uint8Array;
  readonly uniqueId: Uint8Array;
  readonly size: number;
  /** Bytes of a block; in a fixed image a number to cut calls at. */
  readonly blockSize: number;
  /** The virtual disk at this level. */
  readonly content: Uint8Array;
  /** What it holds of each of its sectors. */
  readonly sectors: readonly Owned[];
}

/** Images, the child first and the base last, so that the index of a link is its depth. */
export type Chain = readonly ChainLink[];

/** Makes a chain out of shapes in the same order, the child first. */
export function buildChain(shapes: readonly LinkShape[]): Chain {
  return shapes.reduceRight((chain: Chain, shape) => buildOver(chain, shape), []);
}

/** Puts a new child on a chain; on none it is the base. */
export function buildOver(parents: Chain, shape: LinkShape): Chain {
  const uniqueId = new Uint8Array(16).fill(0xc0 + parents.length);
  uniqueId[0] = parents.length >> 8;
  const link = shape.type === 'fixed' ? fixedLink(shape.data, uniqueId) : sparseLink(shape, uniqueId, parents[0]);
  return [link, ...parents];
}

function fixedLink(content: Uint8Array, uniqueId: Uint8Array): ChainLink {
  const size = content.length;
  const footer = { ...footerOf({ size }), uniqueId, dataOffset: NO_OFFSET, diskType: 2 };
  const image = Buffer.concat([content, encodeFooter(footer)]);
  const sectors = new Array<Owned>(sectorCountOf(size)).fill('data');
  return { type: 'fixed', image, uniqueId, size, blockSize: 4096, content, sectors };
}

function sparseLink(given: Omit<ImageShape, 'parent'>, uniqueId: Uint8Array, parent: ChainLink | undefined): ChainLink {
  const shape: ImageShape = {
    ...given,
    footer: { uniqueId, ...given.footer },
    ...(parent === undefined ? {} : { parent: parentShapeOf(parent) }),
  };
  const { blockSize } = layoutOf(shape);
  const rest = parent === undefined ? 'zero' : 'nothing';
  const sectors = new Array<Owned>(sectorCountOf(shape.size)).fill(rest);
  for (const block of shape.blocks ?? []) {
    const first = (block.index * blockSize) / SECTOR_BYTES;
    const all = Array.from({ length: blockSize / SECTOR_BYTES }, (_, sector) => sector);
    for (const sector of block.sectors ?? all) if (first + sector < sectors.length) sectors[first + sector] = 'data';
  }
  return {
    type: parent === undefined ? 'dynamic' : 'differencing',
    image: buildImage(shape),
    uniqueId,
    size: shape.size,
    blockSize,
    content: contentOf(shape, parent?.content),
    sectors,
  };
}

/** What a child says of a parent. */
function parentShapeOf({ uniqueId }: ChainLink): NonNullable<ImageShape['parent']> {
  const locators = [
    { platformCode: 'W2ru', bytes: Buffer.from('.\\parent.vhd', 'utf16le') },
    { platformCode: 'W2ku', bytes: Buffer.from('C:\\disks\\parent.vhd', 'utf16le') },
  ];
  return { uniqueId, name: 'parent.vhd', locators };
}

function sectorCountOf(size: number): number {
  return Math.ceil(size / SECTOR_BYTES);
}

/** How a chain is opened; `bitmap` is that of the child. */
export interface OpenChainOptions extends WriteOptions, Pick<OpenStorageOptions, 'bitmap'> {
  /** Open the child, and no other, for writing as well. */
  readonly writable?: boolean;
  readonly limits?: GatherLimits;
  /** The storage of a link; default: one in memory, of parents one that refuses to be written to. */
  readonly storageOf?: (link: ChainLink, depth: number) => Storage;
}

/** Opens a chain; the disk closes them all. */
export async function openChain(chain: Chain, options: OpenChainOptions = {}): Promise<VhdDisk> {
  const { storageOf = inMemory } = options;
  const [child, ...parents] = chain;
  if (child === undefined) throw new Error('a chain has a link');
  const others = { ...options, storageOf: (link: ChainLink, depth: number) => storageOf(link, depth + 1) };
  return openOver(storageOf(child, 0), parents, others);
}

/** Opens the image in a storage over its parents, of which there may be none; `storageOf` counts from the first of them. */
export async function openOver(storage: Storage, parents: Chain, options: OpenChainOptions = {}): Promise<VhdDisk> {
  const { writable = false, limits = GATHER_LIMITS, storageOf = forReading, durability, bitmap } = options;
  let parent: Disk | undefined;
  for (const [depth, link] of [...parents.entries()].reverse()) {
    parent = await openGathering(storageOf(link, depth), { parent }, GATHER_LIMITS);
  }
  return openGathering(storage, { writable, parent, durability, bitmap }, limits);
}

/** A storage that holds an image and refuses to be written to. */
export function forReading({ image }: Pick<ChainLink, 'image'>): Storage {
  return new ArrayStorage(image, false);
}

function inMemory(link: ChainLink, depth: number): Storage {
  return depth === 0 ? new MemoryStorage(link.image) : forReading(link);
}

/** Which link decides a byte, and how; behind the end of a smaller parent it is zero at the depth of that parent. */
export function ownerOf(chain: Chain, position: number): Pick<Extent, 'kind' | 'depth'> {
  for (const [depth, { size, sectors }] of chain.entries()) {
    if (position >= size) return { kind: 'zero', depth };
    const owned = sectors[Math.floor(position / SECTOR_BYTES)];
    if (owned !== 'nothing') return { kind: owned ?? 'zero', depth };
  }
  throw new Error('the base of a chain decides everything');
}

/** The extents of a range, each as long as possible. */
export function expectedExtents(chain: Chain, start: number, end: number): Extent[] {
  const bounds = new Set(chain.map(({ size }) => size));
  for (let at = start - (start % SECTOR_BYTES); at < end; at += SECTOR_BYTES) bounds.add(at);
  const starts = [start, ...[...bounds].filter((at) => at > start && at < end).sort((one, other) => one - other)];
  const extents: Extent[] = [];
  for (const [index, from] of starts.entries()) {
    const length = (starts[index + 1] ?? end) - from;
    const owner = ownerOf(chain, from);
    const last = extents.at(-1);
    if (length === 0) continue;
    if (last?.kind === owner.kind && last.depth === owner.depth) {
      extents[extents.length - 1] = { ...last, length: last.length + length };
    } else extents.push({ start: from, length, ...owner });
  }
  return extents;
}

/** What shapes are made of: sizes and block sizes to choose from. */
export interface ShapeChoice {
  readonly sizes: readonly [number, ...number[]];
  readonly blockSizes: readonly [number, ...number[]];
}

/** A link that owns sectors here and there, with other bytes under the bits that are clear. */
export function randomShape(choice: ShapeChoice, isBase: boolean, random: Random): LinkShape {
  const size = random.pick(choice.sizes);
  if (isBase && random.oneIn(3)) return { type: 'fixed', data: pattern(size, random.below(1000)) };
  const blockSize = random.pick(choice.blockSizes);
  const indexes = Array.from({ length: Math.ceil(size / blockSize) }, (_, index) => index);
  const odds = 1 + random.below(4);
  const owned = indexes.filter(() => random.oneIn(odds));
  // In any order in the file.
  for (const [index, blockIndex] of owned.entries()) {
    const other = random.below(owned.length);
    owned[index] = owned[other] ?? blockIndex;
    owned[other] = blockIndex;
  }
  return {
    size,
    blockSize,
    alignment: random.oneIn(2) ? 'aligned' : 'packed',
    blocks: owned.map((index) => randomBlock(index, blockSize, isBase, random)),
    ...(random.oneIn(4) ? ({ tableOffset: 'behind-blocks', blocksFrom: 4096 } as const) : {}),
    ...(random.oneIn(3) ? { slackBytes: random.below(9) * SECTOR_BYTES } : {}),
  };
}

function randomBlock(index: number, blockSize: number, isBase: boolean, random: Random): BlockShape {
  const data = pattern(blockSize, 1 + random.below(100_000));
  if (random.oneIn(4)) return { index, data };
  const count = blockSize / SECTOR_BYTES;
  const dense = random.pick([1, 2, 3, 10]);
  const runs = random.pick([1, 1, 4, 16]);
  const sectors: number[] = [];
  for (let sector = 0; sector < count; sector += runs) {
    if (!random.oneIn(dense)) continue;
    for (let each = sector; each < Math.min(sector + runs, count); each++) sectors.push(each);
  }
  if (isBase) {
    // In a dynamic image nothing may lie under a clear bit.
    const set = new Set(sectors);
    for (let sector = 0; sector < count; sector++) {
      if (!set.has(sector)) data.fill(0, sector * SECTOR_BYTES, (sector + 1) * SECTOR_BYTES);
    }
  }
  return { index, data, sectors };
}

/** A chain of `count` links. */
export function randomChain(choice: ShapeChoice, count: number, random: Random): Chain {
  let chain: Chain = [];
  for (let level = 0; level < count; level++) chain = buildOver(chain, randomShape(choice, level === 0, random));
  return chain;
}

// The sound images that defects are put into: small ones of every kind, the same in every run.

import { NO_OFFSET, viewOf, writeLatin1, writeUint64 } from '../../src/format/bytes.ts';
import { checksumOf } from '../../src/format/checksum.ts';
import { encodeFooter } from '../../src/format/footer.ts';
import { buildImage, contentOf, footerOf, IMAGE_UUID, type ImageShape } from './build-image.ts';
import { pattern } from './bytes.ts';
import { bootRecord, gptDisk, LINUX } from './tables.ts';

/** A sound image, what it holds, and its parent if it has one. */
export interface Base {
  /** The image file. */
  readonly image: Uint8Array;
  /** Its virtual disk. */
  readonly content: Uint8Array;
  /** Bytes of a block; 0 in a fixed image. */
  readonly blockSize: number;
  /** The file that its names lead to, beside it. */
  readonly parent?: BaseParent;
}

/** The parent of a base. */
export interface BaseParent {
  /** File name. */
  readonly name: string;
  /** The file. */
  readonly image: Uint8Array;
  /** True if it is the bytes of a disk and nothing else. */
  readonly isRaw: boolean;
}

/** A whole number of cylinders, so that every reader sees the same size; no whole number of blocks. */
const SIZE = 30 * 4 * 17 * 512;
const FIXED_SIZE = 4 * 4 * 17 * 512;
const GPT_SECTORS = 9 * 4 * 17;
const BLOCK = 64 * 1024;
const PARENT_UUID = Uint8Array.from({ length: 16 }, (_, index) => 0x50 + index);

/** A boot record with two partitions, and other bytes behind it. */
function frontOf(byteLength: number, sectorCount: number): Uint8Array {
  const front = pattern(byteLength, 7);
  const half = Math.floor(sectorCount / 2);
  front.set(
    bootRecord([
      { type: 0x83, start: 8, count: half - 8 },
      { type: 0x83, start: half, count: sectorCount - half },
    ]),
  );
  return front;
}

/** Data whose second half is zeros. */
function halfFull(byteLength: number, seed: number): Uint8Array {
  const data = new Uint8Array(byteLength);
  data.set(pattern(byteLength / 2, seed));
  return data;
}

/** Blocks out of order, one half full, the last one of the disk shorter than the others. */
function dynamicShape(blockSize: number, size: number): ImageShape {
  const last = Math.ceil(size / blockSize) - 1;
  const tail = new Uint8Array(blockSize);
  tail.set(pattern(size - last * blockSize, 4));
  return {
    size,
    blockSize,
    alignment: 'aligned',
    blocks: [
      { index: 0, data: frontOf(blockSize, size / 512) },
      { index: last, data: tail },
      { index: 1, data: halfFull(blockSize, 3) },
    ],
  };
}

function dynamic(shape: ImageShape): Base {
  return { image: buildImage(shape), content: contentOf(shape), blockSize: shape.blockSize ?? 0 };
}

function fixed(content: Uint8Array): Base {
  const footer = { ...footerOf({ size: content.length }), dataOffset: NO_OFFSET, diskType: 2 };
  return { image: new Uint8Array(Buffer.concat([content, encodeFooter(footer)])), content, blockSize: 0 };
}

/** The batmap of blktap behind the table: a bit for each block that is there. */
function batmapPatch(blocks: readonly number[]): NonNullable<ImageShape['patches']> {
  const map = new Uint8Array(512);
  for (const index of blocks) map[index >> 3] = (map[index >> 3] ?? 0) | (0x80 >> (index & 7));
  const header = new Uint8Array(512);
  const view = viewOf(header);
  writeLatin1(header, 0, 'tdbatmap');
  writeUint64(view, 8, 2560);
  view.setUint32(16, 1);
  view.setUint32(20, 0x0001_0002);
  view.setUint32(24, checksumOf(map, map.length));
  return [
    { offset: 2048, bytes: header },
    { offset: 2560, bytes: map },
  ];
}

function batmap(): Base {
  const shape = dynamicShape(BLOCK, SIZE);
  const indexes = (shape.blocks ?? []).map(({ index }) => index);
  const footer = { creatorApplication: 'tap\0', creatorVersion: 0x0001_0003, creatorHostOs: '\0\0\0\0' };
  return dynamic({ ...shape, footer, blocksFrom: 3072, patches: batmapPatch(indexes) });
}

/** A child that owns single sectors, over a packed dynamic parent. */
function differencing(): Base {
  const parentShape: ImageShape = { ...dynamicShape(BLOCK, SIZE), footer: { uniqueId: PARENT_UUID } };
  const locators = [
    { platformCode: 'W2ru', bytes: Buffer.from('.\\parent.vhd', 'utf16le') },
    { platformCode: 'W2ku', bytes: Buffer.from('C:\\disks\\parent.vhd', 'utf16le') },
  ];
  const shape: ImageShape = {
    ...{ size: SIZE, blockSize: BLOCK, alignment: 'aligned' },
    parent: { uniqueId: PARENT_UUID, name: 'parent.vhd', locators },
    blocks: [
      { index: 3, data: pattern(BLOCK, 11) },
      { index: 1, data: pattern(BLOCK, 12), sectors: [0, 1, 2, 64, 127] },
    ],
  };
  const parent = { name: 'parent.vhd', image: buildImage(parentShape), isRaw: false };
  return { ...dynamic(shape), content: contentOf(shape, contentOf(parentShape)), parent };
}

/** A child of the bytes of a disk, as blktap makes it: nothing but the name tells which. */
function overRaw(): Base {
  const parentContent = frontOf(SIZE, SIZE / 512);
  const locators = [{ platformCode: 'W2ru', bytes: Buffer.from('.\\parent.raw', 'utf16le') }];
  const shape: ImageShape = {
    ...{ size: SIZE, blockSize: BLOCK, alignment: 'aligned' },
    parent: { uniqueId: new Uint8Array(16), timestamp: 0, name: 'parent.raw', locators },
    blocks: [{ index: 3, data: pattern(BLOCK, 11) }],
  };
  const parent = { name: 'parent.raw', image: parentContent, isRaw: true };
  return { ...dynamic(shape), content: contentOf(shape, parentContent), parent };
}

function gpt(): Base {
  const entries = [{ type: LINUX, first: 40, last: 199, name: 'one' }];
  return fixed(gptDisk({ sectorCount: GPT_SECTORS, entries }));
}

const makers = {
  aligned: () => dynamic(dynamicShape(BLOCK, SIZE)),
  packed: () => dynamic({ ...dynamicShape(BLOCK, SIZE), alignment: 'packed' }),
  'blocks-512k': () => dynamic(dynamicShape(512 * 1024, (24 * SIZE) / 16)),
  'blocks-2m': () => dynamic(dynamicShape(2 * 1024 * 1024, 8 * SIZE)),
  fixed: () => fixed(frontOf(FIXED_SIZE, FIXED_SIZE / 512)),
  gpt,
  batmap,
  differencing,
  'over-raw': overRaw,
} as const satisfies Record<string, () => Base>;

/** The kinds of base. */
export type BaseName = keyof typeof makers;

/** The names of all of them. */
export const BASE_NAMES = Object.keys(makers) as readonly BaseName[];

/** The identifiers of the bases, and of their parents. */
export const BASE_UUIDS = { image: IMAGE_UUID, parent: PARENT_UUID } as const;

const made = new Map<BaseName, Base>();

/** A base; made once, so nobody may change it. */
export function baseOf(name: BaseName): Base {
  let base = made.get(name);
  if (base === undefined) made.set(name, (base = makers[name]()));
  return base;
}
